import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import residual_net

from tfqdyn import modelfile
from tfqdyn.folding import fold_batchnorm
from tfqdyn.lowering import lower
from tfqdyn.modelfile import ModelFileError
from tfqdyn.rebuild import to_keras
from tfqdyn.trace import UnsupportedModelError

KERAS_2 = """
import sys, numpy as np, tf_keras as keras
k = keras.layers
keras.utils.set_random_seed(0)
x = inputs = keras.Input((8, 8, 3))
x = k.Conv2D(4, 3, use_bias=False, name="block/conv")(x)
x = k.BatchNormalization(name="block/bn")(x)
x = k.ReLU(6.0, name="block/relu")(x)
x = k.DepthwiseConv2D(3, name="dw")(x)
x = k.ReLU()(x + 3.0) * 0.5
x = k.SeparableConv2D(5, 1)(x)
x = k.GlobalAveragePooling2D()(x)
model = keras.Model(inputs, k.Dense(3, activation="softmax")(x))
model.save(sys.argv[1])
images = np.random.default_rng(0).uniform(-1, 1, (4, 8, 8, 3)).astype("float32")
np.save(sys.argv[2], model(images, training=False).numpy())
"""


def test_keras_files_come_back(tmp_path: Path) -> None:
    model = residual_net()
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        x = np.zeros((1, 12, 12, 3), np.float32)
        found = modelfile.load(tmp_path / name)(x, training=False)
        np.testing.assert_allclose(found, model(x, training=False), rtol=1e-5)


@pytest.fixture
def keras_2_file(tmp_path: Path) -> tuple[Path, np.ndarray]:
    path = tmp_path / "old.h5"
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KERAS_2, path, tmp_path / "out.npy"],
        check=True,
        env={**os.environ, "TF_USE_LEGACY_KERAS": "1"},
        capture_output=True,
    )
    return path, np.load(tmp_path / "out.npy")


@pytest.mark.filterwarnings("ignore")  # tf_keras warns of its own h5 format
def test_keras_2_files_are_rebuilt(keras_2_file: tuple[Path, np.ndarray]) -> None:
    path, expected = keras_2_file
    folded = fold_batchnorm(lower(modelfile.load(path)))
    x = np.random.default_rng(0).uniform(-1, 1, (4, 8, 8, 3)).astype(np.float32)
    found = to_keras(folded.graph)(x, training=False)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_files_that_are_no_models_are_refused(tmp_path: Path) -> None:
    (tmp_path / "rubbish.keras").write_bytes(b"rubbish")
    (tmp_path / "rubbish.h5").write_bytes(b"rubbish")
    (tmp_path / "model.pb").write_bytes(b"")
    model = residual_net()
    model.save_weights(tmp_path / "only.weights.h5")
    model.save(tmp_path / "cut.keras")
    content = (tmp_path / "cut.keras").read_bytes()
    (tmp_path / "cut.keras").write_bytes(content[: len(content) // 2])
    for name, message in {
        "missing.keras": "does not exist",
        "rubbish.keras": r"not a readable \.keras file",
        "cut.keras": r"not a readable \.keras file",
        "rubbish.h5": r"not a readable \.h5 file",
        "model.pb": r"expected a \.keras or \.h5 file",
        "only.weights.h5": "holds weights, but no model",
    }.items():
        with pytest.raises(ModelFileError, match=message):
            modelfile.load(tmp_path / name)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore:You are saving")
def test_no_code_runs_out_of_a_file(suffix: str, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    marker = str(ran)
    touching = keras.layers.Lambda(lambda x: (os.mkdir(marker), x)[1], (4,), name="evil")
    model = keras.Sequential([keras.Input((4,)), touching])
    path = tmp_path / f"m{suffix}"
    model.save(path)
    with pytest.raises(UnsupportedModelError, match="not Keras' own, which is not run: Lambda"):
        modelfile.load(path)
    assert not ran.exists()


def test_classes_from_elsewhere_are_refused(tmp_path: Path) -> None:
    @keras.saving.register_keras_serializable("elsewhere")
    class Strange(keras.layers.Layer):
        def call(self, x):
            return x

    keras.Sequential([keras.Input((4,)), Strange()]).save(tmp_path / "m.keras")
    with pytest.raises(UnsupportedModelError, match="Strange"):
        modelfile.load(tmp_path / "m.keras")


def test_broken_weights_are_named(tmp_path: Path) -> None:
    model = residual_net()
    model.get_layer("pw").kernel.assign(np.full((1, 1, 8, 8), np.nan))
    model.save(tmp_path / "nan.keras")
    with pytest.raises(ModelFileError, match="weights are NaN or infinite: pw/kernel"):
        modelfile.load(tmp_path / "nan.keras")
