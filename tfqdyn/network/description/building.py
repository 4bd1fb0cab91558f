"""A network out of its records, as a model of Keras 3 or of tf_keras."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from tfqdyn.network.description.records import Layer, Network, Output, outputs_in, with_outputs
from tfqdyn.network.description.values import LARGEST, ModelFileError, batch_shape, shown

SMALLEST_WEIGHT = 2
"""Bytes of a number in half precision."""


class Builder:
    """Makes models with untrained weights, as many as a file holds and no more.

    Args:
        library: `keras` or `tf_keras`.
        size: bytes of weights in the file.
        registered: classes of the user's own, by the names that layers have of them.
    """

    def __init__(
        self, library: Any, size: int, registered: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        self._library = library
        self._registered = registered
        self._room = size // SMALLEST_WEIGHT
        self._size = size
        self._shared: dict[int, Any] = {}

    def model(self, network: Network) -> Any:
        """A network as a model.

        Raises:
            ModelFileError: it needs more weights than the file holds; nothing larger was made.
            Exception: of many kinds, for layers that the library cannot make or call.
        """
        made = {layer.name: self._layer(layer) for layer in network.layers}
        if network.calls is None:
            return self._sequential(network, list(made.values()))
        kinds = {layer.name: layer for layer in network.layers}
        values = {(n, 0): [made[n]] for n, layer in kinds.items() if layer.kind == "InputLayer"}

        def value(output: Output) -> Any:
            return values[output.layer, output.call][output.tensor]

        for call in network.calls:
            if call.number == 0:
                first = value(outputs_in([call.args, call.kwargs])[0])
                read = _channels_read(call, value)
                self._take(kinds[call.layer], tuple(first.shape), read)
            args, kwargs = with_outputs(call.args, value), with_outputs(call.kwargs, value)
            returned = made[call.layer](*args, **kwargs)
            several = isinstance(returned, (list, tuple))
            values[call.layer, call.number] = list(returned) if several else [returned]
        ends = [with_outputs(end, value) for end in (network.inputs, network.outputs)]
        return self._library.Model(*ends, name=network.name)

    def _sequential(self, network: Network, made: list[Any]) -> Any:
        shape = network.input_shape
        for layer, own in zip(network.layers, made, strict=True):
            if layer.kind == "InputLayer":
                shape = tuple(own.shape)
            elif shape is not None:
                self._take(layer, shape)
                own.build(shape)
                shape = tuple(own.compute_output_shape(shape))
        model = self._library.Sequential(made, name=network.name)
        if network.input_shape is not None:
            model.build(network.input_shape)
        return model

    def _layer(self, layer: Layer) -> Any:
        """A layer, or the tensor of an input."""
        if layer.shared is not None and layer.shared in self._shared:
            return self._shared[layer.shared]
        arguments = dict(layer.arguments)
        if layer.network is not None:
            made = self.model(layer.network)
        elif layer.kind == "InputLayer":
            shape = arguments.get("batch_shape", arguments.get("batch_input_shape"))
            made = self._library.Input(
                batch_shape=batch_shape(shape, f"the shape of {layer.name!r}"),
                dtype=arguments.get("dtype"),
                name=layer.name,
            )
        elif layer.registered is not None:
            made = self._registered[layer.registered].from_config(arguments)
        elif self._library.__name__ == "keras":
            entry = {"module": layer.module, "class_name": layer.kind, "config": arguments}
            made = self._library.saving.deserialize_keras_object({**entry, "registered_name": None})
        else:
            entry = {"class_name": layer.kind, "config": arguments}
            made = self._library.layers.deserialize(entry, use_legacy_format=True)
        if layer.shared is not None:
            self._shared[layer.shared] = made
        return made

    def _take(
        self,
        layer: Layer,
        shape: tuple[int | None, ...],
        read: Mapping[str, int] | None = None,
    ) -> None:
        """Before a layer is built for inputs of a shape: that the file holds its weights.

        Args:
            layer: which.
            shape: of its first input.
            read: channels of its arguments by name, see `_channels_read`.
        """
        rule = None if layer.registered else WEIGHTS.get(layer.kind)
        needed = rule({**layer.arguments, **(read or {})}, shape) if rule else 0
        self._room -= needed
        if self._room < 0:
            raise ModelFileError(
                f"layer {layer.name!r} ({layer.kind}) needs {needed:,} weights; all that the file "
                f"holds has {self._size:,} bytes"
            )


def _size(arguments: Mapping[str, Any], key: str) -> int:
    """An argument that counts something, or the product of several."""
    given = arguments.get(key, 1)
    sizes = given if isinstance(given, list) else [given]
    if not all(isinstance(n, int) and 0 < n <= LARGEST for n in sizes):
        raise ModelFileError(f"layer {arguments['name']!r}: {key} is {shown(given)}")
    return math.prod(sizes)


Shape = tuple[int | None, ...]


def _channels(arguments: Mapping[str, Any], shape: Shape) -> int:
    axis = 1 if arguments.get("data_format") == "channels_first" else arguments.get("axis", -1)
    return shape[axis] or 1 if isinstance(axis, int) and -len(shape) <= axis < len(shape) else 1


def _conv(arguments: Mapping[str, Any], shape: Shape) -> int:
    kernel = _size(arguments, "kernel_size") * _size(arguments, "filters")
    return kernel * _channels(arguments, shape) // _size(arguments, "groups")


def _depthwise(arguments: Mapping[str, Any], shape: Shape) -> int:
    kernel = _size(arguments, "kernel_size") * _size(arguments, "depth_multiplier")
    return kernel * _channels(arguments, shape)


def _separable(arguments: Mapping[str, Any], shape: Shape) -> int:
    middle = _channels(arguments, shape) * _size(arguments, "depth_multiplier")
    return _depthwise(arguments, shape) + middle * _size(arguments, "filters")


def _einsum_dense(arguments: Mapping[str, Any], shape: Shape) -> int:
    """By the letters of the kernel: sizes of what it reads, and of what it gives."""
    equation = str(arguments.get("equation", "")).replace(" ", "").replace("->", ",").split(",")
    if len(equation) != 3:
        return 0
    left, right, out = (part.split("...")[-1] for part in equation)
    given = arguments.get("output_shape")
    made = given if isinstance(given, list) else [given]
    named = [n for n in made if isinstance(n, int) and 0 < n <= LARGEST]
    sizes = dict(zip(reversed(out), reversed(named))) | dict(zip(reversed(left), reversed(shape)))
    return math.prod(sizes.get(letter) or 1 for letter in right)


_READ = ("query", "value", "key")
"""What attention is called with, in this order."""


def _channels_read(call: Any, value: Callable[[Output], Any]) -> dict[str, int]:
    """Channels of what a call reads as attention does, by "channels of ROLE"."""
    named = dict(zip(_READ, call.args)) | {k: v for k, v in call.kwargs.items() if k in _READ}
    shapes = {role: value(o).shape for role, o in named.items() if isinstance(o, Output)}
    return {f"channels of {role}": shape[-1] or 1 for role, shape in shapes.items() if shape}


def _attention(arguments: Mapping[str, Any], shape: Shape) -> int:
    """The kernels of query, key, value and output; less where key and value are not known."""
    heads, key = _size(arguments, "num_heads"), _size(arguments, "key_dim")
    value = _size(arguments, "value_dim") if arguments.get("value_dim") else key
    given = arguments.get("output_shape")
    out = _size(arguments, "output_shape") if given else shape[-1] or 1
    of_value = arguments.get("channels of value", 1)
    of_key = arguments.get("channels of key", of_value)
    return heads * (key * (shape[-1] or 1) + value * out + key * of_key + value * of_value)


def _layer_norm(arguments: Mapping[str, Any], shape: Shape) -> int:
    given = arguments.get("axis", -1)
    axes = given if isinstance(given, list) else [given]
    sizes = [_channels({"axis": axis}, shape) for axis in axes]
    return math.prod(sizes) * sum(bool(arguments.get(role, True)) for role in ("center", "scale"))


def _prelu(arguments: Mapping[str, Any], shape: Shape) -> int:
    shared = arguments.get("shared_axes")
    shared = shared if isinstance(shared, list) else [shared]
    return math.prod(n or 1 for axis, n in enumerate(shape) if axis and axis not in shared)


WEIGHTS: dict[str, Callable[[Mapping[str, Any], Shape], int]] = {
    "BatchNormalization": lambda arguments, shape: 2 * _channels(arguments, shape),
    "Conv1D": _conv,
    "Conv1DTranspose": _conv,
    "Conv2D": _conv,
    "Conv2DTranspose": _conv,
    "Dense": lambda arguments, shape: _size(arguments, "units") * (shape[-1] or 1),
    "DepthwiseConv1D": _depthwise,
    "DepthwiseConv2D": _depthwise,
    "EinsumDense": _einsum_dense,
    "LayerNormalization": _layer_norm,
    "LayerScale": lambda arguments, shape: _size(arguments, "projection_dim"),
    "MultiHeadAttention": _attention,
    "PReLU": _prelu,
    "SeparableConv1D": _separable,
    "SeparableConv2D": _separable,
}
"""How many weights a layer has at least, by its arguments and the shape of its input."""
