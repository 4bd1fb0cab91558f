"""Architectures as drawings: rows of the models that are trained, at the works' own width."""

from typing import Any

import pytest

from experiments import factorizenet, mobilenets
from experiments.engine.artifact import Artifact, Scope
from experiments.engine.imagenet import ImageNet
from experiments.engine.networks import FACTORIZED
from experiments.engine.scales import SMOKE
from experiments.evidence import architectures
from experiments.factorizenet.architectures import ARTIFACTS

SCOPE = Scope(SMOKE, 0, ImageNet())


def rows(artifact: Artifact) -> list[Any]:
    return list(artifact.rows(SCOPE, None))  # pyright: ignore[reportArgumentType]


def test_the_two_convnets_of_yun_and_wong() -> None:
    found = architectures.columns_of(rows(mobilenets.ARCHITECTURES))
    regular, separable = found["Regular-ConvNet"], found["DWS-ConvNet"]
    assert [row["outputs"] for row in regular] == [64] * 3 + [128] * 3 + [256] * 3 + [256, 128, 10]
    assert [row["number"] for row in regular if row["stride"] == 2] == [4, 7]
    assert [row["kind"] for row in separable][:3] == [
        "convolution", "depthwise convolution", "1x1 convolution",
    ]  # fmt: skip
    assert len(separable) == 20
    # models.toynet: the convolutions have 266,010,624 multiply-accumulates (thesis 5.5: 266.0 M).
    assert sum(row["macs"] for row in regular if row["kind"] != "dense") == 266_010_624
    assert sum(row["macs"] for row in separable if row["kind"] != "dense") == 33_415_168
    assert architectures.in_words(separable[5]) == "6  3x3 depthwise, 64, stride 2"
    assert architectures.in_words(regular[3]) == "4  3x3, 64 to 128, stride 2"
    assert architectures.in_words(regular[9]) == "10  dense, 16384 to 256"


@pytest.mark.parametrize(
    ("network", "groups", "channels"),
    [
        ("FactorizeNet-f2", [2] * 8, [32] * 3 + [64] * 3 + [128] * 2),
        ("FactorizeNet-finit2", [2] * 3 + [4] * 3 + [8] * 2, [32] * 8),
        ("DWS Conv", [64] * 3 + [128] * 3 + [256] * 2, [1] * 8),
    ],
)
def test_pyramids_keep_the_channels_of_a_group(
    network: str, groups: list[int], channels: list[int]
) -> None:
    found = [row for row in rows(ARTIFACTS[2]) if row["network"] == network]
    assert [row["groups"] for row in found] == groups
    assert [row["inputs"] // row["groups"] for row in found] == channels


def test_the_spectrum_reaches_from_one_group_to_one_a_channel() -> None:
    found = rows(ARTIFACTS[1])
    assert [row["groups"] for row in found] == [1, 2, 4, 8, 16, 64]
    figure = architectures.drawn_connections(found)
    squares = [axes.get_images()[0].get_array() for axes in figure.axes]
    # Each output channel reads 64 / groups input channels, those of its own group.
    assert [int(square.sum()) for square in squares] == [64 * 64 // g for g in (1, 2, 4, 8, 16, 64)]
    assert squares[1][0, :32].all()
    assert not squares[1][0, 32:].any()


def test_all_eight_networks_can_be_drawn() -> None:
    found = architectures.rows_of({network.name: network for network in FACTORIZED})
    figure = architectures.drawn(found)
    assert len(figure.axes) == 8
    assert [len(axes.patches) for axes in figure.axes] == [12] + [20] * 7
    assert {artifact.name for artifact in ARTIFACTS} <= {a.name for a in factorizenet.ARTIFACTS}
