"""Collects canonical nodes while the operators of a .tflite file are lowered one by one."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.network.graph import Node
from tfqdyn.network.lowering.builder import Builder
from tfqdyn.network.trace import Call
from tfqdyn.tflite.file import INDICES, Operator, Tensor, TfliteModel
from tfqdyn.tflite.lowering.names import Names, name_of_input, short_names


class UncoveredError(ValueError):
    """An operator that the lowering does not cover; the text says what of it."""


@dataclass(frozen=True)
class Value:
    """A node's value that a tensor of the file holds.

    `batched` tells whether the tensor's first axis counts images. It does not where a file of one
    image reshaped that axis away.
    """

    node: str
    batched: bool = True


class FileBuilder:
    """The state of one lowering.

    Attributes:
        model: the file.
        images: that the file takes at once.
        values: by tensor.
        constants: numbers that operators made of constants alone, by tensor.

    Args:
        model: a parsed file.
    """

    def __init__(self, model: TfliteModel) -> None:
        self.model = model
        self.images = model.tensors[model.inputs[0]].shape[0]
        self.values: dict[int, Value] = {}
        self.constants: dict[int, NDArray] = {}
        self._builder = Builder()
        self._names: Names = short_names(model)
        for index in model.inputs:
            self._input(model.tensors[index])

    @property
    def nodes(self) -> list[Node]:
        """All so far."""
        return self._builder.nodes

    @property
    def skipped(self) -> dict[str, str]:
        """Operators that compute nothing, with the reason."""
        return self._builder.skipped

    def _input(self, tensor: Tensor) -> None:
        self._begin(name_of_input(tensor.name), self.inner(tensor.index, True))
        self.values[tensor.index] = Value(self._builder.node("input", ()))

    def begin(self, op: Operator) -> None:
        """Nodes are of this operator from now on."""
        self._begin(self._names[op.index], self.model.tensors[op.outputs[0]].shape[1:])

    def _begin(self, name: str, shape: tuple[int, ...]) -> None:
        source: Any = SimpleNamespace(name=name)
        self._name = name
        self._builder.begin(Call(name, source, (), (), shape))

    # what operators read

    def value(self, op: Operator, position: int = 0) -> Value:
        """What an operator reads there.

        Raises:
            UncoveredError: a constant, or nothing.
        """
        index = op.inputs[position] if position < len(op.inputs) else -1
        if index not in self.values:
            what = "a constant" if self.stored(op, position) is not None else "nothing"
            raise UncoveredError(f"{what} as its input {position}")
        return self.values[index]

    def is_value(self, op: Operator, position: int) -> bool:
        """Whether an operator reads a computed value there."""
        return position < len(op.inputs) and op.inputs[position] in self.values

    def stored(self, op: Operator, position: int) -> NDArray | None:
        """The constant that an operator reads there; None where there is none."""
        if position >= len(op.inputs) or op.inputs[position] < 0:
            return None
        return self.constant_of(op.inputs[position])

    def constant_of(self, index: int) -> NDArray | None:
        """The numbers of a constant tensor; None of one that is computed."""
        return self.constants.get(index, self.model.tensors[index].data)

    def floats(self, op: Operator, position: int, what: str) -> NDArray[np.float32]:
        """A constant of real numbers.

        Raises:
            UncoveredError: it is computed, or in codes.
        """
        found = self.stored(op, position)
        if found is None:
            raise UncoveredError(f"{what} that is not stored in the file")
        if found.dtype.kind != "f":
            raise UncoveredError(f"{what} in {found.dtype}")
        return np.asarray(found, np.float32)

    def integers(self, op: Operator, position: int, what: str) -> tuple[int, ...]:
        """A constant of positions or sizes, flat.

        Raises:
            UncoveredError: it is computed.
        """
        found = self.stored(op, position)
        if found is None or found.dtype.kind not in "iu":
            raise UncoveredError(f"{what} that is not stored in the file")
        return tuple(int(number) for number in found.reshape(-1))

    def shape(self, value: Value) -> tuple[int, ...]:
        """A value's shape for one image."""
        return self._builder.shape_of(value.node)

    def image_shape(self, value: Value) -> tuple[int, int, int]:
        """Height, width and channels of a value.

        Raises:
            UncoveredError: it is no image.
        """
        shape = self.shape(value)
        if len(shape) != 3 or not value.batched:
            raise UncoveredError(f"an input of shape {shape}; expected height, width, channels")
        return shape[0], shape[1], shape[2]

    def node_of(self, value: Value) -> Node:
        """The node that gives a value."""
        return next(node for node in reversed(self.nodes) if node.name == value.node)

    def axis(self, value: Value, axis: int) -> int:
        """A tensor's axis as that of the value for one image.

        Raises:
            UncoveredError: it is the axis of images, or none.
        """
        rank = len(self.shape(value)) + value.batched
        if not -rank <= axis < rank:
            raise UncoveredError(f"axis {axis} of a tensor of {rank} axes")
        found = axis % rank - value.batched
        if found < 0:
            raise UncoveredError("the axis that counts images")
        return found

    # what operators make

    def inner(self, tensor: int, batched: bool) -> tuple[int, ...]:
        """A tensor's shape for one image.

        Raises:
            UncoveredError: its first axis does not count images.
        """
        shape = self.model.tensors[tensor].shape
        if not batched:
            return shape
        if not shape or shape[0] != self.images:
            raise UncoveredError(f"a tensor of shape {shape} where the file takes {self.images} "
                                 "images at once")  # fmt: skip
        return shape[1:]

    def node(
        self,
        kind: str,
        inputs: tuple[Value, ...],
        shape: tuple[int, ...],
        suffix: str = "",
        weights: dict[str, NDArray] | None = None,
        **config: Any,
    ) -> Value:
        """Adds a node of the current operator; its name with the suffix."""
        name = f"{self._name}{suffix}"
        read = tuple(value.node for value in inputs)
        made = self._builder.node(kind, read, name=name, shape=shape, weights=weights, **config)
        return Value(made, inputs[0].batched)

    def affine(self, value: Value, scale: Any, offset: Any, suffix: str = "") -> Value:
        """value * scale + offset, scalars or one number per channel; `value` where that changes
        nothing."""
        made = self._builder.affine(value.node, scale, offset, f"{self._name}{suffix}")
        return Value(made, value.batched)

    def activated(self, value: Value, activation: Any, suffix: str | None = None) -> Value:
        """A value after one of Keras' activations."""
        name = f"{self._name}_{activation}" if suffix is None else f"{self._name}{suffix}"
        return Value(self._builder.activated(value.node, activation, name), value.batched)

    def reshaped(self, value: Value, shape: tuple[int, ...], batched: bool, suffix: str) -> Value:
        """A value in another shape for one image; the same where that changes nothing."""
        if shape == self.shape(value):
            return Value(value.node, batched)
        made = self.node("reshape", (value,), shape, suffix)
        return Value(made.node, batched)

    def sequence(self, image: Value) -> Value:
        """An image of height 1 as a sequence; its activation stays the image's."""
        return Value(self._builder.sequence(image.node), image.batched)

    def give(self, op: Operator, value: Value, output: int = 0) -> None:
        """An operator's output is that value, after the activation that is fused into it.

        Raises:
            UncoveredError: an unknown activation, or the file has another shape there.
        """
        value = self._fused(value, op.activation)
        index = op.outputs[output]
        told = self.model.tensors[index].shape
        found = (self.images, *self.shape(value)) if value.batched else self.shape(value)
        if found != told:
            raise UncoveredError(f"an output of shape {told}, where {found} was expected")
        self.values[index] = value

    def _fused(self, value: Value, activation: str) -> Value:
        if activation == "NONE":
            return value
        if activation in ("RELU", "RELU6", "TANH"):
            return self.activated(value, activation.lower())
        if activation == "RELU_0_TO_1":
            return self.clipped(value, 0.0, 1.0, "_relu1")
        if activation == "RELU_N1_TO_1":
            return self.clipped(value, -1.0, 1.0, "_clip")
        raise UncoveredError(f"the fused activation {activation}")

    def clipped(self, value: Value, low: float, high: float | None, suffix: str = "") -> Value:
        """A value cut to [low, high], or to [low, infinity)."""
        shifted = self.affine(value, 1.0, -low, f"{suffix}_shift") if low else value
        top = None if high is None else float(high - low)
        shape = self.shape(value)
        cut = self.node(
            "relu", (shifted,), shape, f"{suffix}_relu" if low else suffix, max_value=top
        )
        return self.affine(cut, 1.0, low, suffix) if low else cut

    def placeholder(self, op: Operator) -> None:
        """Stands for what an operator that is not covered gives, so that later ones are read."""
        for index in op.outputs:
            tensor = self.model.tensors[index]
            if tensor.dtype in INDICES:
                continue
            batched = bool(tensor.shape) and tensor.shape[0] == self.images
            shape = tensor.shape[1:] if batched else tensor.shape
            made = self._builder.node("unsupported", (), name=self._name, shape=shape)
            self.values[index] = Value(made, batched)

    def same_size(self, op: Operator, value: Value) -> tuple[tuple[int, ...], bool]:
        """The shape for one image that an operator's output has, of as many numbers as `value`.

        Returns:
            The shape, and whether the tensor's first axis counts images.

        Raises:
            UncoveredError: values of several images would come together.
        """
        shape = self.model.tensors[op.outputs[0]].shape
        size = math.prod(self.shape(value))
        if shape and shape[0] == self.images and math.prod(shape[1:]) == size:
            return shape[1:], True
        if self.images == 1 and shape and math.prod(shape) == size:
            return shape, False
        raise UncoveredError(f"the shape {shape} of what was {self.shape(value)} for each image")


Rule = Callable[[FileBuilder, Operator], None]
"""Lowers an operator: adds nodes, and says by `give` what its outputs are.

Raises:
    UncoveredError: it does not cover this operator.
"""
