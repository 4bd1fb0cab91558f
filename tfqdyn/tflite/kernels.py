"""The numbers that a .tflite operator multiplies with, in one layout for all operators.

Glossary of shapes
    Kernels are [H, W, I, K]: K output channels last, I inputs that each of them reads (1 in
    depthwise convolutions); dense layers and per-channel scales have H = W = 1. So a dense layer
    equals the 1x1 convolution, and a depthwise one the grouped convolution, that a file may hold
    in its place.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfqdyn.network.graph import Node
from tfqdyn.tflite.dataflow import Dataflow, real_values
from tfqdyn.tflite.file import Operator, Tensor

WITH_KERNEL = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
AFFINE = ("MUL", "ADD", "SUB", "DIV")


@dataclass(frozen=True, eq=False)
class FileKernel:
    """A kernel as a file holds it.

    Attributes:
        tensor: where it is stored.
        values: real numbers [H, W, I, K].
        steps: distance of neighbouring codes, [] or [K]; 0 where it is stored in floats.
    """

    tensor: Tensor
    values: NDArray[np.float64]
    steps: NDArray[np.float64]


def layout(kind: str, stored: NDArray) -> NDArray:
    """A stored kernel as [H, W, I, K].

    Args:
        kind: the operator's: convolutions store [K, H, W, I], depthwise ones [1, H, W, K], fully
            connected layers [K, I], transposed convolutions [K, H, W, C] (I = C).
        stored: its numbers or codes.
    """
    if kind == "DEPTHWISE_CONV_2D":
        return stored.transpose(1, 2, 0, 3)
    if kind == "FULLY_CONNECTED":
        return stored.T[None, None]
    return stored.transpose(1, 2, 3, 0)


def kernel_in_file(flow: Dataflow, operator: Operator) -> FileKernel | None:
    """The kernel of an operator; None if it has none that is stored."""
    tensor = flow.constant(operator, 1) if operator.kind in WITH_KERNEL else None
    if tensor is None:
        return None
    steps = np.zeros(()) if tensor.params is None else tensor.params.scale
    return FileKernel(tensor, layout(operator.kind, real_values(tensor)), steps)


def kernel_of_layer(node: Node) -> NDArray[np.float32]:
    """A node's kernel as [H, W, I, K]; an affine op's scale as [1, 1, 1, K]."""
    if node.op == "affine":
        return node.weights["kernel"].reshape(1, 1, 1, -1)
    kernel = node.weights["kernel"]
    if node.op == "depthwise":
        return kernel.reshape(*kernel.shape[:2], 1, -1)
    if node.op == "transposed_conv":
        return kernel.transpose(0, 1, 3, 2)
    return kernel if node.op == "conv" else kernel[None, None]


def as_of_layer(values: NDArray, node: Node) -> NDArray:
    """A kernel [H, W, I, K] in the shape of the node's own; undoes `kernel_of_layer`."""
    if node.op == "transposed_conv":
        values = values.transpose(0, 1, 3, 2)
    return values.reshape(node.weights["kernel"].shape)


def scaled_inputs(kernel: NDArray, scale: NDArray, groups: int) -> NDArray:
    """A kernel [H, W, I, K] whose input channels come multiplied by `scale` [C].

    Where I * groups is a multiple of C (flattened images), channels run fastest.
    """
    height, width, inputs, outputs = kernel.shape
    factors = np.tile(scale, inputs * groups // scale.size).reshape(groups, inputs)
    split = kernel.reshape(height, width, inputs, groups, outputs // groups)
    return (split * factors.T[:, :, None]).reshape(kernel.shape)


def affine_of(flow: Dataflow, operator: Operator) -> tuple[NDArray, NDArray] | None:
    """(scale, offset), [] or [C], of an operator that is one affine map a channel; else None."""
    if operator.kind in ("DEPTHWISE_CONV_2D", "CONV_2D"):
        kernel, bias = kernel_in_file(flow, operator), flow.constant(operator, 2)
        if kernel is None or kernel.values.shape[:3] != (1, 1, 1) or bias is None:
            return None
        if operator.kind == "CONV_2D" and kernel.values.size > 1:
            return None
        return kernel.values.reshape(-1), real_values(bias)
    if operator.kind not in AFFINE or len(flow.inputs(operator)) != 1:
        return None
    first, second = (flow.constant(operator, i) for i in (0, 1))
    stored = first or second
    if stored is None or (operator.kind == "DIV" and first is not None):
        return None
    number = real_values(stored).reshape(-1)
    none, one = np.zeros(1), np.ones(1)
    return {
        "MUL": (number, none),
        "DIV": (1 / np.where(number == 0, np.inf, number), none),
        "ADD": (one, number),
        "SUB": (one, -number) if first is None else (-one, number),
    }[operator.kind]


def affine_chains(
    flow: Dataflow, tensor: int, channels: int, longest: int = 3
) -> Iterator[tuple[tuple[Operator, ...], NDArray, NDArray]]:
    """All runs of affine operators that start at a value, the empty one first.

    Yields:
        The operators, and scale and offset [channels] of all of them together.
    """
    runs: list[tuple[tuple[Operator, ...], NDArray, NDArray]] = [
        ((), np.ones(channels), np.zeros(channels))
    ]
    while runs:
        operators, scale, offset = runs.pop(0)
        yield operators, scale, offset
        if len(operators) == longest or (operators and operators[-1].activation != "NONE"):
            continue
        end = operators[-1].outputs[0] if operators else tensor
        for reader in flow.readers(end):
            step = affine_of(flow, reader)
            if step is not None and step[0].size in (1, channels) and step[1].size in (1, channels):
                runs.append(((*operators, reader), scale * step[0], offset * step[0] + step[1]))


def distance(reference: NDArray, found: NDArray) -> float:
    """How far two arrays are apart: rms of the difference over the rms of both, in [0, sqrt(2)].

    0 is best; unrelated arrays without mean have about 1; 0 for two arrays of zeros.
    """
    reference = reference.astype(np.float64)
    size = np.mean(reference**2) + np.mean(found**2)
    return float(np.sqrt(np.mean((reference - found) ** 2) / size)) if size else 0.0
