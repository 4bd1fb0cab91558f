"""Every builder against figures spelled by hand: layers, parameters, MACs, shapes, numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import keras
import pytest

import models
from models.factorizenet import FACTORIZATIONS, factorizenet
from tfqdyn.network.lowering import lower


@dataclass(frozen=True)
class Expected:
    """What a default network must be.

    `numbers` are the papers' layer numbers (1-based, layers with a kernel, graph order);
    `before_head` is the shape that pooling or flattening reads.
    """

    layers: int
    parameters: int
    macs: int
    before_head: tuple[str, tuple[int, ...]]
    numbers: dict[int, str]


DENSE = 16384 * 256 + 256 * 128 + 128 * 10
DENSE_BIASES = 256 + 128 + 10
FIRST = 32 * 32 * 64 * 27

TABLE = {
    "toynet": Expected(
        layers=9 + 3,
        parameters=(
            27 * 64
            + 9 * (64 * 64 * 2 + 64 * 128 + 128 * 128 * 2 + 128 * 256 + 256 * 256 * 2)
            + 4 * (3 * 64 + 3 * 128 + 3 * 256)  # batch norm
            + DENSE
            + DENSE_BIASES
        ),
        macs=(
            FIRST
            + 9 * 32 * 32 * (64 * 64 * 2)
            + 9 * 16 * 16 * (64 * 128 + 128 * 128 * 2)
            + 9 * 8 * 8 * (128 * 256 + 256 * 256 * 2)
            + DENSE
        ),
        before_head=("flatten", (8, 8, 256)),
        numbers={1: "conv_1", 9: "conv_9", 10: "dense_1", 12: "predictions"},
    ),
    "dws_convnet": Expected(
        layers=1 + 2 * 8 + 3,
        parameters=(
            27 * 64
            + 9 * (64 * 3 + 128 * 3 + 256 * 2)  # depthwise
            + 64 * 64 * 2 + 64 * 128 + 128 * 128 * 2 + 128 * 256 + 256 * 256 * 2  # pointwise
            + 4 * (64 * 6 + 128 * 6 + 256 * 5)  # batch norm
            + DENSE
            + DENSE_BIASES
        ),
        macs=(
            FIRST
            + 32 * 32 * 2 * (9 * 64 + 64 * 64)
            + 16 * 16 * (9 * 64 + 64 * 128 + 2 * (9 * 128 + 128 * 128))
            + 8 * 8 * (9 * 128 + 128 * 256 + 2 * (9 * 256 + 256 * 256))
            + DENSE
        ),
        before_head=("flatten", (8, 8, 256)),
        numbers={n: f"conv_dw_{n // 2}" for n in range(2, 17, 2)}
        | {1: "conv_1", 17: "conv_pw_8", 18: "dense_1", 19: "dense_2", 20: "predictions"},
    ),
    "factorizenet": Expected(  # f2
        layers=1 + 2 * 8 + 3,
        parameters=(
            27 * 64
            + 9 * (64 * 64 * 3 + 128 * 128 * 3 + 256 * 256 * 2) // 2  # two groups
            + 64 * 64 * 2 + 64 * 128 + 128 * 128 * 2 + 128 * 256 + 256 * 256 * 2  # pointwise
            + 4 * (64 * 6 + 128 * 6 + 256 * 5)  # batch norm
            + DENSE
            + DENSE_BIASES
        ),
        macs=(
            FIRST
            + 32 * 32 * 2 * (9 * 64 * 32 + 64 * 64)
            + 16 * 16 * (9 * 64 * 32 + 64 * 128 + 2 * (9 * 128 * 64 + 128 * 128))
            + 8 * 8 * (9 * 128 * 64 + 128 * 256 + 2 * (9 * 256 * 128 + 256 * 256))
            + DENSE
        ),
        before_head=("flatten", (8, 8, 256)),
        numbers={2: "conv_group_1", 3: "conv_pw_1", 16: "conv_group_8", 18: "dense_1"},
    ),
    "mobilenet_v1": Expected(
        layers=28,
        parameters=(
            27 * 32
            + 9 * (32 + 64 + 128 * 2 + 256 * 2 + 512 * 6 + 1024)  # depthwise
            + 32 * 64 + 64 * 128 + 128 * 128 + 128 * 256 + 256 * 256 + 256 * 512  # pointwise
            + 512 * 512 * 5 + 512 * 1024 + 1024 * 1024
            + 4 * (32 + 32 + 64 * 2 + 128 * 4 + 256 * 4 + 512 * 12 + 1024 * 3)  # batch norm
            + 1024 * 10 + 10
        ),
        macs=(
            16 * 16 * (27 * 32 + 9 * 32 + 32 * 64 + 9 * 64 + 64 * 128 + 9 * 128 + 128 * 128)
            + 8 * 8 * (9 * 128 + 128 * 256 + 9 * 256 + 256 * 256)
            + 4 * 4 * (9 * 256 + 256 * 512 + 5 * (9 * 512 + 512 * 512))
            + 4 * 4 * (9 * 512 + 512 * 1024 + 9 * 1024 + 1024 * 1024)
            + 1024 * 10
        ),
        before_head=("pool", (4, 4, 1024)),
        numbers={n: f"conv_dw_{n // 2}" for n in range(2, 27, 2)}
        | {1: "conv1", 27: "conv_pw_13", 28: "predictions"},
    ),
    "mobilenet_v2": Expected(
        layers=1 + 2 + 16 * 3 + 1 + 1,
        parameters=(
            27 * 32
            + 9 * (32 + 96 + 144 * 2 + 192 * 3 + 384 * 4 + 576 * 3 + 960 * 3)  # depthwise
            + 16 * 96 + 24 * 144 * 2 + 32 * 192 * 3 + 64 * 384 * 4 + 96 * 576 * 3  # expand
            + 160 * 960 * 3
            + 32 * 16 + 96 * 24 + 144 * 24 + 144 * 32 + 192 * 32 * 2 + 192 * 64  # project
            + 384 * 64 * 3 + 384 * 96 + 576 * 96 * 2 + 576 * 160 + 960 * 160 * 2 + 960 * 320
            + 320 * 1280
            + 4 * (32 * 2 + 2 * (96 + 144 * 2 + 192 * 3 + 384 * 4 + 576 * 3 + 960 * 3))  # bn
            + 4 * (16 + 24 * 2 + 32 * 3 + 64 * 4 + 96 * 3 + 160 * 3 + 320 + 1280)
            + 1280 * 10 + 10
        ),
        macs=(
            16 * 16 * (27 * 32 + 9 * 32 + 32 * 16)
            + 16 * 16 * (16 * 96 + 9 * 96 + 96 * 24 + 24 * 144 + 9 * 144 + 144 * 24)
            + 16 * 16 * 24 * 144 + 8 * 8 * (9 * 144 + 144 * 32)
            + 8 * 8 * 2 * (32 * 192 + 9 * 192 + 192 * 32)
            + 8 * 8 * 32 * 192 + 4 * 4 * (9 * 192 + 192 * 64)
            + 4 * 4 * 3 * (64 * 384 + 9 * 384 + 384 * 64)
            + 4 * 4 * (64 * 384 + 9 * 384 + 384 * 96 + 2 * (96 * 576 + 9 * 576 + 576 * 96))
            + 4 * 4 * (96 * 576 + 9 * 576 + 576 * 160 + 2 * (160 * 960 + 9 * 960 + 960 * 160))
            + 4 * 4 * (160 * 960 + 9 * 960 + 960 * 320 + 320 * 1280)
            + 1280 * 10
        ),
        before_head=("pool", (4, 4, 1280)),
        numbers={1: "conv1", 2: "block_1_depthwise", 5: "block_2_depthwise", 52: "conv_last"},
    ),
    "resnet34": Expected(
        layers=1 + 32 + 3 + 1,
        parameters=(
            49 * 3 * 64
            + 9 * (64 * 64 * 6 + 64 * 128 + 128 * 128 * 7 + 128 * 256 + 256 * 256 * 11)
            + 9 * (256 * 512 + 512 * 512 * 5)
            + 64 * 128 + 128 * 256 + 256 * 512  # projections
            + 4 * (64 * 7 + 128 * 9 + 256 * 13 + 512 * 7)  # batch norm
            + 512 * 10 + 10
        ),
        macs=(
            16 * 16 * (49 * 3 * 64 + 9 * 64 * 64 * 6)
            + 16 * 16 * (9 * 64 * 128 + 9 * 128 * 128 * 7 + 64 * 128)
            + 8 * 8 * (9 * 128 * 256 + 9 * 256 * 256 * 11 + 128 * 256)
            + 8 * 8 * (9 * 256 * 512 + 9 * 512 * 512 * 5 + 256 * 512)
            + 512 * 10
        ),
        before_head=("pool", (8, 8, 512)),
        numbers={
            1: "conv1",
            9: "stage_2_block_1_conv2",
            10: "stage_2_block_1_proj",
            19: "stage_3_block_1_proj",
            32: "stage_4_block_1_proj",
            36: "stage_4_block_3_conv2",
            37: "predictions",
        },
    ),
    "vgg19": Expected(
        layers=16 + 3,
        parameters=(
            9 * (3 * 64 + 64 * 64 + 64 * 128 + 128 * 128 + 128 * 256 + 256 * 256 * 3)
            + 9 * (256 * 512 + 512 * 512 * 7)
            + 2 * 64 + 2 * 128 + 4 * 256 + 8 * 512  # biases
            + 512 * 4096 + 4096 * 4096 + 4096 * 10 + 4096 + 4096 + 10
        ),
        macs=(
            9 * 32 * 32 * (3 * 64 + 64 * 64)
            + 9 * 16 * 16 * (64 * 128 + 128 * 128)
            + 9 * 8 * 8 * (128 * 256 + 256 * 256 * 3)
            + 9 * 4 * 4 * (256 * 512 + 512 * 512 * 3)
            + 9 * 2 * 2 * 512 * 512 * 4
            + 512 * 4096 + 4096 * 4096 + 4096 * 10
        ),
        before_head=("flatten", (1, 1, 512)),
        numbers={1: "block1_conv1", 16: "block5_conv4", 17: "fc1", 19: "predictions"},
    ),
}  # fmt: skip

# Thesis 5.5 names three of these; all are convolutions' MACs in millions.
FACTORIZED_MMACS = {
    "regular": 266.0,
    "f2": 153.8,
    "finit2": 104.3,
    "f4": 92.5,
    "finit4": 67.7,
    "f8": 61.8,
    "f16": 46.5,
    "depthwise": 33.4,
}


def kernel_layers(network: keras.Model) -> list[Any]:
    return [layer for layer in network.layers if hasattr(layer, "kernel")]


def macs(layer: Any) -> int:
    """Multiply-accumulates for one image, from the kernel's and the output's shape."""
    kernel, output = layer.kernel.shape, layer.output.shape[1:]
    taps = kernel[:2] if isinstance(layer, keras.layers.DepthwiseConv2D) else kernel[:-1]
    return prod(taps) * prod(output)


@pytest.fixture(scope="module", params=TABLE)
def case(
    request: pytest.FixtureRequest,
) -> tuple[Callable[..., keras.Model], keras.Model, Expected]:
    name = request.param
    return models.BUILDERS[name], models.BUILDERS[name](), TABLE[name]


def test_every_builder_is_in_the_table():
    assert set(TABLE) == set(models.BUILDERS)


def test_layers_parameters_and_macs(case):
    _, network, expected = case
    layers = kernel_layers(network)
    assert len(layers) == expected.layers
    assert network.count_params() == expected.parameters
    assert sum(map(macs, layers)) == expected.macs
    assert sum(node.macs for node in lower(network)) == expected.macs


def test_layer_numbers_of_the_papers(case):
    _, network, expected = case
    names = [layer.name for layer in kernel_layers(network)]
    assert {number: names[number - 1] for number in expected.numbers} == expected.numbers


def test_shape_before_pooling(case):
    _, network, expected = case
    name, shape = expected.before_head
    layer: Any = network.get_layer(name)
    assert layer.input.shape == (None, *shape)
    assert network.input_shape == (None, 32, 32, 3)
    assert network.output_shape == (None, 10)


def test_docstring_prints_the_same_totals(case):
    builder, _, expected = case
    text = str(builder.__doc__)
    if "dense_1" in text:  # the macroarchitecture's tables total the convolutions too
        convolutions = expected.macs - DENSE
        assert f"{convolutions:,}" in text
    assert f"{expected.parameters:,}" in text
    assert f"{expected.macs:,}" in text or "factorization" in text


@pytest.mark.parametrize("factorization", FACTORIZED_MMACS)
def test_factorized_networks_have_the_thesis_macs(factorization: str):
    network = factorizenet(factorization=factorization)
    total = sum(macs(x) for x in kernel_layers(network) if not isinstance(x, keras.layers.Dense))
    assert round(total / 1e6, 1) == FACTORIZED_MMACS[factorization]
    text = str(factorizenet.__doc__)
    assert f"{total:,}" in text
    assert f"{network.count_params():,}" in text


def test_reverse_pyramid_from_64_is_depthwise():
    names = [
        [x.name for x in factorizenet(factorization=f).layers] for f in ("finit64", "depthwise")
    ]
    assert names[0] == names[1]


def test_names_of_factorizations():
    assert set(FACTORIZED_MMACS) == set(FACTORIZATIONS)
