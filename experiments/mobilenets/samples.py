"""What Yun & Wong's claims about CIFAR-10 networks are estimated from: rows in, samples out."""

import math
from collections.abc import Callable, Mapping
from statistics import fmean, median

from scipy import stats

from experiments.engine.networks import ABLATION
from experiments.evidence import readings
from experiments.evidence.claims import Found
from experiments.evidence.effects import (
    Contrast,
    Correlation,
    Group,
    Key,
    Missing,
    Sample,
    difference,
    mean,
)
from experiments.evidence.named import Seeds
from experiments.evidence.readings import Layer
from experiments.mobilenets import table_1

TABLE = "mobilenets/table_1"
FIGURE_1, FIGURE_2, FIGURE_4, FIGURE_5, FIGURE_S1, FIGURE_S2, FIGURE_S3, FIGURE_S4, FIGURE_S6 = (
    f"mobilenets/figure_{number}" for number in ("1", "2", "4", "5", "s1", "s2", "s3", "s4", "s6")
)
CONTROLS: Mapping[str, str] = {
    TABLE: "mobilenets/untrained",
    **dict.fromkeys(
        (FIGURE_1, FIGURE_2, FIGURE_4, FIGURE_5, FIGURE_S1, FIGURE_S2, FIGURE_S3, FIGURE_S4,
         FIGURE_S6),
        "mobilenets/untrained_layers",
    ),
}  # fmt: skip
DEPTHWISE, REGULAR, RESNET = ("DWS", "MobileNet"), ("Regular",), ("ResNet34",)
FACTORS = ("initializer", "batch_norm")


def published(column: str, *families: str) -> list[float]:
    """The paper's figures of the networks of some families; `loss` in points."""
    at = [table_1.published(network.name) for network in ABLATION if network.family in families]
    if column == "loss":
        return [
            float(row["published_fp32_accuracy"] or 0) - float(row["published_uint8_accuracy"] or 0)
            for row in at
        ]
    return [float(row[f"published_{column}"] or 0) for row in at]


def depthwise_less_regular(column: str, *, log: bool = False) -> float:
    """The paper's difference of a column's means (of logarithms, if so)."""
    first, second = (
        fmean(math.log10(value) if log else value for value in published(column, *families))
        for families in (DEPTHWISE, REGULAR)
    )
    return first - second


def of_table(column: str, *, log: bool = False) -> Callable[[Found], Sample]:
    """Depthwise networks less regular ones, a column of Table 1."""

    def effect(found: Found) -> Sample:
        first, second = (
            readings.column(readings.alive(found[TABLE], family=families), column, log=log)
            for families in (DEPTHWISE, REGULAR)
        )
        rows = readings.alive(found[TABLE], family=(*DEPTHWISE, *REGULAR))
        errors = readings.loss_errors(rows) if column == "loss" else {}
        return difference(("depthwise network", first), ("regular network", second), errors=errors)

    return effect


def of_layers(
    value: Callable[[list[Layer]], float | None],
    artifact: str,
    first: tuple[str, ...],
    second: tuple[str, ...],
    other: str | None = None,
) -> Callable[[Found], Sample]:
    """Families' mean of a value of layers less that of other families, of another artifact."""

    def effect(found: Found) -> Sample:
        of_first, of_second = (
            readings.each(
                readings.of_families(readings.layers_of(found, TABLE, of), *families), value
            )
            for of, families in ((artifact, first), (other or artifact, second))
        )
        first_name, second_name = (f"network of {' or '.join(of)}" for of in (first, second))
        return difference((first_name, of_first), (second_name, of_second))

    return effect


def mean_of_layers(
    value: Callable[[list[Layer]], float | None], *artifacts: str, families: tuple[str, ...]
) -> Callable[[Found], Sample]:
    """The mean over networks of a value of their layers."""

    def effect(found: Found) -> Sample:
        layers = readings.layers_of(found, TABLE, *artifacts)
        return mean(readings.each(readings.of_families(layers, *families), value))

    return effect


def folding_drop(of: list[Layer]) -> float | None:
    """Average precision that folding takes from depthwise layers, on average."""
    drops = [
        layer["weight_precision"] - layer["folded_precision"]
        for layer in of
        if layer["kind"] == "depthwise"
    ]
    return fmean(drops) if drops else None


def lateness(of: list[Layer]) -> float | None:
    """Where the hidden layer of largest QCE is, from -0.5 (first) to 0.5 (last)."""
    hidden = of[:-1]
    if len(hidden) < 2:
        return None
    return max(range(len(hidden)), key=lambda at: hidden[at]["qce"]) / (len(hidden) - 1) - 0.5


def drop_at_peak(of: list[Layer]) -> float | None:
    """Decades from the median QKL-Div of the other hidden layers down to that at the QCE peak."""
    hidden = [layer for layer in of[:-1] if layer["qkl_div"] > 0]
    if len(hidden) < 2:
        return None
    peak = max(range(len(hidden)), key=lambda at: hidden[at]["qce"])
    others = [layer["qkl_div"] for at, layer in enumerate(hidden) if at != peak]
    return math.log10(median(others) / hidden[peak]["qkl_div"])


def recovery(of: list[Layer]) -> float | None:
    """Decades from the largest QMSE of a hidden layer down to that of the output."""
    if len(of) < 2 or of[-1]["qmse"] <= 0:
        return None
    return math.log10(max(layer["qmse"] for layer in of[:-1]) / of[-1]["qmse"])


def likeness(of: list[Layer]) -> float | None:
    """Rank correlation over layers of activations' range with that of folded weights."""
    pairs = [(layer["folded_range"], layer["activation_range"]) for layer in of]
    if len(pairs) < 3 or any(len(set(side)) == 1 for side in zip(*pairs, strict=True)):
        return None
    return float(stats.spearmanr(*zip(*pairs, strict=True))[0])  # pyright: ignore


def depthwise_lose(found: Found) -> Sample:
    """The mean loss of the depthwise networks."""
    rows = readings.alive(found[TABLE], family=DEPTHWISE)
    return mean(readings.losses(rows), errors=readings.loss_errors(rows))


def published_middle() -> float:
    """The paper's middle of regular and depthwise networks' mean losses, less ResNet-34's."""
    depthwise, regular, resnet = (
        fmean(published("loss", *families)) for families in (DEPTHWISE, REGULAR, RESNET)
    )
    return (depthwise + regular) / 2 - resnet


def resnet_like_regular(found: Found) -> Sample:
    """From ResNet-34's mean loss up to the middle between regular and depthwise networks'."""
    rows = found[TABLE]
    groups = (
        (0.5, "depthwise network", DEPTHWISE),
        (0.5, "regular network", REGULAR),
        (-1.0, "ResNet-34", RESNET),
    )
    of = [
        Group(weight, name, readings.losses(readings.alive(rows, family=families)))
        for weight, name, families in groups
    ]
    return Contrast(tuple(of), errors=readings.loss_errors(readings.alive(rows)))


def moves(factor: str) -> Callable[[Found], Sample | Missing]:
    """Squared difference of losses of pairs that differ in one factor, less what noise makes of it.

    A squared difference is on average that of the true losses plus the sum of the two variances,
    by images and draws (as measured) and by seeds (pooled over the table), which are taken off.
    """
    other = FACTORS[1 - FACTORS.index(factor)]

    def effect(found: Found) -> Sample | Missing:
        rows = readings.alive(found[TABLE], family=(*DEPTHWISE, *REGULAR))
        values, errors = readings.losses(rows), readings.loss_errors(rows)
        seeds = Seeds.among(values)
        if seeds.lacks:
            return Missing("networks of one training seed each; what a choice moves is not told "
                           "from what another seed does")  # fmt: skip
        groups: dict[bool, dict[Key, float]] = {True: {}, False: {}}
        for row in rows:
            for partner in rows:
                same = all(row.get(name) == partner.get(name) for name in ("family", other, "seed"))
                if not same or not row[factor] < partner[factor]:
                    continue
                pair = readings.key_of(row), readings.key_of(partner)
                noise = sum(errors[key] ** 2 for key in pair) + 2 * seeds.variance
                squared = (values[pair[0]] - values[pair[1]]) ** 2
                depthwise = row["family"] in DEPTHWISE
                groups[depthwise][f"{row['family']} {row[other]}", pair[0][1]] = squared - noise
        return difference(
            ("pair of depthwise networks", groups[True]),
            ("pair of regular networks", groups[False]),
            "pairs",
        )

    return effect


def published_moves(factor: str) -> float:
    """The same of the paper's table, nothing taken off."""
    other = FACTORS[1 - FACTORS.index(factor)]
    pairs: dict[tuple[bool, str, str], list[float]] = {}
    for network in ABLATION:
        if network.family not in RESNET:
            row = table_1.published(network.name)
            lost = float(row["published_fp32_accuracy"] or 0) - float(
                row["published_uint8_accuracy"] or 0
            )
            depthwise = network.family in DEPTHWISE
            at = (depthwise, network.family, str(getattr(network, other)))
            pairs.setdefault(at, []).append(lost)
    squares = {
        depthwise: [(a - b) ** 2 for (group, *_), (a, b) in pairs.items() if group is depthwise]
        for depthwise in (True, False)
    }
    return fmean(squares[True]) - fmean(squares[False])


def outliers_degrade(found: Found) -> Sample:
    """Rank correlation over the ConvNets of the largest layerwise QMSE with the loss."""
    layers = readings.layers_of(found, TABLE, FIGURE_2)
    worst = readings.each(layers, lambda of: max(layer["qmse"] for layer in of))
    lost = readings.losses(readings.alive(found[TABLE]))
    return Correlation({key: ("", worst[key], lost[key]) for key in worst if key in lost})
