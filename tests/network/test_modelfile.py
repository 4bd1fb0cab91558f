import json
import os
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from conftest import randomize, residual_net
from keras.src.applications.convnext import LayerScale, StochasticDepth

from tfqdyn.files import apart
from tfqdyn.network import modelfile, weightfile
from tfqdyn.network.description import Builder, read
from tfqdyn.network.folding import fold_batchnorm
from tfqdyn.network.lowering import lower
from tfqdyn.network.modelfile import ModelFileError
from tfqdyn.network.rebuild import to_keras
from tfqdyn.network.trace import UnsupportedModelError

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


@pytest.mark.parametrize("entry", ["TFOpLambda", "Lambda"])
def test_no_old_file_writes_when_it_is_read(entry: str, tmp_path: Path) -> None:
    """Keras 3 refuses the layer; tf_keras would run it while it builds the model."""
    written = tmp_path / "written"
    call = [["_CONSTANT_VALUE", -1, str(written), {"contents": "x"}]]
    first = {"name": "i", "batch_input_shape": [None, 4], "dtype": "float32"}
    layers = [
        {"class_name": "InputLayer", "config": first, "name": "i", "inbound_nodes": []},
        {"class_name": entry, "config": {"name": "e", "function": "io.write_file"}, "name": "e",
         "inbound_nodes": call},
    ]  # fmt: skip
    ends = {"input_layers": [["i", 0, 0]], "output_layers": [["i", 0, 0]]}
    described = {"class_name": "Functional", "config": {"name": "m", "layers": layers, **ends}}
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(described)
        file.create_group("model_weights")
    with pytest.raises(ValueError, match=r"first input|which is not run"):
        modelfile.load(tmp_path / "m.h5")
    assert not written.exists()


def test_nested_and_shared_layers_keep_their_weights(tmp_path: Path) -> None:
    k = keras.layers
    inner = keras.Sequential([keras.Input((8, 8, 3)), k.Conv2D(4, 1), k.BatchNormalization()])
    first = keras.Input((8, 8, 4))
    outer = keras.Model(first, k.Conv2D(4, 3, padding="same")(first), name="outer")
    inputs = keras.Input((8, 8, 3))
    x, y = inner(inputs), inner(k.ReLU(name="relu")(inputs))
    shared = k.Conv2D(4, 1, name="shared")
    x = k.Add()([shared(outer(x)), shared(outer(y)) * 2.0])
    x = keras.ops.relu6(1.0 - x)
    model = randomize(keras.Model(inputs, k.Dense(3)(k.GlobalAveragePooling2D()(x))))
    model.save(tmp_path / "m.keras")
    found = modelfile.load(tmp_path / "m.keras")
    images = np.random.default_rng(0).uniform(-1, 1, (4, 8, 8, 3)).astype(np.float32)
    np.testing.assert_array_equal(found(images), model(images))
    assert [layer.name for layer in found.layers] == [layer.name for layer in model.layers]


def test_layers_that_uint8_does_not_take_come_back(tmp_path: Path) -> None:
    k = keras.layers
    x = inputs = keras.Input((8, 8, 3))
    x = k.LayerNormalization(epsilon=1e-6)(k.Conv2D(4, 1, activation="gelu")(x))
    x = keras.ops.softplus(keras.ops.gelu(k.ELU(0.5)(x), approximate=False))
    x = StochasticDepth(0.5)(LayerScale(0.1, 4)(x))
    model = randomize(keras.Model(inputs, k.Dense(3, activation="selu")(k.Flatten()(x))))
    model.save(tmp_path / "m.keras")
    found = to_keras(lower(modelfile.load(tmp_path / "m.keras"), None))
    images = np.random.default_rng(0).uniform(-1, 1, (4, 8, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(found(images), model(images, training=False), rtol=1e-5, atol=1e-6)


def test_a_sequential_model_without_an_input_layer(tmp_path: Path) -> None:
    model = keras.Sequential([keras.layers.Conv2D(2, 3), keras.layers.Flatten()])
    model.build((None, 8, 8, 3))
    model.save(tmp_path / "m.keras")
    found = modelfile.load(tmp_path / "m.keras")
    images = np.ones((1, 8, 8, 3), np.float32)
    np.testing.assert_array_equal(found(images), model(images))


KERNELS: dict[str, tuple[keras.layers.Layer, int]] = {
    "Conv1D": (keras.layers.Conv1D(6, 3, groups=2, use_bias=False), 3 * 4 // 2 * 6),
    "Conv1DTranspose": (keras.layers.Conv1DTranspose(6, 3, use_bias=False), 3 * 4 * 6),
    "DepthwiseConv1D": (keras.layers.DepthwiseConv1D(3, use_bias=False), 3 * 4),
    "SeparableConv1D": (keras.layers.SeparableConv1D(6, 3, use_bias=False), 3 * 4 + 4 * 6),
    "Conv2D": (keras.layers.Conv2D(6, (3, 2), groups=2, use_bias=False), 3 * 2 * 4 // 2 * 6),
    "Conv2DTranspose": (keras.layers.Conv2DTranspose(6, 3, use_bias=False), 3 * 3 * 4 * 6),
    "Dense": (keras.layers.Dense(5, use_bias=False), 4 * 5),
    "DepthwiseConv2D": (keras.layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False), 72),
    "EinsumDense": (keras.layers.EinsumDense("abcd,def->abcef", (8, 8, 5, 2)), 4 * 5 * 2),
    "LayerNormalization": (keras.layers.LayerNormalization(axis=[1, 3]), 2 * 8 * 4),
    "LayerNormalization without offset": (keras.layers.LayerNormalization(center=False), 4),
    "PReLU": (keras.layers.PReLU(shared_axes=[1, 2]), 4),
    "PReLU of all": (keras.layers.PReLU(), 8 * 8 * 4),
    "SeparableConv2D": (
        keras.layers.SeparableConv2D(6, 3, depth_multiplier=2, use_bias=False),
        3 * 3 * 8 + 8 * 6,
    ),
    "BatchNormalization": (keras.layers.BatchNormalization(center=False, scale=False), 2 * 4),
}


@pytest.mark.parametrize("functional", [True, False])
@pytest.mark.parametrize("name", KERNELS)
def test_a_layer_is_not_built_where_the_file_lacks_its_weights(
    name: str, functional: bool, tmp_path: Path
) -> None:
    layer, weights = KERNELS[name]
    layer = layer.from_config(layer.get_config())
    shape = (8, 4) if "1D" in name else (8, 8, 4)
    model = keras.Sequential([keras.Input(shape), layer])
    if functional:
        model = keras.Model(model.inputs, layer(model.inputs[0]))
    assert model.count_params() == weights
    model.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        network = read(json.loads(archive.read("config.json")))
    assert Builder(keras, 2 * weights).model(network).count_params() == weights
    with pytest.raises(ModelFileError, match=rf"needs {weights} weights; .* has {2 * weights - 1}"):
        Builder(keras, 2 * weights - 1).model(network)


def rewritten(path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """A `.keras` file with its description changed."""
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    described = json.loads(held["config.json"])
    change(described)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**held, "config.json": json.dumps(described)}.items():
            archive.writestr(name, content)
    return path


def test_huge_layers_are_refused_before_they_are_built(tmp_path: Path) -> None:
    residual_net().save(tmp_path / "m.keras")
    rewritten(
        tmp_path / "m.keras", lambda m: m["config"]["layers"][-1]["config"].update(units=10**8)
    )
    with pytest.raises(ModelFileError, match=r"'logits' \(Dense\) needs 1,600,000,000 weights"):
        modelfile.load(tmp_path / "m.keras")


def test_huge_attention_is_refused_before_it_is_built(tmp_path: Path) -> None:
    """4 channels: query 4 x 10^8 x 2, output 10^8 x 2 x 4, and 10^8 x 2 for key and value each."""
    inputs = keras.Input((5, 4))
    attention = keras.layers.MultiHeadAttention(3, 2, name="mha")
    keras.Model(inputs, attention(inputs, inputs)).save(tmp_path / "m.keras")
    rewritten(
        tmp_path / "m.keras",
        lambda m: m["config"]["layers"][-1]["config"].update(num_heads=10**8),
    )
    with pytest.raises(ModelFileError, match=r"'mha' .* needs 3,200,000,000 weights"):
        modelfile.load(tmp_path / "m.keras")


def bomb(path: Path, name: str) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in ("config.json", modelfile.WEIGHTS):
            archive.writestr(entry, bytes(17 * 2**20) if entry == name else b"{}")


ARCHIVES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a description of zeros": (lambda p: bomb(p, "config.json"), r"config\.json has 17,825,792 b"),
    "weights of zeros": (lambda p: bomb(p, modelfile.WEIGHTS), "is compressed"),
    "no weights": (lambda p: zipfile.ZipFile(p, "w").writestr("config.json", "{}"), "should hold"),
    "no JSON": (lambda p: rewritten(p, lambda m: m.clear()), "must be a text"),
    "a pipe": (lambda p: (p.unlink(), os.mkfifo(p)), r"expected a \.keras or \.h5 file"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_are_checked_before_they_are_read(name: str, tmp_path: Path) -> None:
    make, message = ARCHIVES[name]
    residual_net().save(tmp_path / "m.keras")
    make(tmp_path / "m.keras")
    with pytest.raises(ModelFileError, match=message):
        modelfile.load(tmp_path / "m.keras")


def linked(file: h5py.File, link: Any) -> None:
    del file["model_weights/stem/stem"]
    file["model_weights/stem/stem"] = link


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((8,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (8,))
    file.create_virtual_dataset("virtual", layout)


HDF5: dict[str, tuple[Callable[[h5py.File], Any], str]] = {
    "a link to a file": (lambda f: linked(f, h5py.ExternalLink("/x.h5", "/")), "to elsewhere"),
    "a soft link": (lambda f: linked(f, h5py.SoftLink("/model_weights")), "to elsewhere"),
    "a circle": (lambda f: linked(f, f["model_weights"]), "is there twice"),
    "bytes of another file": (
        lambda f: f.create_dataset("e", (8,), "u1", external=[("/etc/passwd", 0, 8)]),
        "kept elsewhere",
    ),
    "arrays of another file": (virtual, "kept elsewhere"),
    "more than there is": (
        lambda f: f.create_dataset("e", (2**44,), "f4", chunks=(1024,)), "and stores 0 here",
    ),
    "compressed": (
        lambda f: f.create_dataset("e", data=np.zeros(999, "f4"), compression="gzip"), "compressed"
    ),
    "objects": (lambda f: f.create_dataset("e", data=["a", "b"]), "holds object, not numbers"),
    "a long text, many times": (
        lambda f: f.attrs.__setitem__("e", ["x" * 60000] * 400), "too long texts|object header",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HDF5)
@pytest.mark.filterwarnings("ignore:You are saving")
def test_what_keras_does_not_write_is_not_read(name: str, tmp_path: Path) -> None:
    change, message = HDF5[name]
    residual_net().save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "a") as file:
        change(file)
    with pytest.raises(ModelFileError, match=message):
        modelfile.load(tmp_path / "m.h5")


def test_what_dies_apart_is_an_error_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    for name, message in {
        "crash": r"it crashed \(SIGABRT\)",
        "hang": "did not end within 2 seconds",
        "hungry": "it failed .*MemoryError",
        "absent": "it failed .*AttributeError",
    }.items():
        with pytest.raises(apart.ApartError, match=message):
            apart.run_apart(f"dying:{name}", b"", 2 if name == "hang" else 60)


def test_limits_that_the_user_set_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda what: (7, 9))
    monkeypatch.setattr(resource, "setrlimit", lambda what, limits: given.append(limits))
    apart._limit(60)
    assert given == [(9, 9), (9, 9), (0, 0)]


def test_nothing_is_imported_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of files from others may hold an `h5py.py`."""
    for name in ("h5py", "json", "numpy", "signal"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('run')")
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["x"] = np.zeros(3, "f4")
    monkeypatch.chdir(tmp_path)
    assert weightfile.contents(Path("m.h5")) == weightfile.Contents(None, 12)
