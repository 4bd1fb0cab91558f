import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import images

from tfqdyn import datasets
from tfqdyn.datasets import DataError, Dataset
from tfqdyn.files import memory
from tfqdyn.files.archives import ArchivedImages


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
    np.savez(tmp_path / "flat.npz", x_test=np.zeros(3), y_test=np.zeros(3, int))
    np.savez(tmp_path / "real.npz", x_test=np.zeros((3, 8, 8, 1)), y_test=np.full(3, np.nan))
    for name, message in {
        "missing.npz": "does not exist; give an .npz, .tfrecord or .parquet file",
        "broken.npz": "not a readable .npz archive",
        "empty": "one subfolder of images per class, or images without labels; it holds none",
        "odd.npz": r"a of .* must be images \[N, H, W, C\], or vectors or other arrays",
        "flat.npz": r"must be images \[N, H, W, C\]",
        "real.npz": "labels must be finite numbers",
    }.items():
        with pytest.raises(DataError, match=message):
            datasets.load(str(tmp_path / name), (8, 8))


def test_truncated_archives_are_refused(archive: Path) -> None:
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="not a readable"):
        datasets.load(str(archive))


ARCHIVES = {
    "compressed to nothing": (
        lambda p: bomb(p, (2**42, 12, 12, 3), 2**42 * 432, zeros=1000), "by its header, the arch"
    ),
    "of 393 TiB": (lambda p: bomb(p, (10**12, 12, 12, 3), 10**12 * 432), "not a readable"),
    "negative": (
        lambda p: write_zip(p, {"x_test.npy": told((-5, 12, 12, 3)), "y_test.npy": told((0,))}),
        "should hold numbers",
    ),
    "a single array": (lambda p: p.write_bytes(told((3,)) + bytes(3)), "not a readable"),
    "no array inside": (
        lambda p: write_zip(p, {"x_test.npy": b"text", "y_test.npy": b"text"}), "not a readable"
    ),
    "objects": (lambda p: np.savez(p, x_test=[{}], y_test=[1]), "should hold numbers"),
    "texts": (lambda p: np.savez(p, x_test=["a"], y_test=[1]), "should hold numbers, it holds <U1"),
    "a nested header": (
        lambda p: write_zip(p, {"x_test.npy": header("(" * 5000), "y_test.npy": b""}), "is not a re"
    ),
    "other images": (
        lambda p: np.savez(p, x_test=np.zeros((2, 9, 9, 3)), y_test=[0, 1]),
        r"expects images of \(12, 12\), x_test of .* holds \(9, 9, 3\)",
    ),
    "fewer labels": (
        lambda p: np.savez(p, x_test=np.zeros((2, 12, 12, 3)), y_test=[0]),
        "holds 2 images, but 1 labels came",
    ),
    "images without pixels": (
        lambda p: np.savez(p, x_test=np.zeros((2, 0, 12, 3)), y_test=[0, 1]), "must be images"
    ),
}  # fmt: skip


def header(text: str) -> bytes:
    """The beginning of a `.npy` file with a header of any text."""
    return b"\x93NUMPY\x02\x00" + len(text).to_bytes(4, "little") + text.encode()


def told(shape: tuple[int, ...]) -> bytes:
    """The beginning of a `.npy` file of bytes."""
    return header(f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}")


def write_zip(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def bomb(path: Path, shape: tuple[int, ...], size: int, zeros: int = 0) -> None:
    """An archive whose images should be of a shape, and which states a size that it has not."""
    labels = told((1,)) + bytes(1)
    write_zip(path, {"x_test.npy": told(shape) + bytes(zeros), "y_test.npy": labels})
    if not zeros:
        content = path.read_bytes()
        field = len(told(shape)).to_bytes(4, "little")
        path.write_bytes(content.replace(field, min(size, 2**32 - 2).to_bytes(4, "little")))


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_are_told_before_they_are_read(name: str, tmp_path: Path) -> None:
    write, message = ARCHIVES[name]
    write(tmp_path / "a.npz")
    with pytest.raises(DataError, match=message):
        datasets.load(str(tmp_path / "a.npz"), (12, 12))


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_archives_damaged_anywhere_are_refused_or_hold_what_they_say(
    write: Callable, tmp_path: Path
) -> None:
    data = images(10)
    write(tmp_path / "a.npz", x_test=data.x_test, y_test=data.y_test)
    content = (tmp_path / "a.npz").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(content)
        for position in rng.integers(0, len(content), 3):
            damaged[position] = rng.integers(256)
        (tmp_path / "a.npz").write_bytes(damaged)
        try:
            loaded = datasets.load(str(tmp_path / "a.npz"))
        except DataError:
            continue
        assert loaded.x_test[[0, 9]].shape == (2, 12, 12, 3)


def test_more_than_half_of_the_memory_is_refused(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = images(10)
    np.savez_compressed(archive, x_test=data.x_test, y_test=data.y_test)
    monkeypatch.setattr(memory, "total", lambda: 8000)
    with pytest.raises(DataError, match=r"x_test takes 0\.0 GB, more than half of the memory here"):
        datasets.load(str(archive))


def test_photographs_are_of_known_formats_whatever_their_name(tmp_path: Path) -> None:
    """Pillow would give an EPS file to Ghostscript, which runs it."""
    write_photographs(tmp_path / "d", ("a", "b"))
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    (tmp_path / "d" / "a" / "a.png").write_bytes(eps)
    with pytest.raises(DataError, match=r"a\.png is not a readable image: cannot identify"):
        datasets.load(str(tmp_path / "d"), (8, 8)).x_test[[0]]


def png(width: int, height: int) -> bytes:
    """A PNG file of any size, without pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [10_000, 100_000])
def test_photographs_that_decompress_to_gigabytes_are_refused(size: int, tmp_path: Path) -> None:
    write_photographs(tmp_path / "d", ("a", "b"))
    (tmp_path / "d" / "a" / "a.png").write_bytes(png(size, size))
    with pytest.raises(
        DataError, match=rf"a\.png is not a readable image: .*\({size * size} pixels"
    ):
        datasets.load(str(tmp_path / "d"), (8, 8)).x_test[[0]]


def test_pipes_and_absurd_class_numbers_are_refused(tmp_path: Path) -> None:
    write_photographs(tmp_path / "numbered", ("3", "99999999999999999999"))
    with pytest.raises(DataError, match="class numbers go up to 999,999"):
        datasets.load(str(tmp_path / "numbered"), (8, 8))
    write_photographs(tmp_path / "named", ("a", "b"))
    os.mkfifo(tmp_path / "named" / "b" / "c.jpg")
    with pytest.raises(DataError, match=r"c\.jpg is no file"):
        datasets.load(str(tmp_path / "named"), (8, 8))


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


def test_data_need_no_labels(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    np.savez(tmp_path / "v.npz", x_test=vectors, x_train=vectors[:3])
    loaded = datasets.load(str(tmp_path / "v.npz"))
    assert (loaded.y_test, loaded.y_train) == (None, None)
    fitted = datasets.fitted(loaded, {"features": (7,)})
    np.testing.assert_array_equal(fitted.x_test[np.array([4, 0])], vectors[[4, 0]])
    np.testing.assert_array_equal(fitted.x_train[np.arange(3)], vectors[:3])
    write_photographs(tmp_path / "d", ("",))
    photographs = datasets.load(str(tmp_path / "d"), (6, 6))
    assert photographs.x_test.shape == (2, 6, 6, 3)
    assert photographs.y_test is None


def test_labels_keep_their_shape(tmp_path: Path) -> None:
    maps = np.arange(3 * 4, dtype=np.uint8).reshape(3, 2, 2)
    np.savez(tmp_path / "s.npz", x_test=np.zeros((3, 2, 2, 1)), y_test=maps)
    assert datasets.load(str(tmp_path / "s.npz")).y_test.tolist() == maps.tolist()
    targets = np.array([[0.5], [1.5], [2.5]])
    np.savez(tmp_path / "r.npz", x_test=np.zeros((3, 2)), y_test=targets)
    assert datasets.load(str(tmp_path / "r.npz")).y_test.tolist() == [0.5, 1.5, 2.5]


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_spectrograms_take_the_shape_of_the_input(write: Callable, tmp_path: Path) -> None:
    """[N, T, F] for an input [T, F, 1], and the reverse."""
    x = np.random.default_rng(0).normal(size=(4, 6, 5)).astype(np.float32)
    write(tmp_path / "a.npz", x_test=x)
    loaded = datasets.load(str(tmp_path / "a.npz"))
    for shape in ((6, 5, 1), (6, 5)):
        fitted = datasets.fitted(loaded, {"spectrogram": shape})
        assert fitted.x_test.shape == (4, *shape)
        assert (fitted.x_test[np.array([3, 1])] == x[[3, 1]].reshape(2, *shape)).all()
    with pytest.raises(DataError, match=r"expects images \(5, 6\), x_test holds \(6, 5, 1\)"):
        datasets.fitted(loaded, {"spectrogram": (5, 6)})


def test_several_inputs_have_an_array_each_by_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    photographs = rng.integers(0, 256, (5, 4, 4, 3)).astype(np.uint8)
    vectors = rng.normal(size=(5, 2)).astype(np.float32)
    np.savez(
        tmp_path / "a.npz", image=photographs, meta_test=vectors, image_train=photographs[:2],
        meta_train=vectors[:2], y_test=np.arange(5),
    )  # fmt: skip
    loaded = datasets.load(str(tmp_path / "a.npz"))
    shapes = {"meta": (2,), "image": (4, 4, 3)}
    fitted = datasets.fitted(loaded, shapes)
    assert list(fitted.x_test.arrays) == ["meta", "image"]  # in the network's order
    assert (len(fitted.x_test), len(fitted.x_train)) == (5, 2)
    (first, second) = datasets.chunks(fitted.x_test, np.array([4, 1, 0]), 2, "tf")
    batch, indices, digests = first
    assert (batch.arrays["image"] == photographs[[4, 1]] / np.float32(127.5) - np.float32(1)).all()
    assert (batch.arrays["meta"] == vectors[[4, 1]]).all()  # float data as they are
    assert indices.tolist() == [4, 1]
    assert len({*digests, *second[2]}) == 3
    assert len(second[0]) == 2
    with pytest.raises(DataError, match=r"no array for audio; the model's inputs are image, audio"):
        datasets.fitted(loaded, {"image": (4, 4, 3), "audio": (2,)})
    with pytest.raises(DataError, match=r"2 inputs .* x_test of 't' is one array"):
        datasets.fitted(Dataset("t", photographs), shapes)
    uneven = datasets.Inputs({"image": photographs, "meta": vectors[:4]})
    with pytest.raises(DataError, match="as many samples each"):
        datasets.fitted(Dataset("t", uneven), shapes)
    broken = datasets.Inputs({"image": photographs, "meta": np.full((5, 2), np.nan)})
    with pytest.raises(DataError, match="image 3 of input 'meta' holds NaN"):
        list(datasets.chunks(broken, [3], 1, "none"))
