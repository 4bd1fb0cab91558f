"""What a model file may say, and what is refused before anything is built from it."""

import copy
import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import residual_net

from tfqdyn.network.description import ModelFileError, read
from tfqdyn.network.description.records import LayerCall, outputs_in
from tfqdyn.network.trace import UnsupportedModelError

k = keras.layers


def described(model: keras.Model, tmp_path: Path) -> dict[str, Any]:
    """What Keras 3 writes into a `.keras` file."""
    model.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        return json.loads(archive.read("config.json"))


def layer(kind: str, config: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A layer's entry; without a module, as Keras 2 and `.h5` files have it."""
    return {"class_name": kind, "config": {"name": "e", **(config or {})}, **more}


def keras_2(*entries: dict[str, Any], node: Any = None) -> dict[str, Any]:
    """A functional model of an input `i` and further layers, each called on `i`, or on `node`."""
    first = {**layer("InputLayer", {"name": "i", "batch_input_shape": [None, 4]}), "name": "i"}
    layers = [{**first, "inbound_nodes": []}]
    for entry in entries:
        called = [[["i", 0, 0, {}]]] if node is None else node
        layers.append({"name": entry["config"]["name"], "inbound_nodes": called, **entry})
    ends = {"input_layers": [["i", 0, 0]], "output_layers": [[layers[-1]["name"], 0, 0]]}
    return {"class_name": "Functional", "config": {"name": "m", "layers": layers, **ends}}


KERAS = {"module": "keras.layers", "registered_name": None}
RELU = layer("ReLU", **KERAS)
INITIALIZED = {"units": 3, "kernel_initializer": layer("Zeros", module="keras.initializers")}


def function(name: str, module: str = "keras.utils") -> dict[str, Any]:
    entry = {"class_name": "function", "config": name, "module": module}
    return {**entry, "registered_name": name}


GADGETS = {
    "Lambda": layer("Lambda", {"function": ["4wEAAAA=", None, None]}),
    "Lambda of Keras 3": layer("Lambda", {"function": {"class_name": "__lambda__"}}, **KERAS),
    "Lambda in a wrapper": layer("TimeDistributed", {"layer": layer("Lambda")}, **KERAS),
    "Lambda in two directions": layer("Bidirectional", {"layer": layer("Lambda")}, **KERAS),
    "Lambda in a nested model": {
        **layer("Sequential", {"name": "s", "layers": [layer("Lambda")]}), "name": "s",
    },
    "Lambda as an activation": layer("Dense", {"activation": {"class_name": "__lambda__"}}),
    "get_file as an activation": layer("Dense", {"activation": function("get_file")}, **KERAS),
    "get_file by its name": layer("Dense", {"activation": "get_file"}, **KERAS),
    "get_file as a layer": layer("get_file", {"origin": "http://x"}, module="keras.utils"),
    "urlretrieve": layer("Activation", {"activation": function("urlretrieve", "urllib.request")}),
    "builtins": layer("Dense", {"units": function("eval", "builtins")}, **KERAS),
    "a class of builtins": layer("Dense", {"units": {"class_name": "class", "config": "open"}}),
    "a user's relu": layer("Activation", {"activation": function("relu", "elsewhere")}, **KERAS),
    "a module of the system": layer("system", {"command": "id"}, module="os"),
    "no module": layer("Strange", module=None),
    "registered elsewhere": layer("elsewhere>Strange"),
    "registered over Keras' own": layer("Dense", module="keras.layers", registered_name="x>Dense"),
    "TFSMLayer": layer("TFSMLayer", {"filepath": "/saved_model"}, **KERAS),
    "TorchModuleWrapper": layer("TorchModuleWrapper", {"module": "gASV"}, **KERAS),
    "JaxLayer": layer("JaxLayer", {"call_fn": function("system", "os")}, **KERAS),
    "FlaxLayer": layer("FlaxLayer", **KERAS),
    "StringLookup with a path": layer("StringLookup", {"vocabulary": "/etc/passwd"}, **KERAS),
    "TextVectorization": layer("TextVectorization", {"vocabulary": "/etc/passwd"}, **KERAS),
    "HashedCrossing": layer("HashedCrossing", **KERAS),
    "an initializer as a layer": layer("Identity", module="keras.initializers"),
    "a file in an initializer's place": layer("Rescaling", {"scale": function("get_file")}),
    "a type spec": layer("Rescaling", {"scale": {"class_name": "TypeSpec", "type_spec": "x"}}),
    "a dtype policy of another name": layer("Dense", {"dtype": "int8_from_float32"}, **KERAS),
    "slicing": layer("SlicingOpLambda", {"function": "__operators__.getitem"}),
    "a method": layer("ClassMethod", {"cls_symbol": "io", "method_name": "write_file"}),
    "an attribute": layer("InstanceMethod", {"attr_name": "__class__"}),
    "TFOpLambda of a list": layer("TFOpLambda", {"function": ["io.write_file"]}),
    "an operation of Keras": layer("Custom", module="keras.src.ops.numpy"),
}  # fmt: skip

REFUSED = r"which is not run|is not supported"


@pytest.mark.parametrize("name", GADGETS)
@pytest.mark.parametrize("sequential", [True, False])
def test_gadgets_are_refused(name: str, sequential: bool) -> None:
    entry = GADGETS[name]
    config = {"name": "m", "layers": [entry]}
    model = {"class_name": "Sequential", "config": config} if sequential else keras_2(entry)
    with pytest.raises(UnsupportedModelError, match=REFUSED):
        read(model)


@pytest.mark.parametrize(
    ("kind", "argument", "sizes"),
    [
        ("AveragePooling2D", "pool_size", 2**31 - 1),
        ("MaxPooling2D", "strides", [2**16, 2**16]),
        ("DepthwiseConv2D", "dilation_rate", [1, 2**21]),
        ("Conv2D", "kernel_size", [1025, 1024]),
    ],
)
def test_windows_that_no_kernel_survives_are_refused(kind: str, argument: str, sizes: Any) -> None:
    with pytest.raises(ModelFileError, match=f"layer 'e': {argument} is .* 1,048,576 places"):
        read(keras_2(layer(kind, {argument: sizes})))


def test_windows_as_large_as_a_photograph_are_read() -> None:
    read(keras_2(layer("AveragePooling2D", {"pool_size": [1024, 1024]})))


@pytest.mark.parametrize("place", ["name", "class_name", "argument", "function"])
def test_errors_quote_the_beginning_of_long_texts(place: str) -> None:
    long = "a" * 70_000
    entry = layer("Dense", {"units": long} if place == "argument" else {})
    if place == "function":
        entry = layer("TFOpLambda", {"function": long})
    elif place != "argument":
        entry = {**entry, place: long}
    with pytest.raises((ModelFileError, UnsupportedModelError)) as caught:
        read({"class_name": "Sequential", "config": {"name": "m", "layers": [entry]}})
    assert len(str(caught.value)) < 3000


def test_every_function_of_tensorflow_that_touches_files_is_refused() -> None:
    """And every other one but the few that are lowered: `TF_FUNCTIONS`."""
    names = [f"io.{name}" for name in dir(tf.io)] + [f"io.gfile.{n}" for n in dir(tf.io.gfile)]
    names += ["py_function", "numpy_function", "py_func", "raw_ops.PyFunc", "data.Dataset.save"]
    names += ["keras.utils.get_file", "saved_model.load", "load_library", "load_op_library"]
    assert {"io.write_file", "io.read_file", "io.gfile.remove"} <= set(names)
    for name in names:
        with pytest.raises(UnsupportedModelError, match=r"TFOpLambda of .* is not supported"):
            read(keras_2(layer("TFOpLambda", {"function": name})))


def test_what_only_training_needs_is_left_out() -> None:
    """Initializers, regularizers and constraints may name anything: nobody looks."""
    hostile = {
        "kernel_initializer": function("get_file"),
        "kernel_regularizer": {"class_name": "elsewhere>R", "config": {}},
        "activity_regularizer": layer("Lambda"),
        "bias_constraint": "get_file",
        "lora_rank": 10**9,
        "seed": {"class_name": "SeedGenerator"},
    }
    network = read(keras_2(layer("Dense", {"units": 3, **hostile}, compile_config={}, **KERAS)))
    assert network.layers[1].arguments == {"name": "e", "units": 3}


def test_constants_do_not_stand_first() -> None:
    """TensorFlow would compute on them at once, while the file is read."""
    add = layer("TFOpLambda", {"function": "math.add"})
    for node in (
        [["_CONSTANT_VALUE", -1, 1.0, {"y": 2.0}]],
        [["_CONSTANT_VALUE", -1, 1.0, {"y": ["i", 0, 0]}]],
        [[["_CONSTANT_VALUE", -1, 1.0, {}], ["i", 0, 0, {}]]],
        [["i", 0, 0, {"y": ["_CONSTANT_VALUE", -1, 1.0]}]],
        [{"args": [1.0], "kwargs": {}}],
        [{"args": [], "kwargs": {}}],
    ):
        with pytest.raises(ModelFileError, match="first input"):
            read(keras_2(add, node=node))


def calls_of(model: dict[str, Any]) -> tuple[LayerCall, ...]:
    calls = read(model).calls
    assert calls is not None
    return calls


TENSOR = {"class_name": "__keras_tensor__", "config": {"keras_history": ["i", 0, 0]}}


def test_arithmetic_with_constants_is_read() -> None:
    array = {"class_name": "__numpy__", "config": {"value": [1, 2], "dtype": "float32"}}
    operation = {"module": "keras.src.ops.numpy", "registered_name": "Subtract"}
    for given in (1.0, array):
        node = [{"args": [given, TENSOR], "kwargs": {}}]
        (call,) = calls_of(keras_2(layer("Subtract", **operation), node=node))
        np.testing.assert_array_equal(call.args[0], [1, 2] if given is array else 1.0)
    node = [["i", 0, 0, {"y": 3.0, "name": None}]]
    (call,) = calls_of(keras_2(layer("TFOpLambda", {"function": "math.add"}), node=node))
    assert call.kwargs == {"y": 3.0, "name": None}


def changed(model: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    model = copy.deepcopy(model)
    at: Any = model["config"]
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return model


MALFORMED = {
    "no object": ((), "the description of a model must be a JSON object, received 3"),
    "layers missing": ((("layers",), None), "the layers of 'm' must be a list, received None"),
    "a circle": (
        (("layers", 1, "inbound_nodes"), [[["e", 0, 0, {}]]]), "read each other in a circle.*: e",
    ),
    "nothing there": (
        (("layers", 1, "inbound_nodes"), [[["x", 0, 0, {}]]]), "or what is not there: e",
    ),
    "an output of nothing": ((("output_layers",), [["x", 0, 0]]), "or what is not there: x"),
    "an output without numbers": ((("output_layers",), [["e", "0", None]]), "numbers from 0 on"),
    "two of one name": ((("layers", 1, "name"), "i"), "several layers of 'm' have the same name"),
    "a name that is none": ((("layers", 1, "name"), {}), "the name of a layer must be a text"),
    "a class that is none": (
        (("layers", 1, "class_name"), ["Dense"]), "the class of 'e' must be a text",
    ),
    "a huge number": ((("layers", 1, "config", "units"), 10**30), "'units' is 1000.* so large"),
    "infinity": ((("layers", 1, "config", "rate"), float("inf")), "'rate' is inf"),
    "NaN": ((("layers", 1, "config", "rate"), float("nan")), "'rate' is nan"),
    "an array of objects": (
        (("layers", 1, "config", "scale"),
         {"class_name": "__numpy__", "config": {"value": [1], "dtype": "O"}}),
        "an array of 'O', which is no dtype",
    ),
    "a ragged array": (
        (("layers", 1, "config", "scale"),
         {"class_name": "__numpy__", "config": {"value": [1, [2]], "dtype": "float32"}}),
        "'scale' is no array",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_contradictions_are_named(name: str) -> None:
    change, message = MALFORMED[name]
    model = changed(keras_2(layer("Dense", {"units": 3})), *change) if change else 3
    with pytest.raises(ModelFileError, match=message):
        read(model)


def test_nesting_has_an_end() -> None:
    value: Any = 1
    for _ in range(3000):
        value = [value]
    with pytest.raises(ModelFileError, match="nested too deeply"):
        read(changed(keras_2(layer("Dense")), ("layers", 1, "config", "units"), value))


def test_calls_come_after_what_they_read(tmp_path: Path) -> None:
    model = described(residual_net(), tmp_path)
    model["config"]["layers"].reverse()
    seen = {"images"}
    for call in calls_of(model):
        assert {output.layer for output in outputs_in(call.args)} <= seen
        seen.add(call.layer)
    assert len(seen) == len(model["config"]["layers"])


def test_unsupported_layers_are_all_listed() -> None:
    entries = [
        layer("GroupNormalization", {"name": "a"}, **KERAS),
        layer("Conv2D", {"name": "b", "activation": "sparsemax"}, **KERAS),
        layer("RandomCrop", {"name": "c"}, **KERAS),
    ]
    with pytest.raises(UnsupportedModelError) as error:
        read(keras_2(*entries))
    lines = str(error.value).splitlines()
    assert lines[0] == "layer 'a' (GroupNormalization) is not supported"
    assert lines[1].startswith("layer 'b': activation 'sparsemax' is not supported")
    assert lines[2] == "layer 'c' (RandomCrop) is not supported"
    assert lines[3].startswith("supported layers: Activation, Activity")
