"""What the thesis' claims about FactorizeNets are estimated from: rows in, samples out."""

import math
from collections.abc import Callable, Mapping
from statistics import fmean

from scipy import stats

from experiments.evidence import readings
from experiments.evidence.claims import Found
from experiments.evidence.effects import Contrast, Correlation, Group, Key, Sample, difference, mean
from experiments.evidence.named import Place, Seeds, Weighted
from experiments.evidence.readings import Layer, Layers
from experiments.factorizenet import tradeoffs
from experiments.factorizenet.spectrum import SPECTRUM

TABLE = "factorizenet/figure_5_4"
WEIGHTS, FOLDED, ACTIVATIONS, FOLDED_PRECISION = (
    f"factorizenet/figure_5_{number}" for number in (6, 7, 8, 14)
)
CONTROLS: Mapping[str, str] = {
    TABLE: "factorizenet/untrained",
    **dict.fromkeys(
        (WEIGHTS, FOLDED, ACTIVATIONS, FOLDED_PRECISION), "factorizenet/untrained_layers"
    ),
}
REGULAR, F2, FINIT2, F16, DWS = (
    SPECTRUM[0].name, "FactorizeNet-f2", "FactorizeNet-finit2", "FactorizeNet-f16", "DWS Conv",
)  # fmt: skip
GROUPED = tuple(n.name for n in SPECTRUM if n.name not in (REGULAR, DWS))
SIMILAR = 1.0
"""Points of accuracy: what is no further below is similar."""
SMALL = 0.5
"""Share of what DWS Conv gives up: a reduction of accuracy that is less is very small."""
EARLY = 5
"""Layers from the first convolution to the end of the second block."""


def accuracy(terms: Mapping[str, float], column: str, constant: float) -> Callable[..., Sample]:
    """Weighted accuracies of named networks, and a constant."""

    def effect(found: Found) -> Sample:
        rows = readings.alive(found[TABLE])
        values = readings.column(rows, column)
        errors = readings.accuracy_errors(rows, column)
        return Weighted(terms, values, errors, Seeds.among(values), constant)

    return effect


def place(name: str, *, worst: bool, without: tuple[str, ...] = ()) -> Callable[..., Sample]:
    """The place of a network by loss."""

    def effect(found: Found) -> Sample:
        rows = [r for r in readings.alive(found[TABLE]) if r["network"] not in without]
        sign = 1 if worst else -1
        values = readings.losses(rows)
        seeds = Seeds.among(readings.losses(readings.alive(found[TABLE])))
        oriented = {key: sign * lost for key, lost in values.items()}
        errors = readings.loss_errors(rows)
        return Place((name,), oriented, errors, seeds, reasons=readings.failures(found[TABLE]))

    return effect


def some_lose(found: Found) -> Sample:
    """The mean loss of the networks that are not Regular Conv."""
    rows = [row for row in readings.alive(found[TABLE]) if row["network"] != REGULAR]
    return mean(readings.losses(rows), errors=readings.loss_errors(rows))


def published_gap(name: str, *, worst: bool, without: tuple[str, ...] = ()) -> float:
    """The thesis' gap of percent decrease to the nearest other that its text names."""
    sign = 1 if worst else -1
    theirs = {
        network: sign * float(figures[3] or 0)
        for network, figures in tradeoffs.PUBLISHED.items()
        if network not in without
    }
    return theirs.pop(name) - max(theirs.values())


def layers_of(found: Found, *artifacts: str) -> Layers:
    """The convolutions of the networks that have figures."""
    return readings.convolutions(readings.layers_of(found, TABLE, *artifacts))


def one_against(
    name: str,
    others: tuple[str, ...],
    value: Callable[[list[Layer]], float | None],
    *artifacts: str,
) -> Callable[[Found], Sample]:
    """Other networks' mean of a value of layers, less that of one network."""

    def effect(found: Found) -> Sample:
        values = readings.each(layers_of(found, *artifacts), value)
        own, rest = (
            {key: of for key, of in values.items() if key[0] in names}
            for names in ((name,), others)
        )
        return Contrast((Group(-1.0, name, own), Group(1.0, "other network", rest)))

    return effect


def first_growth(of: list[Layer]) -> float | None:
    """Decades that folding adds to the range of layer 1."""
    return math.log10(of[0]["folded_range"] / of[0]["weight_range"])


def first_spike(of: list[Layer]) -> float | None:
    """Decades of layer 1's folded range above the mean of the other convolutions'."""
    found = readings.levels(of, "folded_range", log=True)
    return found[0] - fmean(found[1:]) if len(found) > 1 else None


def fall(of: list[Layer]) -> float | None:
    """Rank correlation of weights range with depth, negative."""
    values = [layer["weight_range"] for layer in of]
    if len(set(values)) < 3:
        return None
    return -float(stats.spearmanr(range(len(values)), values)[0])  # pyright: ignore


def over_networks(
    value: Callable[[list[Layer]], float | None], *artifacts: str
) -> Callable[[Found], Sample]:
    """The mean over all eight networks."""

    def effect(found: Found) -> Sample:
        return mean(readings.each(layers_of(found, *artifacts), value))

    return effect


def early_layers(artifact: str, column: str, *, log: bool, sign: int) -> Callable[..., Sample]:
    """f16's first five layers less its other convolutions, times the sign."""

    def effect(found: Found) -> Sample:
        groups: tuple[dict[Key, float], dict[Key, float]] = ({}, {})
        for (name, seed), of in layers_of(found, artifact).items():
            if name == F16:
                for layer in of:
                    level = math.log10(layer[column]) if log else layer[column]
                    at = (f"layer {layer['number']}", seed)
                    groups[layer["number"] > EARLY][at] = sign * level
        names = (f"early layer of {F16}", f"other layer of {F16}")
        return difference((names[0], groups[0]), (names[1], groups[1]), "layers")

    return effect


def f2_over_f16(artifact: str, column: str, *, log: bool, sign: int) -> Callable[..., Sample]:
    """f2 less f16, layer by layer, times the sign."""

    def effect(found: Found) -> Sample:
        layers = layers_of(found, artifact)
        levels: dict[str, dict[Key, float]] = {F2: {}, F16: {}}
        for (name, seed), of in layers.items():
            if name in levels:
                for layer in of:
                    value = math.log10(layer[column]) if log else layer[column]
                    levels[name][f"layer {layer['number']}", seed] = sign * value
        f2, f16 = levels[F2], levels[F16]
        return mean({key: f2[key] - f16[key] for key in f2 if key in f16}, "layers")

    return effect


def with_macs(
    value: Callable[[list[Layer]], float | None], artifact: str, sign: int
) -> Callable[[Found], Sample]:
    """Rank correlation of MACs at full width with a value of layers, over the eight networks."""

    def effect(found: Found) -> Sample:
        macs = {network.name: -float(at) for at, network in enumerate(SPECTRUM)}  # their ranks
        values = readings.each(layers_of(found, artifact), value)
        pairs = {key: ("", macs[key[0]], values[key]) for key in values if key[0] in macs}
        return Correlation(pairs, sign=sign)

    return effect
