"""Layers of the user's own: read where their module is named, and analyzed as what they call."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import complaints, images, randomize

from tfqdyn import cli, modelsource, results
from tfqdyn.files.usercode import UserCodeError
from tfqdyn.network import modelfile
from tfqdyn.network.graph import Graph
from tfqdyn.network.lowering import lower
from tfqdyn.network.opening import name_within
from tfqdyn.network.rebuild import to_keras
from tfqdyn.network.trace import UnsupportedModelError

MODULE = '''
import keras


@keras.saving.register_keras_serializable("mine")
class Squeeze(keras.layers.Layer):
    """Squeeze and excitation, with a factor of its own per channel."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.pool = keras.layers.GlobalAveragePooling2D(keepdims=True)
        self.narrow = keras.layers.Dense(units, activation="relu")

    def build(self, shape):
        self.wide = keras.layers.Dense(shape[-1], activation="sigmoid", name="gate")
        self.narrow.build((None, 1, 1, shape[-1]))
        self.wide.build((None, 1, 1, self.units))
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", name="scale")

    def call(self, x, training=None):
        gate = self.wide(self.narrow(self.pool(x)))
        return keras.ops.multiply(x * gate, self.scale)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("mine")
class Renamed(keras.layers.Conv2D):
    """Computes nothing new."""


@keras.saving.register_keras_serializable("mine")
class Cubed(keras.layers.Layer):
    def call(self, x):
        return keras.ops.power(x, 3)


@keras.saving.register_keras_serializable("mine")
class Reading(keras.layers.Layer):
    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)

    def call(self, x):
        return x if keras.ops.max(x) > 0 else -x


@keras.saving.register_keras_serializable("mine")
class Both(keras.layers.Layer):
    """In a network it is another function than on its own."""

    def call(self, x):
        return keras.ops.relu(x) if isinstance(x, keras.KerasTensor) else x
'''


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module with layers of the user's own, in the current folder."""
    (tmp_path / "my_layers_of_a_test.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "my_layers_of_a_test"
    sys.modules.pop("my_layers_of_a_test", None)
    for name in [n for n in keras.saving.get_custom_objects() if n.startswith("mine>")]:
        del keras.saving.get_custom_objects()[name]


def network(module: str, *names: str) -> keras.Model:
    """conv - own layers - dense, four classes."""
    own = __import__(module)
    keras.utils.set_random_seed(1)
    k = keras.layers
    x = inputs = keras.Input((12, 12, 3), name="images")
    x = own.Renamed(8, 3, strides=2, use_bias=False, name="stem")(x)
    x = k.ReLU(name="stem_relu")(k.BatchNormalization(name="stem_bn")(x))
    for name in names:
        x = (
            own.Squeeze(3, name=f"{name}_se")(x)
            if name == "a"
            else getattr(own, name)(name=name)(x)
        )
    x = k.GlobalAveragePooling2D(name="gap")(x)
    return randomize(keras.Model(inputs, k.Dense(4, activation="softmax", name="logits")(x)))


def computed(graph: Graph, x: np.ndarray) -> np.ndarray:
    return np.asarray(to_keras(graph)(x))


def test_a_layer_is_opened_into_what_it_calls(mine: str, rng: np.random.Generator) -> None:
    model = network(mine, "a")
    model.get_layer("a_se").scale.assign([0.5, 2, 1, 1, 3, 1, -1, 1])
    graph = lower(model)
    inside = [node.name for node in graph if node.name.startswith("a_se")]
    assert inside == [
        "a_se_global_average_pooling2_d", "a_se_dense", "a_se_dense_relu", "a_se_gate",
        "a_se_gate_sigmoid", "a_se_multiply", "a_se_multiply_call_2",
    ]  # fmt: skip
    assert {node.source for node in graph if node.name in inside} == {"a_se"}
    assert graph.by_name["stem"].op == "conv"
    x = rng.normal(0, 1, (3, 12, 12, 3)).astype(np.float32)
    np.testing.assert_allclose(computed(graph, x), np.asarray(model(x)), rtol=1e-5, atol=1e-6)
    assert [node.name for node in lower(model)] == [node.name for node in graph]


def test_what_cannot_be_followed_is_named(mine: str) -> None:
    with pytest.raises(UnsupportedModelError) as refused:
        lower(network(mine, "Cubed", "Both", "Reading"))
    told = str(refused.value)
    assert "layer 'Cubed_power' (Power) is not supported" in told
    assert "layer 'Both' (Both) is not Keras' own, and what it calls cannot be followed: " in told
    assert (
        "'Reading' (Reading) is not Keras' own, and what it calls cannot be followed: Type" in told
    )
    assert "from random input it gives other values in the layer than" in told


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore:You are saving")
def test_files_name_layers_of_modules_that_the_user_names(
    suffix: str, mine: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    model, path = network(mine, "a"), tmp_path / f"net{suffix}"
    model.save(path)
    with pytest.raises(UnsupportedModelError, match=r"--import=package\.module"):
        modelsource.load(path)
    loaded = modelsource.load(path, [mine])
    x = rng.normal(0, 1, (3, 12, 12, 3)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(loaded(x)), np.asarray(model(x)), rtol=1e-5, atol=1e-6)
    assert [n.name for n in lower(loaded)] == [n.name for n in lower(model)]
    assert modelfile.load(path, {**keras.saving.get_custom_objects()}) is not None


def test_names_of_a_process_count_for_nothing() -> None:
    k = keras.layers
    assert name_within("a", k.Dense(1, name="dense_17")) == "a_dense"
    assert name_within("a", k.BatchNormalization(name="batch_normalization")) == (
        "a_batch_normalization"
    )
    assert name_within("a", k.DepthwiseConv2D(3, name="dw_1")) == "a_dw_1"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module_at_all", "cannot be imported: ModuleNotFoundError: No module named"),
        ("failing_layers_of_a_test", "cannot be imported: ZeroDivisionError: division by zero"),
        ("exiting_layers_of_a_test", "cannot be imported: SystemExit: 3"),
        ("", "cannot be imported: ValueError"),
        ("json", "names code that is not Keras' own"),
    ],
)
def test_modules_that_do_not_help_are_one_error(
    name: str, message: str, mine: str, tmp_path: Path
) -> None:
    (tmp_path / "failing_layers_of_a_test.py").write_text("1 / 0\n")
    (tmp_path / "exiting_layers_of_a_test.py").write_text("import sys\nsys.exit(3)\n")
    network(mine, "a").save(tmp_path / "net.keras")
    for known in [n for n in keras.saving.get_custom_objects() if n.startswith("mine>")]:
        del keras.saving.get_custom_objects()[known]
    with pytest.raises(ValueError, match=message):
        modelsource.load(tmp_path / "net.keras", [name])


def test_other_models_need_no_modules(mine: str, tmp_path: Path) -> None:
    with pytest.raises(UserCodeError, match=r"--import registers layers of a \.keras or \.h5 file"):
        modelsource.load(tmp_path / "net.tflite", [mine])


def test_the_command_imports_and_repeats_it(mine: str, tmp_path: Path) -> None:
    """In a process of its own, which knows the layers by `--import` alone."""
    network(mine, "a").save(tmp_path / "net.keras")
    data = images(20)
    np.savez(tmp_path / "d.npz", x_test=data.x_test, y_test=data.y_test)
    given = ["--model=net.keras", "--data=d.npz", "--preprocessing=tf", "--trials=1", "--out=out"]
    command = [sys.executable, "-m", "tfqdyn", "analyze", *given, "--calibration_size=8"]
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode == cli.FAILED
    assert "mine>Squeeze" in complaints(refused.stderr)
    done = subprocess.run(
        [*command, f"--import={mine}"], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, complaints(done.stderr)) == (0, "")
    record = results.read(tmp_path / "out")
    assert record["paths"]["import"] == mine
    assert "a_se_gate" in [layer["name"] for layer in record["layers"]]
