"""Thesis, Figures 5.1 to 5.3: FactorizeNet's architecture and its spectrum of factorizations.

    python -m experiments.run --artifact=factorizenet/figure_5_1 --scale=smoke

Cost: a few seconds.
"""

from collections.abc import Mapping, Sequence

from experiments.engine.artifact import Artifact, Row, Scope
from experiments.engine.networks import FACTORIZED, Network
from experiments.engine.store import Store
from experiments.evidence import architectures

BY_NAME: Mapping[str, Network] = {network.name: network for network in FACTORIZED}
SHOWN = ("FactorizeNet-f2", "FactorizeNet-finit2", "DWS Conv")
PYRAMIDS = ("FactorizeNet-f2", "FactorizeNet-f16", "FactorizeNet-finit2", "FactorizeNet-finit4",
            "DWS Conv")  # fmt: skip


def spatial_layers(network: Network) -> list[Row]:
    """The convolutions of the blocks that look at more than one place: those that are factorized.

    The very first layer of the network, which stays as it is, is not among them.
    """
    return [row for row in architectures.layers_of(network)[1:] if row["kernel"] == "3x3"]


def spectrum(scope: Scope, store: Store) -> Sequence[Row]:
    """The first factorized layer of every network."""
    return [
        {"network": name, **spatial_layers(network)[0]}
        for name, network in BY_NAME.items()
        if "finit" not in name
    ]


def pyramids(scope: Scope, store: Store) -> Sequence[Row]:
    """The factorized layers of uniform and of reverse pyramid networks."""
    return [{"network": name, **row} for name in PYRAMIDS for row in spatial_layers(BY_NAME[name])]


ARTIFACTS = (
    architectures.artifact(
        "factorizenet/figure_5_1",
        "Thesis, Figure 5.1",
        "FactorizeNet: one architecture, factorized more and more",
        {name: BY_NAME[name] for name in SHOWN},
        "A fixed macroarchitecture whose blocks are groupwise separable convolutions; the very "
        "first convolution stays (5.3).",
    ),
    Artifact(
        "factorizenet/figure_5_2",
        "Thesis, Figure 5.2",
        "The spectrum of depth factorization: which channels the first block reads",
        lambda scope: [],
        spectrum,
        architectures.drawn_connections,
        printed=False,
        published="From regular convolution, f = 1, to depthwise convolution, f = input depth.",
    ),
    Artifact(
        "factorizenet/figure_5_3",
        "Thesis, Figure 5.3",
        "Reverse pyramid factorization against uniform",
        lambda scope: [],
        pyramids,
        architectures.drawn_groups,
        printed=False,
        published="The factorization rate doubles where the input depth doubles, which keeps the "
        "channels of a group; finit = 64 is the depthwise separable network.",
    ),
)
