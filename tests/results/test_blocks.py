"""Blocks by structure: networks whose blocks are known, with names that say nothing."""

import keras
import pytest

from tfqdyn import pipeline
from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import Dataset
from tfqdyn.results.blocks import Block, blocks

k = keras.layers


def found(build, size: int = 16) -> tuple[Block, ...]:
    """The blocks of a network that `build` continues from an input."""
    import numpy as np

    keras.utils.set_random_seed(0)
    inputs = keras.Input((size, size, 3))
    x = k.GlobalAveragePooling2D(name="mean")(build(inputs))
    model = keras.Model(inputs, k.Dense(3, name="scores")(x))
    x = np.random.default_rng(0).integers(0, 256, (4, size, size, 3)).astype(np.uint8)
    config = AnalysisConfig(preprocessing="tf", scheme="simulated", trials=1, calibration_size=2)
    return blocks(pipeline.analyze(model, Dataset("d", x, np.array([0, 1, 2, 0])), config).layers)


def kinds(of: tuple[Block, ...]) -> list[tuple[str, list[str]]]:
    return [(block.kind, [layer.name for layer in block.layers]) for block in of]


def test_mobilenet_v1_is_separable() -> None:
    def build(x):
        x = k.Conv2D(4, 3, activation="relu", name="a")(x)
        for name in ("b", "c"):
            x = k.DepthwiseConv2D(3, padding="same", activation="relu", name=f"{name}_1")(x)
            x = k.Conv2D(8, 1, activation="relu", name=f"{name}_2")(x)
        return x

    of = found(build)
    assert kinds(of) == [
        ("conv", ["a"]),
        ("separable", ["b_1", "b_2"]),
        ("separable", ["c_1", "c_2"]),
        ("mean", ["mean"]),
        ("dense", ["scores"]),
    ]
    assert [block.name for block in of[:3]] == ["a", "b", "c"]
    assert [block.numbers for block in of] == ["1", "2-3", "4-5", "", "6"]
    assert of[1].macs == sum(layer.macs for layer in of[1].layers) > 0
    assert of[1].sqnr_db == of[1].layers[-1].sqnr_pooled_db.mean
    assert of[1].worst in of[1].layers


def test_mobilenet_v2_is_of_inverted_residuals_with_and_without_shortcut() -> None:
    def inverted(x, name: str, channels: int, stride: int):
        y = k.Conv2D(4 * x.shape[-1], 1, activation="relu", name=f"{name}p")(x)
        y = k.DepthwiseConv2D(3, stride, "same", activation="relu", name=f"{name}q")(y)
        return k.Conv2D(channels, 1, name=f"{name}r")(y)

    def build(x):
        x = k.Conv2D(4, 3, activation="relu", name="a")(x)
        x = inverted(x, "b", 8, 2)
        return k.Add(name="s")([x, inverted(x, "c", 8, 1)])

    assert kinds(found(build))[:3] == [
        ("conv", ["a"]),
        ("inverted residual", ["bp", "bq", "br"]),
        ("inverted residual", ["cp", "cq", "cr", "s"]),
    ]


@pytest.mark.parametrize("projected", [False, True])
def test_resnets_are_residual(projected: bool) -> None:
    def build(x):
        x = k.Conv2D(4, 3, padding="same", activation="relu", name="a")(x)
        y = k.Conv2D(4, 3, padding="same", activation="relu", name="b")(x)
        y = k.Conv2D(4, 3, padding="same", name="c")(y)
        side = k.Conv2D(4, 1, name="p")(x) if projected else x
        x = k.ReLU(name="r")(k.Add(name="s")([y, side]))
        y = k.Conv2D(4, 3, padding="same", activation="relu", name="d")(x)
        return k.Add(name="t")([x, k.Conv2D(4, 3, padding="same", name="e")(y)])

    first = ["b", "c", *(["p"] if projected else []), "s"]
    assert kinds(found(build))[:3] == [
        ("conv", ["a"]),
        ("residual", first),
        ("residual", ["d", "e", "t"]),
    ]


def test_branches_meet_in_concatenations() -> None:
    def build(x):
        x = k.Conv2D(4, 3, padding="same", activation="relu", name="a")(x)
        one = k.Conv2D(4, 1, activation="relu", name="b")(x)
        two = k.Conv2D(4, 3, padding="same", activation="relu", name="c")(x)
        x = k.Concatenate(name="s")([one, two])
        return k.Concatenate(name="t")([x, k.Conv2D(4, 3, padding="same", name="d")(x)])  # dense

    assert kinds(found(build))[:3] == [
        ("conv", ["a"]),
        ("branches", ["b", "c", "s"]),
        ("branches", ["d", "t"]),
    ]


def test_every_layer_is_in_one_block() -> None:
    def build(x):
        x = k.Conv2D(4, 3, padding="same", activation="relu", name="a")(x)
        y = k.DepthwiseConv2D(3, padding="same", name="b")(x)
        return k.Add(name="s")([x, y, k.Conv2D(4, 1, name="c")(k.MaxPooling2D(1, name="m")(x))])

    of = found(build)
    names = [layer.name for block in of for layer in block.layers]
    assert sorted(names) == sorted({*names})
    assert len(names) == 8  # the sum of three is two additions
    assert ("residual", ["m", "c", "s"]) in kinds(of)
