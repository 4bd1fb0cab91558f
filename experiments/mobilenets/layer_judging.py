"""Predicates of Yun & Wong's claims about layers: rows of layerwise figures in, judgements out.

Layers are counted in each network, then networks; those of failed trainings are left out.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, median
from typing import Any

from experiments.evidence.claims import Judgement
from experiments.evidence.ranktests import more_often
from experiments.mobilenets.judging import (
    DEPTHWISE,
    Found,
    conclusion,
    families,
    joined,
    left_out,
    spread,
    trained,
)

CODES = 255
"""Steps of the 8-bit grid."""
CHANCE_OF_THREE = 1 / 3
"""Chance that the middle one of three layers that differ by chance alone is the least of them."""

Layers = Sequence[Mapping[str, Any]]


def of_layers(artifact: str, value: Callable[[Layers], float]) -> Callable[[Found], Judgement]:
    """`families` on one value that `value` makes of a network's layers."""

    def judge(found: Found) -> Judgement:
        values: dict[str, list[float]] = {}
        for layers in _networks(found, artifact).values():
            values.setdefault(layers[0]["family"], []).append(value(layers))
        return families(values, note=left_out(found))

    return judge


def mean_of(column: str) -> Callable[[Layers], float]:
    """The mean of a value over a network's layers."""
    return lambda layers: fmean(layer[column] for layer in layers)


def fluctuation(column: str, log: bool) -> Callable[[Layers], float]:
    """Mean difference of neighbouring layers: of the value, or of its decimal logarithm.

    A logarithm passes layers of value 0 over.
    """

    def value(layers: Layers) -> float:
        column_of = [layer[column] for layer in layers]
        levels = [math.log10(level) for level in column_of if level > 0] if log else column_of
        return fmean(abs(b - a) for a, b in itertools.pairwise(levels))

    return value


def at_neighbours(
    artifact: str, column: str, sign: int, kind: str, of: Sequence[str], alone: bool = False
) -> Callable[[Found], Judgement]:
    """Whether layers of a kind lie above (sign 1) or below (-1) both their neighbours.

    Holds if most of them do, all networks taken together, and if more networks than by chance
    (binomial test, p <= 0.05) have a larger share of them than the third that chance gives. Layers
    that stand `alone`, with no neighbour in common, are cases by themselves: it holds if more of
    them than a third do.
    """

    def judge(found: Found) -> Judgement:
        shares: list[float] = []
        cases: list[bool] = []
        for layers in _networks(found, artifact, of).values():
            own = [
                all(sign * (here[column] - beside[column]) > 0 for beside in (before, after))
                for before, here, after in zip(layers, layers[1:], layers[2:], strict=False)
                if here["kind"] == kind
            ]
            shares.append(fmean(own))
            cases += own
        if not cases:
            return Judgement(None, "", joined(f"no trained network of {', '.join(of)}"))
        above = [share > CHANCE_OF_THREE for share in shares]
        test = more_often(cases, CHANCE_OF_THREE) if alone else more_often(above)
        effect = (
            f"{fmean(cases):.0%} of {len(cases)} {kind} layers (chance {CHANCE_OF_THREE:.0%}), "
            f"in a network {min(shares):.0%} to {max(shares):.0%}; "
            f"{'layers' if alone else 'networks above chance'} {test}"
        )
        return conclusion(fmean(cases) > 0.5, test, effect, left_out(found))

    return judge


def ranges_vary(found: Found) -> Judgement:
    """Whether draws move activation ranges by more than a grid step (range / 255).

    Holds if the deviation over draws exceeds it in most layers of more networks than by chance.
    """
    shares: list[float] = []
    relative: list[float] = []
    for layers in _networks(found, "mobilenets/figure_s2").values():
        spreads = [(row["activation_range_std"], row["activation_range"]) for row in layers]
        if all(std is not None for std, _ in spreads):
            shares.append(fmean(std > extent / CODES for std, extent in spreads))
            relative += [std / extent for std, extent in spreads if extent > 0]
    if not shares:
        return Judgement(None, "", "no trained network with several draws")
    test = more_often([share > 0.5 for share in shares])
    effect = (
        f"deviation {fmean(relative):.2%} of the range on average, above a grid step "
        f"({1 / CODES:.2%}) in {fmean(shares):.0%} of layers; networks where in most {test}"
    )
    return conclusion(fmean(shares) > 0.5, test, effect, left_out(found))


def folding_lowers_precision(found: Found) -> Judgement:
    """Whether depthwise layers have lower average precision with the batch norm folded in.

    Holds if it is so on average over the layers of more depthwise networks than by chance.
    """
    before = _networks(found, "mobilenets/figure_s1", DEPTHWISE)
    after = _networks(found, "mobilenets/figure_5", DEPTHWISE)
    changes = [
        fmean(
            folded["folded_precision"] - plain["weight_precision"]
            for plain, folded in zip(before[name], after[name], strict=True)
            if plain["kind"] == "depthwise"
        )
        for name in before
    ]
    if not changes:
        return Judgement(None, "", "no trained depthwise network")
    test = more_often([change < 0 for change in changes])
    effect = f"change {spread(changes)} in average precision; networks that fall {test}"
    return conclusion(fmean(changes) < 0, test, effect, left_out(found))


def qkl_drops_at_qce_peak(found: Found) -> Judgement:
    """Whether QCE peaks late, where QKL-Div is low, in Regular-ConvNets and DWS-ConvNets.

    A network counts if the hidden layer of largest QCE is in the second half of its hidden layers
    and has a QKL-Div below the median of the hidden layers before it; by chance a quarter do. Holds
    if most networks count, and more than by chance (binomial test, p <= 0.05).
    """
    cases: list[bool] = []
    late = 0
    for layers in _networks(found, "mobilenets/figure_4", ("Regular", "DWS")).values():
        hidden = layers[:-1]
        peak = max(range(len(hidden)), key=lambda at: hidden[at]["qce"])
        second_half = peak >= len(hidden) / 2
        before = [layer["qkl_div"] for layer in hidden[:peak]]
        late += second_half
        cases.append(second_half and hidden[peak]["qkl_div"] < median(before))
    if not cases:
        return Judgement(None, "", "no trained network of Regular, DWS")
    test = more_often(cases, 0.25)
    effect = f"QCE peaks late in {late} of {len(cases)} networks; with a low QKL-Div {test}"
    return conclusion(fmean(cases) > 0.5, test, effect, left_out(found))


def _networks(
    found: Found, artifact: str, of: Sequence[str] | None = None
) -> dict[str, list[Mapping[str, Any]]]:
    """Layers of the trained networks of some families, by network, in the order of numbers."""
    names = {row["network"] for row in trained(found)}
    networks: dict[str, list[Mapping[str, Any]]] = {}
    for row in sorted(found[artifact], key=lambda row: row["number"]):
        if row["network"] in names and (of is None or row["family"] in of):
            networks.setdefault(row["network"], []).append(row)
    return networks
