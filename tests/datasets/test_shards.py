"""Data in files of records, held against TensorFlow's and pyarrow's own writers."""

import io
import pickle
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tfqdyn import datasets
from tfqdyn.datasets import DataError, examples
from tfqdyn.files.joined import Joined

RNG = np.random.default_rng(3)
PHOTOGRAPHS = RNG.integers(0, 256, (7, 12, 12, 3)).astype(np.uint8)


def png(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def example(**features: Any) -> bytes:
    import tensorflow as tf

    def feature(value: Any) -> Any:
        if isinstance(value, bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        if isinstance(value, int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        return tf.train.Feature(float_list=tf.train.FloatList(value=value))

    named = {name.replace("__", "/"): feature(value) for name, value in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=named)).SerializeToString()


def written(path: Path, records: list[bytes]) -> Path:
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return path


def imagenet(path: Path, chosen: range) -> Path:
    """As ImageNet's files are."""
    return written(path, [
        example(image__encoded=png(PHOTOGRAPHS[k]), image__class__label=k + 994,
                image__class__text=b"a name", image__height=12)
        for k in chosen
    ])  # fmt: skip


def test_tfrecord_files_of_photographs(tmp_path: Path) -> None:
    imagenet(tmp_path / "validation-00000-of-00002", range(4))
    imagenet(tmp_path / "validation-00001-of-00002", range(4, 7))
    imagenet(tmp_path / "train-00000-of-00001", range(2))
    (tmp_path / "_SUCCESS").touch()
    data = datasets.load(str(tmp_path), (12, 12))
    np.testing.assert_array_equal(data.x_test[np.array([6, 0, 3, 4])], PHOTOGRAPHS[[6, 0, 3, 4]])
    np.testing.assert_array_equal(np.asarray(data.x_test), PHOTOGRAPHS)
    assert data.y_test is not None
    np.testing.assert_array_equal(data.y_test, np.arange(993, 1000))
    assert data.y_train is not None
    np.testing.assert_array_equal(data.y_train, [993, 994])
    np.testing.assert_array_equal(data.x_train[:], PHOTOGRAPHS[:2])
    (note,) = data.notes
    assert "count from 1" in note
    assert [file.name for file in data.x_test.files] == [
        "validation-00000-of-00002", "validation-00001-of-00002",
    ]  # fmt: skip


def test_labels_that_have_a_zero_are_as_they_are(tmp_path: Path) -> None:
    told = [example(image__encoded=png(PHOTOGRAPHS[k]), image__class__label=k) for k in range(3)]
    data = datasets.load(str(written(tmp_path / "a.tfrecord", told)), (12, 12))
    assert data.y_test is not None
    assert (data.y_test.tolist(), data.notes) == ([0, 1, 2], ())


def test_labels_without_the_last_class_are_as_they_are(tmp_path: Path) -> None:
    told = [example(image__encoded=png(PHOTOGRAPHS[k]), image__class__label=k) for k in (1, 2)]
    data = datasets.load(str(written(tmp_path / "a.tfrecord", told)), (12, 12))
    assert data.y_test is not None
    assert (data.y_test.tolist(), data.notes) == ([1, 2], ())


def test_numbers_in_tfrecords_without_labels(tmp_path: Path) -> None:
    values = RNG.normal(size=(5, 4)).astype(np.float32)
    file = written(tmp_path / "a.tfrecords", [example(x=list(map(float, v))) for v in values])
    data = datasets.load(str(file))
    assert data.y_test is None
    np.testing.assert_array_equal(data.x_test[1:4], values[1:4])


def test_every_damaged_byte_of_a_tfrecord_file_is_told(tmp_path: Path) -> None:
    whole = written(tmp_path / "a.tfrecord", [example(x=[1.0, 2.0], label=1)]).read_bytes()
    file = tmp_path / "b.tfrecord"
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DataError, match=r"record 0 of .* is (damaged|cut off)"):
            datasets.load(str(file))
    for length in range(1, len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"record 0 of .* is (damaged|cut off)"):
            datasets.load(str(file))


def record(data: bytes) -> bytes:
    """A record with checksums that fit."""
    length = struct.pack("<Q", len(data))
    sums = (struct.pack("<I", examples.masked_crc(part)) for part in (length, data))
    return length + next(sums) + data + next(sums)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "holds no records"),
        ([b"\xff\xff\xff"], "record 0 of .* is no tf.train.Example"),
        ([b""], "record 0 of .* its features are none"),
        (["sound"], "record 0 of .* its features are label, sound"),
        (["two labels"], "label of record 0 of .* should be one whole number, it holds 2"),
        (["photograph"], "give the image_size"),
        (["labeled", "bare"], "1 of 2 records have a label"),
    ],
)
def test_tfrecords_that_are_no_data_are_refused(
    records: list[Any], message: str, tmp_path: Path
) -> None:
    import tensorflow as tf

    two = tf.train.Feature(int64_list=tf.train.Int64List(value=[1, 2]))
    x = tf.train.Feature(float_list=tf.train.FloatList(value=[0.5]))
    both = tf.train.Example(features=tf.train.Features(feature={"x": x, "label": two}))
    made = {
        "sound": example(sound=[0.5], label=1),
        "two labels": both.SerializeToString(),
        "photograph": example(image=png(PHOTOGRAPHS[0])),
        "labeled": example(x=[0.5], label=1),
        "bare": example(x=[0.5]),
    }
    file = tmp_path / "a.tfrecord"
    file.write_bytes(b"".join(record(made.get(one, one)) for one in records))
    with pytest.raises(DataError, match=message):
        datasets.load(str(file))


def test_samples_of_other_shapes_are_told(tmp_path: Path) -> None:
    told = [example(x=[1.0, 2.0]), example(x=[1.0])]
    data = datasets.load(str(written(tmp_path / "a.tfrecord", told)))
    with pytest.raises(DataError, match=r"record 1 of .* has shape \(1,\), the first one \(2,\)"):
        data.x_test[:]


def test_parquet_files_of_photographs(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")

    def save(name: str, chosen: range) -> None:
        images = [{"bytes": png(PHOTOGRAPHS[k]), "path": None} for k in chosen]
        table = pa.table({"image": images, "label": list(chosen)})
        parquet.write_table(table, tmp_path / name, row_group_size=2)

    save("test-00000-of-00002.parquet", range(5))
    save("test-00001-of-00002.parquet", range(5, 7))
    save("train-00000-of-00001.parquet", range(3))
    data = datasets.load(str(tmp_path), (12, 12))
    np.testing.assert_array_equal(data.x_test[np.array([6, 1, 4])], PHOTOGRAPHS[[6, 1, 4]])
    np.testing.assert_array_equal(np.asarray(data.x_test), PHOTOGRAPHS)
    assert data.y_test is not None
    np.testing.assert_array_equal(data.y_test, np.arange(7))
    np.testing.assert_array_equal(data.x_train[:], PHOTOGRAPHS[:3])
    again = pickle.loads(pickle.dumps(data.x_test))
    np.testing.assert_array_equal(again[:], PHOTOGRAPHS)
    assert len(pickle.dumps(data.x_test)) < 5000, "paths travel, images do not"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"sound": [1.0]}, "its columns are sound"),
        (
            {"x": [[1.0]], "label": ["cat"]},
            "label of .* should hold whole numbers, it holds string",
        ),
        ({"x": ["text"]}, "x of row 0 of .* should be a photograph's bytes or a list of numbers"),
        (None, "is not a readable Parquet file"),
        ({"image": [b"no image"]}, "row 0 of .* is not a readable image"),
    ],
)
def test_parquet_files_that_are_no_data_are_refused(
    columns: dict[str, Any] | None, message: str, tmp_path: Path
) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "a.parquet"
    if columns is not None:
        parquet.write_table(pa.table(columns), file)
    else:
        file.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DataError, match=message):
        datasets.load(str(file), (4, 4))


def test_archives_of_a_folder_are_one_data_set(tmp_path: Path) -> None:
    x, y = RNG.integers(0, 256, (9, 4, 4, 3)).astype(np.uint8), np.arange(9)
    for k in range(3):
        np.savez(
            tmp_path / f"part_{k}.npz", x_test=x[3 * k : 3 * k + 3], y_test=y[3 * k : 3 * k + 3]
        )
    data = datasets.load(str(tmp_path))
    assert isinstance(data.x_test, Joined)
    assert data.y_test is not None
    np.testing.assert_array_equal(data.x_test[np.array([8, 0, 4])], x[[8, 0, 4]])
    np.testing.assert_array_equal(data.y_test, y)
    flat = data.x_test.reshape(9, 48)
    np.testing.assert_array_equal(flat[np.array([5, 2])], x.reshape(9, 48)[[5, 2]])
    assert getattr(flat, "files") == data.x_test.files  # noqa: B009
    with pytest.raises(ValueError, match="cannot take"):
        data.x_test.reshape(3, 144)


def test_archives_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_test=np.zeros((2, 4, 4, 3)), y_test=np.zeros(2, int))
    np.savez(tmp_path / "b.npz", x_test=np.zeros((2, 5, 4, 3)), y_test=np.zeros(2, int))
    with pytest.raises(DataError, match=r"b.npz holds samples float64 \(5, 4, 3\)"):
        datasets.load(str(tmp_path))
    np.savez(tmp_path / "b.npz", x_test=np.zeros((2, 4, 4, 3)))
    with pytest.raises(DataError, match=r"b.npz holds no labels, other files"):
        datasets.load(str(tmp_path))
    np.savez_compressed(tmp_path / "b.npz", x_test=np.zeros((2, 4, 4, 3)))
    with pytest.raises(DataError, match=r"x_test of .*b.npz must be .* compressed"):
        datasets.load(str(tmp_path))
    (tmp_path / "c.parquet").touch()
    with pytest.raises(DataError, match="holds files of several kinds"):
        datasets.load(str(tmp_path))


def test_neither_tensorflow_nor_numba_is_loaded_for_nothing(tmp_path: Path) -> None:
    written(tmp_path / "a.tfrecord", [example(x=[1.0], label=0)])
    code = (
        "import sys; from tfqdyn import datasets; assert 'numba' not in sys.modules; "
        f"datasets.load({str(tmp_path / 'a.tfrecord')!r}); assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
