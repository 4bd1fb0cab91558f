"""Data as people have them: every form gives the figures of the same arrays, or one clear error."""

import dataclasses
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import images

from tfqdyn import datasets, pipeline
from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import DataError, Dataset, Inputs
from tfqdyn.datasets.given import ONE_HOT
from tfqdyn.results import plain

N, SIZE, CLASSES = 10, 8, 4
X = images(N, SIZE).x_test
Y = images(N, SIZE).y_test
SHAPES = {"pixels": (SIZE, SIZE, 3)}
HOT = np.eye(CLASSES, dtype=np.float32)[Y]


class Batches(keras.utils.PyDataset):
    """Batches of four, the last one of two."""

    def __len__(self) -> int:
        return -(-N // 4)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        part = slice(4 * index, 4 * index + 4)
        return X[part], Y[part]


def batches(size: int, labels: np.ndarray | None = Y) -> Iterator[Any]:
    for start in range(0, N, size):
        part = slice(start, start + size)
        yield X[part] if labels is None else (X[part], labels[part])


def slices(*arrays: np.ndarray) -> tf.data.Dataset:
    (first, *others) = arrays
    return tf.data.Dataset.from_tensor_slices(arrays if others else first)


FORMS: dict[str, Callable[[], Any]] = {
    "a Dataset": lambda: Dataset("mine", X, Y),
    "(x, y)": lambda: (X, Y),
    "[x, y]": lambda: [X, Y],
    "lists of numbers": lambda: (X.tolist(), Y.tolist()),
    "tensors": lambda: (tf.constant(X), tf.constant(Y)),
    "labels [N, 1]": lambda: (X, Y[:, None]),
    "one-hot labels": lambda: (X, HOT),
    "one-hot whole numbers": lambda: (X, HOT.astype(int)),
    "a mapping": lambda: {"x_test": X, "y_test": Y},
    "by the input's name": lambda: {"pixels": X, "y_test": Y},
    "a tf.data.Dataset of samples": lambda: slices(X, Y),
    "a tf.data.Dataset of batches": lambda: slices(X, Y).batch(3),
    "a tf.data.Dataset, one-hot": lambda: slices(X, HOT).batch(4),
    "a keras.utils.PyDataset": Batches,
    "a generator of batches": lambda: batches(4),
    "a generator of samples": lambda: iter(zip(X, Y, strict=True)),
    "a generator, one-hot": lambda: batches(5, HOT),
}
WITHOUT_LABELS: dict[str, Callable[[], Any]] = {
    "an array": lambda: X,
    "a tf.data.Dataset": lambda: slices(X).batch(3),
    "a generator": lambda: batches(4, None),
    "(x, None)": lambda: (X, None),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_with_labels_is_the_same_data(form: str) -> None:
    found = datasets.given(FORMS[form](), SHAPES)
    np.testing.assert_array_equal(np.asarray(found.x_test), X)
    np.testing.assert_array_equal(found.y_test, Y)
    assert found.y_test is not None
    assert found.y_test.dtype.kind in "ui"
    assert found.x_train is None
    assert found.notes == ((ONE_HOT,) if "one-hot" in form else ())


@pytest.mark.parametrize("form", WITHOUT_LABELS)
def test_every_form_without_labels_is_the_same_data(form: str) -> None:
    found = datasets.given(WITHOUT_LABELS[form](), SHAPES)
    np.testing.assert_array_equal(found.x_test, X)
    assert found.y_test is None


def test_training_and_test_data_as_keras_gives_them() -> None:
    found = datasets.given(((X[:6], Y[:6]), (X[6:], Y[6:])), SHAPES)
    np.testing.assert_array_equal(found.x_train, X[:6])
    np.testing.assert_array_equal(found.y_test, Y[6:])


def test_image_files_are_read_in_the_networks_size(tmp_path: Path) -> None:
    files = []
    for place, image in enumerate(X):
        files.append(tmp_path / f"{place}.png")
        keras.utils.save_img(files[-1], image, scale=False)
    for given in ((files, Y), ([str(file) for file in files], Y)):
        found = datasets.given(given, SHAPES)
        np.testing.assert_array_equal(found.x_test[[3, 1]], X[[3, 1]])
        np.testing.assert_array_equal(found.y_test, Y)
    assert datasets.given(files, SHAPES).y_test is None
    with pytest.raises(DataError, match=r"gone\.png is no file \(1 of 11 are not\)"):
        datasets.given([*files, tmp_path / "gone.png"], SHAPES)


def test_networks_with_several_inputs() -> None:
    shapes = {"a": (2,), "b": (3,)}
    a, b = np.ones((N, 2), np.float32), np.zeros((N, 3), np.float32)
    stream = (({"a": a[k : k + 5], "b": b[k : k + 5]}, Y[k : k + 5]) for k in (0, 5))
    for given in (({"a": a, "b": b}, Y), ((a, b), Y), {"a": a, "b": b, "y_test": Y}, stream):
        found = datasets.given(given, shapes)
        assert isinstance(found.x_test, Inputs)
        np.testing.assert_array_equal(found.x_test.arrays["b"], b)
        np.testing.assert_array_equal(found.y_test, Y)
    with pytest.raises(DataError, match="the model has 2 inputs"):
        datasets.given((a, Y), shapes)
    with pytest.raises(DataError, match="no array for b; the model's inputs are a, b"):
        datasets.given(({"a": a}, Y), shapes)


def test_what_is_loaded_behaves_like_an_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x_test=X, y_test=HOT)
    for place, image in enumerate(X):
        (tmp_path / "f" / str(Y[place])).mkdir(parents=True, exist_ok=True)
        keras.utils.save_img(tmp_path / "f" / str(Y[place]) / f"{place:02}.png", image, scale=False)
    archive = datasets.load(str(tmp_path / "d.npz"))
    folder = datasets.load(str(tmp_path / "f"), (SIZE, SIZE))
    np.testing.assert_array_equal(archive.y_test, Y)
    assert archive.notes == (ONE_HOT,)
    order = np.argsort(Y, kind="stable")
    for data, expected in ((archive, X), (folder, X[order])):
        held = data.x_test
        assert (held.shape, held.dtype, held.ndim, len(held)) == (X.shape, X.dtype, 4, N)
        np.testing.assert_array_equal(np.asarray(held), expected)
        np.testing.assert_array_equal(np.asarray(held, np.float32), expected.astype(np.float32))
        np.testing.assert_array_equal(held[3], expected[3])
        np.testing.assert_array_equal(held[-1], expected[-1])
        np.testing.assert_array_equal(held[2:7:2], expected[2:7:2])
        dark = expected[:, 0, 0, 0] > 99
        np.testing.assert_array_equal(held[dark], expected[dark])
        assert held[:0].shape == (0, SIZE, SIZE, 3)
        with pytest.raises(IndexError):
            held[N]


def infinite() -> tf.data.Dataset:
    return slices(X, Y).batch(2).repeat()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (lambda: "x.npz", r"expected an array, \(inputs, labels\), .*received str"),
        (lambda: object(), "received object"),
        (lambda: (X, Y, Y, Y), "a tuple of 4"),
        (lambda: (np.array(["a", "b"]), Y), "received ndarray of shape"),
        (lambda: iter(()), "hold no sample; a generator can be read once only"),
        (infinite, "infinite .*take"),
        (lambda: {"x_test": X, "labels": Y}, "expected arrays x_test, .* received labels too"),
    ],
)
def test_refusals_say_what_was_expected_and_received(data: Callable[[], Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        datasets.given(data(), SHAPES)


def test_float_labels_that_are_no_classes_stay() -> None:
    targets = np.linspace(0, 1, 2 * N).reshape(N, 2)
    np.testing.assert_array_equal(datasets.given((X, targets), SHAPES).y_test, targets)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    k = keras.layers
    x = inputs = keras.Input((SIZE, SIZE, 3), name="pixels")
    x = k.GlobalAveragePooling2D()(k.Conv2D(4, 3, activation="relu")(x))
    return keras.Model(inputs, k.Dense(CLASSES)(x))


CONFIG = AnalysisConfig(preprocessing="unit", trials=1, calibration_size=4)


@pytest.mark.parametrize("form", ["(x, y)", "a generator, one-hot", "a tf.data.Dataset of batches"])
def test_an_analysis_takes_any_form(form: str, model: keras.Model) -> None:
    expected = pipeline.analyze(model, Dataset("given", X, Y), CONFIG)
    found = pipeline.analyze(model, FORMS[form](), CONFIG)
    assert plain(found.summary) == plain(expected.summary)
    assert found.layers == expected.layers
    assert (ONE_HOT in found.notes) == ("one-hot" in form)


def test_preprocessing_of_the_users_own(
    model: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_scaling.py").write_text(
        "def scale(x):\n    x /= 255\n    return x\n"
        "def wrong(x):\n    return x[:1]\n"
        "def broken(x):\n    raise KeyError('mean')\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    own = dataclasses.replace(CONFIG, preprocessing="own_scaling:scale")
    found, expected = (pipeline.analyze(model, (X, Y), config) for config in (own, CONFIG))
    assert found.layers == expected.layers
    for name, said in (
        ("own_scaling:wrong", r"must give numbers of the images' shape .* it gave float32"),
        ("own_scaling:broken", "fails on images .*: KeyError: 'mean'"),
        ("own_scaling:missing", "own_scaling has no 'missing'"),
        ("no_such_module:scale", "cannot be imported: ModuleNotFoundError"),
        ("own_scaling:", "must be package.module:function"),
    ):
        with pytest.raises(DataError, match=said):
            datasets.preprocess(X, name)


@pytest.mark.parametrize(
    ("named", "module"),
    [
        ("keras.applications.mobilenet_v2.preprocess_input", keras.applications.mobilenet_v2),
        ("tf.keras.applications.vgg16.preprocess_input", keras.applications.vgg16),
        ("densenet.preprocess_input", keras.applications.densenet),
        ("resnet_v2", keras.applications.resnet_v2),
        ("efficientnet", keras.applications.efficientnet),
        ("mobilenet_v3", keras.applications.mobilenet_v3),
    ],
)
def test_preprocess_input_is_known_by_name(named: str, module: Any) -> None:
    mode = AnalysisConfig(preprocessing=named).preprocessing
    assert mode in datasets.PREPROCESSING
    given = X.astype(np.float32)
    np.testing.assert_allclose(
        datasets.preprocess(given, mode), module.preprocess_input(given.copy()), atol=1e-5
    )


def test_unknown_preprocessings_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"must be one of \['auto', 'caffe'.*received 'imagenet'"):
        AnalysisConfig(preprocessing="imagenet")
