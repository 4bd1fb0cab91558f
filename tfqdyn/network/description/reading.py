"""What a model file says about its network, read into plain records; nothing of it is run.

Keras' readers turn whatever a description names into objects: layers, but functions, initializers
and files too. Here a description is data. What comes out names only layers that `lowering` knows,
with arguments that are numbers, words and lists of them, and calls that read each other in an order
in which they can be made. What training alone needs (initializers, regularizers, constraints,
seeds, compilation) is left out. Three forms are read: Keras 2's, Keras 3's of `.h5` files (classes
without modules), and Keras 3's of `.keras` files.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tfqdyn.files.quoting import brief
from tfqdyn.network.description.calls import in_order, keras_2_call, output, structure
from tfqdyn.network.description.records import LAYERS, Layer, LayerCall, Network, Output, outputs_in
from tfqdyn.network.description.values import (
    LARGEST,
    LONGEST_SHOWN,
    ModelFileError,
    batch_shape,
    list_of,
    mapping,
    shown,
    text,
)
from tfqdyn.network.lowering import SUPPORTED, TF_FUNCTIONS, supported_layers
from tfqdyn.network.lowering.builder import ACTIVATIONS, unsupported_activation
from tfqdyn.network.trace import UnsupportedModelError

MODELS = ("Functional", "Model", "Sequential")
OPERATIONS = (
    "keras.src.ops.nn",
    "keras.src.ops.numpy",
    "keras.src.applications.convnext",
    "keras.src.applications.inception_resnet_v2",
)
"""Modules by which Keras 3 names what it has there; all other layers it names by `keras.layers`."""
WINDOWS = ("dilation_rate", "kernel_size", "pool_size", "strides")
"""Arguments that say how far a window reaches or goes, on every axis."""
LARGEST_WINDOW = 2**20
"""Places that a window may span: 1024 by 1024; TensorFlow's kernels multiply them in 32 bits."""
_LAYER_MODULES = ("keras.layers", "keras.src.layers.", "tf_keras.layers", "tf_keras.src.layers.")
_OF_TRAINING = ("_initializer", "_regularizer", "_constraint")
_DTYPES = frozenset(
    ("bfloat16", "bool", "float16", "float32", "float64", "int16", "int32", "int64", "int8",
     "mixed_bfloat16", "mixed_float16", "uint16", "uint32", "uint64", "uint8")
)  # fmt: skip


def read(description: Any, registered: Collection[str] = ()) -> Network:
    """Reads the description of a model.

    Args:
        description: what `json.loads` gives.
        registered: layers of the user's own that may be made, by the names under which they are
            registered with Keras.

    Raises:
        UnsupportedModelError: it names code that is not Keras' own, or what the analysis does not
            cover; all of it is listed.
        ModelFileError: it is no description of a model, or contradicts itself.
    """
    reader = _Reader(registered)
    try:
        layer = reader.layer(mapping(description, "the description of a model"))
    except RecursionError:
        raise ModelFileError("the description of the model is nested too deeply") from None
    if reader.foreign:
        raise UnsupportedModelError(
            "the model file names code that is not Keras' own, which is not run: "
            + ", ".join(sorted(set(reader.foreign)))
            + "; name the module that registers them with Keras (--import=package.module), rebuild "
            "the model from standard layers, or export it where its code is "
            "(model.export('folder')) and analyze that folder"
        )
    if reader.unsupported:
        raise UnsupportedModelError("\n".join([*reader.unsupported, supported_layers()]))
    if layer.network is None:
        raise UnsupportedModelError(
            f"expected a functional or sequential Keras model, received the layer {layer.kind}"
        )
    return layer.network


class _Reader:
    """Reads entries; collects what is foreign or not supported, so that all of it is listed."""

    def __init__(self, registered: Collection[str]) -> None:
        self._registered = registered
        self.foreign: list[str] = []
        self.unsupported: list[str] = []

    def layer(self, entry: Mapping[str, Any]) -> Layer:
        """A layer or a model."""
        config = entry.get("config")
        inner = config.get("name") if isinstance(config, Mapping) else None
        given = entry.get("name", inner)
        kind = text(entry.get("class_name"), f"the class of {shown(given)}")
        if given is None and _foreign(entry, kind):  # a subclassed model may have no name
            given = kind
        name = text(given, "the name of a layer")
        number = entry.get("shared_object_id")
        layer = Layer(name, kind, shared=number if isinstance(number, int) else None)
        known = entry.get("registered_name") or kind
        if isinstance(known, str) and known in self._registered:
            config = mapping(config, f"the config of {name!r}")
            return replace(
                layer, module="", arguments=self._arguments(config, name, kind), registered=known
            )
        foreign = _foreign(entry, kind)
        if foreign:
            self.foreign.append(foreign)
            return layer
        if kind in MODELS:
            return replace(layer, network=self._network(entry, name))
        config = mapping(config, f"the config of {name!r}")
        module = _home(entry.get("module", LAYERS), kind, config.get("function"))
        if module is None:
            function = f" of {shown(config['function'])}" if "function" in config else ""
            self.unsupported.append(f"layer {name!r} ({kind}{function}) is not supported")
            return layer
        return replace(layer, module=module, arguments=self._arguments(config, name, kind))

    def _network(self, entry: Mapping[str, Any], name: str) -> Network:
        config = entry.get("config")
        if isinstance(config, list):  # sequential models of early Keras 2
            config = {"layers": config}
        config = mapping(config, f"the config of {name!r}")
        entries = [
            mapping(item, f"a layer of {name!r}")
            for item in list_of(config.get("layers"), f"the layers of {name!r}")
        ]
        layers = tuple(self.layer(item) for item in entries)
        if len({layer.name for layer in layers}) < len(layers):
            raise ModelFileError(f"several layers of {name!r} have the same name")
        if entry["class_name"] == "Sequential":
            return Network(name, layers, input_shape=_sequential_shape(config, entries))
        calls = tuple(
            LayerCall(layer.name, number, *self._call_arguments(node, layer))
            for item, layer in zip(entries, layers)
            for number, node in enumerate(list_of(item.get("inbound_nodes"), layer.name))
        )
        inputs, outputs = (
            structure(config.get(key), f"the {key} of {name!r}")
            for key in ("input_layers", "output_layers")
        )
        return in_order(Network(name, layers, calls, inputs, outputs))

    def _arguments(self, config: Mapping[str, Any], name: str, kind: str) -> dict[str, Any]:
        """What a layer is made with, less what only training needs."""
        arguments: dict[str, Any] = {}
        for key, value in config.items():
            if key == "seed" or key.startswith("lora_") or key.endswith(_OF_TRAINING):
                continue
            if key == "batch_input_shape" and kind != "InputLayer":  # Keras 2's, told elsewhere too
                continue
            if key == "dtype":
                value = self._dtype(value, name)
            elif key == "activation":
                value = self._activation(value, name)
            arguments[key] = self._plain(value, f"layer {name!r}: argument {key!r}")
            if key in WINDOWS:
                _check_window(arguments[key], f"layer {name!r}: {key}")
        axis = arguments.get("axis")
        if isinstance(axis, list) and len(axis) == 1:  # Keras 2's
            arguments["axis"] = axis[0]
        return {**arguments, "name": name}

    def _dtype(self, value: Any, name: str) -> Any:
        if isinstance(value, Mapping) and value.get("class_name") in ("DTypePolicy", "Policy"):
            value = mapping(value.get("config"), f"the dtype of {name!r}").get("name")
        if value is not None and not (isinstance(value, str) and value in _DTYPES):
            self.unsupported.append(f"layer {name!r}: dtype {shown(value)} is not supported")
            return None
        return value

    def _activation(self, value: Any, name: str) -> Any:
        if isinstance(value, Mapping):
            kind, named = text(value.get("class_name"), f"an activation of {name!r}"), value
            if kind == "function" and _is_keras(value.get("module")):
                kind = text(value.get("config"), f"an activation of {name!r}")
                named = {"registered_name": value.get("registered_name")}
            foreign = _foreign(named, kind)
            if foreign:
                self.foreign.append(foreign)
                return None
            value = kind
        if value is None or value in ACTIVATIONS:
            return value
        self.unsupported.append(
            unsupported_activation(name, text(value, f"an activation of {name!r}"))
        )
        return None

    def _call_arguments(self, node: Any, layer: Layer) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments of one call."""
        what = f"a call of {layer.name!r}"
        if isinstance(node, Mapping):
            given, named = list_of(node.get("args"), what), mapping(node.get("kwargs"), what)
            args = [self._plain(item, what) for item in given]
        else:
            first, named = keras_2_call(node, what)
            args = [first]
        kwargs = {text(key, what): self._plain(value, what) for key, value in named.items()}
        of_layer = layer.module == LAYERS
        if not args or not outputs_in(args[0] if of_layer else [args, kwargs]):
            raise ModelFileError(
                f"{what} has no layer's output as its first input; constants there are refused, "
                "because the layer would run while the file is read"
            )
        return tuple(args), kwargs

    def _plain(self, value: Any, what: str) -> Any:
        """Numbers, words, `Output`s, arrays, and lists and dicts of them."""
        if isinstance(value, (Output, bool)) or value is None:
            return value
        if isinstance(value, str):
            return text(value, what)
        if isinstance(value, (int, float)):
            if not (abs(value) <= LARGEST if isinstance(value, int) else math.isfinite(value)):
                raise ModelFileError(f"{what} is {shown(value)}; no number of a layer is so large")
            return value
        if isinstance(value, list):
            return [self._plain(item, what) for item in value]
        kind = mapping(value, what).get("class_name")
        if kind is None:
            return {text(key, what): self._plain(item, what) for key, item in value.items()}
        if kind == "__keras_tensor__":
            tensor = mapping(value.get("config"), what).get("keras_history")
            return output(tensor, what)
        if kind in ("__numpy__", "__tensor__"):
            return self._array(mapping(value.get("config"), what), what)
        if kind in ("__tuple__", "TensorShape"):
            return self._plain(list_of(value.get("items"), what), what)
        kind = text(kind, what)
        foreign = _foreign(value, kind)
        (self.foreign if foreign else self.unsupported).append(
            foreign or f"{what} is a {kind}, which is not supported"
        )
        return None

    def _array(self, config: Mapping[str, Any], what: str) -> Any:
        dtype = text(config.get("dtype"), f"the dtype of {what}")
        values = self._plain(config.get("value"), what)
        if dtype not in _DTYPES:
            raise ModelFileError(f"{what} is an array of {shown(dtype)}, which is no dtype")
        try:
            return np.array(values, dtype)
        except (TypeError, ValueError, OverflowError) as error:
            raise ModelFileError(f"{what} is no array: {error}") from error


def _check_window(sizes: Any, what: str) -> None:
    """That sizes, one or one an axis, span no more places than `LARGEST_WINDOW`."""
    counts = [n for n in (sizes if isinstance(sizes, list) else [sizes]) if isinstance(n, int)]
    if math.prod(map(abs, counts)) > LARGEST_WINDOW:
        raise ModelFileError(
            f"{what} is {shown(sizes)}, more than {LARGEST_WINDOW:,} places, which kernels of "
            "TensorFlow do not survive"
        )


def _foreign(entry: Mapping[str, Any], kind: str) -> str | None:
    """What an entry names, if that is not a class of Keras' own."""
    module, registered = entry.get("module", LAYERS), entry.get("registered_name")
    if kind in ("Lambda", "__lambda__"):
        config = entry.get("config")
        return f"Lambda layer {config.get('name') if isinstance(config, Mapping) else None!r}"
    if kind in ("function", "class"):
        return f"a Python {kind} ({shown(entry.get('config'))})"
    if _is_keras(module) and ">" not in kind and registered in (None, kind):
        return None
    return brief(registered or f"{module or 'elsewhere'}.{kind}", LONGEST_SHOWN)


def _is_keras(module: Any) -> bool:
    """Whether Keras finds a class or a function of this module in itself."""
    return isinstance(module, str) and module.split(".")[0] in ("builtins", "keras", "tf_keras")


def _home(module: Any, kind: str, function: Any) -> str | None:
    """Where Keras 3 finds a class that the analysis knows; None for every other class."""
    if kind == "TFOpLambda" and not (isinstance(function, str) and function in TF_FUNCTIONS):
        return None
    if module in OPERATIONS:
        return module if kind in SUPPORTED else None
    known = kind in SUPPORTED or kind in ("InputLayer", "TFOpLambda")
    return LAYERS if known and module.startswith(_LAYER_MODULES) else None


def _sequential_shape(
    config: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]
) -> tuple[int | None, ...] | None:
    """The input shape of a sequential model that does not begin with an input layer, if told."""
    first = entries[0].get("config") if entries else None
    shape = first.get("batch_input_shape") if isinstance(first, Mapping) else None
    shape = shape or config.get("build_input_shape")
    if not isinstance(shape, list) or (entries and entries[0].get("class_name") == "InputLayer"):
        return None
    return batch_shape(shape, "the input shape")
