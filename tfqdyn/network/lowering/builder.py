"""Collects canonical nodes while a model's calls are lowered one by one.

What slides over sequences [T, C] does so over images of height 1, [1, T, C], as TFLite does. What
follows it and works on every value alone does that to the image, so that batch norms are folded
and ReLUs fused as with images; a reshape gives the sequence to whatever else reads it.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.network import ops
from tfqdyn.network.graph import Node
from tfqdyn.network.trace import Call, UnsupportedModelError

ACTIVATIONS = (
    "linear", "relu", "relu6", "leaky_relu", "sigmoid", "hard_sigmoid", "silu", "swish",
    "hard_silu", "hard_swish", "tanh", "softmax", *ops.ACTIVATIONS,
)  # fmt: skip
"""The activations that are lowered, by Keras' names."""


def unsupported_activation(layer: str, activation: str) -> str:
    """The error about a layer's activation."""
    return (
        f"layer {layer!r}: activation {activation!r} is not supported; supported are "
        f"{', '.join(ACTIVATIONS)}"
    )


def by_channel(shape: tuple[int, ...], constant: NDArray) -> tuple[tuple[int, ...], NDArray] | None:
    """The shape in which a constant has one number for each channel of a value, and these numbers.

    That is the value's own; or its last axes are one where the constant differs in several of them,
    as a bias of every head, or an offset of every place of a sequence, does.

    Args:
        shape: of the value, without the batch axis.
        constant: as it is broadcast with the value.

    Returns:
        None where the constant cannot be seen so.
    """
    own = constant.shape
    while own[:1] == (1,):
        own = own[1:]
    if not own:
        return shape, constant.reshape(1)
    kept, block = shape[: len(shape) - len(own)], shape[len(shape) - len(own) :]
    if len(own) > len(shape) or any(n not in (1, m) for n, m in zip(own, block, strict=True)):
        return None
    numbers = np.broadcast_to(constant.reshape(own), block).reshape(-1)
    return (*kept, numbers.size), numbers


class Builder:
    """Collects nodes, call by call: `begin`, what its rule adds, `end`.

    Attributes:
        nodes: all so far.
        skipped: calls that compute nothing at inference, with the reason.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.skipped: dict[str, str] = {}
        self._value: dict[str, str] = {}
        self._images: dict[str, str] = {}  # by sequence
        self._from_images: set[str] = set()  # sequences that were made as images
        self._names: set[str] = set()
        self._call: Call

    def begin(self, call: Call) -> tuple[str, ...]:
        """Nodes are of this call from now on; names of the nodes that it reads."""
        self._call = call
        return tuple(self._value.get(name, name) for name in call.inputs)

    def value_of(self, call: str) -> str:
        """The node whose value is a call's output."""
        return self._value[call]

    def end(self, value: str) -> None:
        """The current call's output is the value of that node."""
        self._value[self._call.name] = value

    def node(
        self,
        op: str,
        inputs: tuple[str, ...],
        *,
        name: str | None = None,
        shape: tuple[int, ...] | None = None,
        weights: Mapping[str, NDArray] | None = None,
        **config: Any,
    ) -> str:
        """Adds a node of the current call; returns its name."""
        if op in ops.OPS and ops.OPS[op].pointwise and self._from_images.issuperset(inputs):
            read = tuple(self._images[value] for value in inputs)
            wide = self.shape_of(read[0])
            if all(self.shape_of(image) == wide for image in read):
                made = self.node(op, read, name=name, shape=wide, weights=weights, **config)
                return self.sequence(made)
        name = self._unique(name or self._call.name)
        self.nodes.append(
            Node(
                name=name,
                op=op,
                inputs=inputs,
                output_shape=tuple(shape if shape is not None else self.shape),
                config=config,
                weights=weights or {},
                source=self._call.source,
                shared=self._call.shared,
            )
        )
        return name

    def sliding(
        self,
        op: str,
        value: str,
        *,
        name: str | None = None,
        shape: tuple[int, ...] | None = None,
        weights: Mapping[str, NDArray] | None = None,
        **config: Any,
    ) -> str:
        """Adds a node that slides over an image [H, W, C], or over a sequence [T, C]."""
        shape = self.shape if shape is None else shape
        if len(shape) == 3:
            return self.node(op, (value,), name=name, shape=shape, weights=weights, **config)
        read = (self.image(value),)
        made = self.node(op, read, name=name, shape=(1, *shape), weights=weights, **config)
        return self.sequence(made)

    def image(self, value: str) -> str:
        """An image as it is, a sequence as an image of height 1."""
        shape = self.shape_of(value)
        if len(shape) == 3:
            return value
        if value not in self._images:
            made = self.node("reshape", (value,), name=f"{value}_image", shape=(1, *shape))
            self._images[value] = made
        return self._images[value]

    def sequence(self, image: str) -> str:
        """An image of height 1 as a sequence."""
        shape = self.shape_of(image)[1:]
        made = self.node("reshape", (image,), name=f"{image}_sequence", shape=shape)
        self._images[made] = image
        self._from_images.add(made)
        return made

    def _unique(self, name: str) -> str:
        candidate, n = name, 1
        while candidate in self._names:
            n += 1
            candidate = f"{name}_{n}"
        self._names.add(candidate)
        return candidate

    @property
    def shape(self) -> tuple[int, ...]:
        """The output shape of the current call."""
        return tuple(int(size) for size in self._call.output_shape if size is not None)

    def shape_of(self, name: str) -> tuple[int, ...]:
        """The output shape of a node already added."""
        return next(node.output_shape for node in reversed(self.nodes) if node.name == name)

    def activated(self, value: str, activation: Any, name: str | None = None) -> str:
        """`value` after a Keras activation (a name or a function); adds what nodes it takes."""
        kind = activation if isinstance(activation, str) else _name_of(activation)
        name, shape = name or f"{self._call.name}_{kind}", self.shape_of(value)
        if kind == "linear":
            return value
        if kind in ("relu", "relu6"):
            top = 6.0 if kind == "relu6" else None
            return self.node("relu", (value,), name=name, shape=shape, max_value=top)
        if kind == "leaky_relu":
            return self.node("leaky_relu", (value,), name=name, shape=shape, alpha=0.2)
        if kind in ("sigmoid", "tanh", "softmax"):
            return self.node(kind, (value,), name=name, shape=shape)
        if kind in ops.ACTIVATIONS:
            return self.keras_activation(value, kind, activation, name)
        if kind == "hard_sigmoid":
            moved = self.affine(value, 1.0, 3.0, f"{name}_shift")
            clipped = self.node("relu", (moved,), name=f"{name}_relu6", shape=shape, max_value=6.0)
            return self.affine(clipped, 1.0 / 6.0, 0.0, name)
        if kind in ("silu", "swish", "hard_silu", "hard_swish"):
            gate = "hard_sigmoid" if kind.startswith("hard") else "sigmoid"
            gated = self.activated(value, gate, f"{name}_{gate}")
            return self.node("multiply", (value, gated), name=name, shape=shape)
        raise UnsupportedModelError(unsupported_activation(self._call.name, kind))

    def keras_activation(self, value: str, kind: str, source: Any, name: str | None = None) -> str:
        """Adds one of `ops.ACTIVATIONS`; `source`, a layer or a function, has its parameters."""
        given = {role: _parameter(source, role) for role in ops.ACTIVATIONS[kind]}
        return self.node(kind, (value,), name=name, shape=self.shape_of(value), **given)

    def affine(self, value: str, scale: Any, offset: Any, name: str | None = None) -> str:
        """Adds value * scale + offset, scalars or one number per channel, unless it is `value`."""
        if np.all(np.asarray(scale) == 1) and np.all(np.asarray(offset) == 0):
            self.skipped[name or self._call.name] = "multiplies by 1 and adds 0"
            return value
        shape = self.shape_of(value)
        channels = shape[-1]
        weights = {
            "kernel": np.broadcast_to(np.asarray(scale, np.float32).reshape(-1), (channels,)),
            "bias": np.broadcast_to(np.asarray(offset, np.float32).reshape(-1), (channels,)),
        }
        return self.node("affine", (value,), name=name, shape=shape, weights=weights)


def _name_of(activation: Any) -> str:
    """A function's name; a layer's or another object's class."""
    return getattr(activation, "__name__", type(activation).__name__)


def _parameter(source: Any, role: str) -> Any:
    """A layer's attribute, or the default of a function's argument."""
    given = getattr(source, role, None)
    given = inspect.signature(source).parameters[role].default if given is None else given
    return given if isinstance(given, (bool, int)) else float(given)
