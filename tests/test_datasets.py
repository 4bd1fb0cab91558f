from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import images

from tfqdyn import datasets
from tfqdyn.datasets import DataError, Dataset
from tfqdyn.imagefiles import ArchivedImages


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    data = images(10)
    path = tmp_path / "small.npz"
    np.savez(path, x_train=data.x_train, y_train=data.y_train, x_test=data.x_test,
             y_test=data.y_test[:, None])  # fmt: skip
    return path


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_archives_keep_their_images(write, tmp_path: Path) -> None:
    data = images(10)
    write(tmp_path / "a.npz", x_test=data.x_test, y_test=data.y_test)
    loaded = datasets.load(str(tmp_path / "a.npz"))
    assert loaded.x_train is None
    assert loaded.x_test.shape == data.x_test.shape
    chosen = np.array([7, 0, 7])
    assert (loaded.x_test[chosen] == data.x_test[chosen]).all()
    assert (loaded.y_test == data.y_test).all()


def test_uncompressed_images_stay_in_the_file(archive: Path) -> None:
    loaded = datasets.load(str(archive))
    assert isinstance(loaded.x_train, ArchivedImages)
    assert loaded.y_test.shape == (10,)  # Keras' [N, 1] labels are taken as [N]


@pytest.mark.parametrize("mode", ["tf", "caffe", "torch"])
def test_preprocessing_is_that_of_keras(mode: str, rng: np.random.Generator) -> None:
    x = rng.integers(0, 256, (2, 4, 4, 3)).astype(np.uint8)
    preprocess = keras.applications.imagenet_utils.preprocess_input
    expected = preprocess(x.astype(np.float32), data_format="channels_last", mode=mode)
    np.testing.assert_allclose(datasets.preprocess(x, mode), expected, rtol=1e-6, atol=1e-6)


def test_unknown_or_unfit_preprocessing_is_refused() -> None:
    with pytest.raises(DataError, match=r"'none', 'tf', 'torch', 'unit'\], received 'x'"):
        datasets.preprocess(np.zeros((1, 2, 2, 3)), "x")
    with pytest.raises(DataError, match="needs 3 channels, received 1"):
        datasets.preprocess(np.zeros((1, 2, 2, 1)), "caffe")


def test_the_last_chunk_is_filled_up() -> None:
    data = images(10)
    chunks = list(datasets.chunks(data.x_test, np.arange(10), 4, "none"))
    assert [len(batch) for batch, _, _ in chunks] == [4, 4, 4]
    assert [len(chosen) for _, chosen, _ in chunks] == [4, 4, 2]
    assert (chunks[-1][0][2] == data.x_test[9]).all()
    assert len(chunks[-1][2]) == 2


def write_photographs(folder: Path, names: tuple[str, ...]) -> None:
    from PIL import Image

    for label, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        pixels = np.full((20, 30, 3), 40 * label, np.uint8)
        Image.fromarray(pixels).save(folder / name / "a.png")
        Image.fromarray(pixels[..., 0]).save(folder / name / "gray.jpg")


def test_folders_of_classes(tmp_path: Path) -> None:
    write_photographs(tmp_path / "named", ("cat", "dog"))
    loaded = datasets.load(str(tmp_path / "named"), (12, 12))
    assert loaded.y_test.tolist() == [0, 0, 1, 1]
    assert loaded.x_test.shape == (4, 12, 12, 3)
    assert loaded.x_test[[2]].dtype == np.uint8
    assert (loaded.x_test[[2]] == 40).all()
    with pytest.raises(DataError, match="2 class folders, the model 7 outputs"):
        datasets.validate(loaded, (12, 12, 3), 7)
    write_photographs(tmp_path / "numbered", ("3", "5"))
    assert datasets.load(str(tmp_path / "numbered"), (12, 12)).y_test.tolist() == [3, 3, 5, 5]


def test_damaged_photographs_are_named(tmp_path: Path) -> None:
    write_photographs(tmp_path / "d", ("a", "b"))
    (tmp_path / "d" / "a" / "a.png").write_bytes(b"no image")
    loaded = datasets.load(str(tmp_path / "d"), (8, 8))
    with pytest.raises(DataError, match=r"a\.png is not a readable image"):
        loaded.x_test[[0]]


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 rubbish")
    (tmp_path / "empty").mkdir()
    np.savez(tmp_path / "odd.npz", a=np.zeros(3))
    np.savez(tmp_path / "flat.npz", x_test=np.zeros((3, 4)), y_test=np.zeros(3, int))
    np.savez(tmp_path / "real.npz", x_test=np.zeros((3, 4, 4, 1)), y_test=np.zeros(3))
    for name, message in {
        "missing.npz": "does not exist; give an .npz file",
        "broken.npz": "not a readable .npz archive",
        "empty": "one subfolder of images a class",
        "odd.npz": r"must hold x_test and y_test .* it holds \['a'\]",
        "flat.npz": r"must be images \[N, H, W, C\]",
        "real.npz": "must be integer labels",
    }.items():
        with pytest.raises(DataError, match=message):
            datasets.load(str(tmp_path / name), (8, 8))


def test_truncated_archives_are_refused(archive: Path) -> None:
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="not a readable"):
        datasets.load(str(archive))


def test_data_are_checked_against_the_network() -> None:
    data = images(10)
    datasets.validate(data, (12, 12, 3), 4)
    with pytest.raises(DataError, match=r"images \(12, 12, 1\), x_test holds \(12, 12, 3\)"):
        datasets.validate(data, (12, 12, 1), 4)
    with pytest.raises(DataError, match=r"labels must lie in 0\.\.2"):
        datasets.validate(data, (12, 12, 3), 3)
    with pytest.raises(DataError, match="holds no images"):
        datasets.validate(Dataset("e", data.x_test[:0], data.y_test[:0]), (12, 12, 3), 4)
    with pytest.raises(DataError, match="holds 10 images, but 9 labels"):
        datasets.validate(Dataset("e", data.x_test, data.y_test[:9]), (12, 12, 3), 4)


def test_digits_need_no_download() -> None:
    digits = datasets.load("digits")
    assert digits.x_train.shape == (1438, 32, 32, 3)
    assert digits.x_test.shape == (359, 32, 32, 3)
    assert (digits.x_test.dtype, digits.num_classes) == (np.uint8, 10)


def test_cifar10_comes_from_the_data_folder(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.rename(archive.with_name("cifar10.npz"))
    monkeypatch.setenv("TFQDYN_DATA_DIR", str(archive.parent))
    assert len(datasets.load("cifar10").x_test) == 10
