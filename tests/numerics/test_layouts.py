"""Kernel layouts, spelled by hand."""

import numpy as np
import pytest

from tfqdyn.network.graph import Node
from tfqdyn.numerics.layouts import LAYOUTS, STORED, grouped, joined, scaled_inputs

SHAPES = {
    "conv": (2, 3, 2, 6),
    "depthwise": (2, 3, 4, 2),
    "dense": (4, 5),
    "transposed_conv": (2, 3, 5, 4),
    "affine": (4,),
}


@pytest.mark.parametrize(("op", "common"), [
    ("conv", (2, 3, 2, 6)), ("depthwise", (2, 3, 1, 8)), ("dense", (1, 1, 4, 5)),
    ("transposed_conv", (2, 3, 4, 5)), ("affine", (1, 1, 1, 4)),
])  # fmt: skip
def test_every_layout_has_one_form(op: str, common: tuple[int, ...]) -> None:
    kernel = np.arange(np.prod(SHAPES[op])).reshape(SHAPES[op])
    made = LAYOUTS[op].common(kernel)
    assert made.shape == common
    np.testing.assert_array_equal(LAYOUTS[op].restored(made, kernel.shape), kernel)


@pytest.mark.parametrize(("op", "axes"), [
    ("conv", (3,)), ("depthwise", (2, 3)), ("dense", (1,)), ("transposed_conv", (2,)),
    ("affine", (0,)),
])  # fmt: skip
def test_axes_of_output_channels(op: str, axes: tuple[int, ...]) -> None:
    assert LAYOUTS[op].channel_axes == axes


def test_places_in_the_form_in_common() -> None:
    """Channel 1 with multiplier 0 is output 2 of 4; a transposed kernel's inputs come last."""
    depthwise = np.array([[[[1, 2], [3, 4]]]])
    assert LAYOUTS["depthwise"].common(depthwise)[0, 0, 0].tolist() == [1, 2, 3, 4]
    transposed = np.array([[[[1, 2, 3], [4, 5, 6]]]])  # 2 outputs of 3 inputs
    assert LAYOUTS["transposed_conv"].common(transposed)[0, 0].tolist() == [[1, 4], [2, 5], [3, 6]]


@pytest.mark.parametrize(("operator", "op", "axes"), [
    ("CONV_2D", "conv", (3, 0, 1, 2)), ("TRANSPOSE_CONV", "transposed_conv", (2, 0, 1, 3)),
    ("FULLY_CONNECTED", "dense", (1, 0)),
])  # fmt: skip
def test_files_hold_the_same(operator: str, op: str, axes: tuple[int, ...]) -> None:
    """TFLite's output channels come first."""
    kernel = np.arange(np.prod(SHAPES[op])).reshape(SHAPES[op])
    stored = STORED[operator].common(kernel.transpose(axes))
    np.testing.assert_array_equal(stored, LAYOUTS[op].common(kernel))


def test_files_hold_depthwise_kernels_with_one_input() -> None:
    kernel = np.arange(48).reshape(SHAPES["depthwise"])
    stored = STORED["DEPTHWISE_CONV_2D"].common(kernel.reshape(1, 2, 3, 8))
    np.testing.assert_array_equal(stored, LAYOUTS["depthwise"].common(kernel))


def test_groups_are_kept_apart() -> None:
    kernel = np.array([[[[1, 2, 3, 4], [5, 6, 7, 8]]]])  # 2 groups of 2 inputs and 2 outputs
    assert grouped(kernel, 2)[:, 0, 0].tolist() == [[[1, 2], [5, 6]], [[3, 4], [7, 8]]]
    np.testing.assert_array_equal(joined(grouped(kernel, 2)), kernel)
    scaled = scaled_inputs(kernel, np.array([1, 10, 100, 1000]), 2)
    assert scaled[0, 0].tolist() == [[1, 2, 300, 400], [50, 60, 7000, 8000]]


def test_inputs_of_depthwise_kernels_are_groups() -> None:
    kernel = np.array([[[[1.0, 2], [3, 4]]]], np.float32)
    node = Node("dw", "depthwise", ("x",), (1, 1, 4), weights={"kernel": kernel})
    assert node.groups == 2
    scaled = scaled_inputs(node.kernel, np.array([10, 100]), node.groups)
    assert node.with_kernel(scaled).weights["kernel"].tolist() == [[[[10, 20], [300, 400]]]]


def test_flattened_images_repeat_their_channels() -> None:
    kernel = np.ones((1, 1, 4, 1))
    assert scaled_inputs(kernel, np.array([2, 3]), 1).ravel().tolist() == [2, 3, 2, 3]
