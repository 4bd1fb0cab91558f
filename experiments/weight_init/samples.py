"""What the thesis' claims about trained networks are estimated from: rows in, samples out."""

import math
from collections.abc import Callable, Mapping
from statistics import fmean, variance
from typing import Any

from experiments.engine.networks import WEIGHT_INIT
from experiments.evidence import readings
from experiments.evidence.claims import Found
from experiments.evidence.effects import Contrast, Correlation, Group, Missing, Sample, Values, mean
from experiments.evidence.effects import difference as contrast
from experiments.evidence.named import Place, Seeds, agreement, excess_variance, measured
from experiments.evidence.outcomes import PENDING
from experiments.evidence.readings import Layer
from experiments.weight_init import table_4_2
from experiments.weight_init.figures import DISCUSSED
from tfqdyn.numerics import paired

TABLE, LAYERS = "weight_init/table_4_2", "weight_init/layers"
CONTROLS: Mapping[str, str] = {
    TABLE: "weight_init/untrained",
    LAYERS: "weight_init/untrained_layers",
}
BEST, HE_NORM, HE_UNI, _ = (network.name for network in DISCUSSED)
HE = (HE_NORM, HE_UNI)
MED = "Regular Conv With BN ModGlorotUni_Med"
INITIALIZERS = tuple(dict.fromkeys(network.initializer for network in WEIGHT_INIT))
WITH, WITHOUT = "With BN", "No BN"
Value = Callable[[list[Layer]], float | None]


def published() -> dict[str, float]:
    """The thesis' losses in points, by network that trained there."""
    return {
        name: fp32 - uint8
        for name, (fp32, uint8, *_) in table_4_2.PUBLISHED.items()
        if name != table_4_2.VANISHED_EXAMPLE
    }


def published_of(prefix: str) -> dict[str, float]:
    """The same of one architecture, by initialization."""
    return {
        name.removeprefix(f"{prefix} "): lost
        for name, lost in published().items()
        if name.startswith(prefix)
    }


def rows_of(found: Found, family: str, batch_norm: str) -> list[Mapping[str, Any]]:
    """The rows of Table 4.2 of an architecture's networks that have figures."""
    return readings.alive(found[TABLE], family=(family,), batch_norm=(batch_norm,))


def depthwise_lose_more(found: Found) -> Sample:
    """DWS-ConvNets less Regular-ConvNets, both with batch norm."""
    depthwise, regular = (rows_of(found, family, WITH) for family in ("DWS", "Regular"))
    return contrast(
        ("DWS-ConvNet", readings.losses(depthwise)),
        ("Regular-ConvNet", readings.losses(regular)),
        errors=readings.loss_errors([*depthwise, *regular]),
    )


def costs(found: Found, family: str) -> Values:
    """Points that batch norm adds to the loss, by initialization that trains with and without."""
    both = {
        batch_norm: {
            (f"{family} {row['initializer']}", readings.key_of(row)[1]): lost
            for row in rows_of(found, family, batch_norm)
            for lost in readings.losses([row]).values()
        }
        for batch_norm in (WITH, WITHOUT)
    }
    return {key: both[WITH][key] - both[WITHOUT][key] for key in both[WITH] if key in both[WITHOUT]}


def batch_norm_costs(found: Found) -> Sample:
    """The mean over pairs of both families."""
    pairs = {**costs(found, "DWS"), **costs(found, "Regular")}
    errors = readings.loss_errors(readings.alive(found[TABLE]))
    shared = math.sqrt(2) * fmean(errors.values()) if errors else 0.0
    return mean(pairs, "pairs", dict.fromkeys(pairs, shared) if shared else None)


def batch_norm_costs_depthwise_more(found: Found) -> Sample:
    """Of DWS-ConvNets less of Regular-ConvNets."""
    depthwise, regular = costs(found, "DWS"), costs(found, "Regular")
    return contrast(("DWS pair", depthwise), ("regular pair", regular), "pairs")


def published_costs(family: str) -> list[float]:
    """The same of the thesis."""
    with_bn, without = (published_of(f"{family} Conv {end}") for end in (WITH, WITHOUT))
    return [with_bn[name] - without[name] for name in without]


def initialization_decides(found: Found) -> Sample:
    """Variance of losses among initializations of an architecture beyond what noise makes."""
    rows = readings.alive(found[TABLE])
    values = readings.losses(rows)
    strata: dict[str, dict[tuple[str, int], float]] = {}
    for row in rows:
        key = readings.key_of(row)
        strata.setdefault(f"{row['family']} {row['batch_norm']}", {})[key] = values[key]
    return excess_variance(strata, readings.loss_errors(rows), Seeds.among(values))


def published_variance() -> float:
    """Variance of the thesis' losses among initializations, pooled over architectures."""
    strata = [
        list(published_of(f"{family} Conv {end}").values())
        for family in ("DWS", "Regular")
        for end in (WITH, WITHOUT)
    ]
    freedom = sum(len(of) - 1 for of in strata)
    return sum(variance(of) * (len(of) - 1) for of in strata) / freedom


def place(family: str, *names: str, worst: bool) -> Callable[[Found], Sample]:
    """The place of networks by loss among an architecture's with batch norm."""

    def effect(found: Found) -> Sample:
        rows, sign = rows_of(found, family, WITH), 1 if worst else -1
        values = readings.losses(rows)
        seeds = Seeds.among(readings.losses(readings.alive(found[TABLE])))
        oriented = {key: sign * lost for key, lost in values.items()}
        errors = readings.loss_errors(rows)
        return Place(names, oriented, errors, seeds, reasons=readings.failures(found[TABLE]))

    return effect


def loses(family: str) -> Callable[[Found], Sample]:
    """The mean loss of an architecture with batch norm."""

    def effect(found: Found) -> Sample:
        rows = rows_of(found, family, WITH)
        return mean(readings.losses(rows), errors=readings.loss_errors(rows))

    return effect


def published_gap(prefix: str, *names: str, worst: bool) -> float:
    """The thesis' gap in points between networks and the nearest other of their architecture."""
    sign = 1 if worst else -1
    lost = {f"{prefix} {name}": sign * value for name, value in published_of(prefix).items()}
    return min(lost[name] for name in names) - max(v for n, v in lost.items() if n not in names)


def survivors(family: str) -> Callable[[Found], Sample | Missing]:
    """Agreement with the thesis on which initializations train without batch norm."""

    def effect(found: Found) -> Sample | Missing:
        rows = [
            row
            for row in found[TABLE]
            if (row["family"], row["batch_norm"]) == (family, WITHOUT) and row["status"] != PENDING
        ]
        seed = min((readings.key_of(row)[1] for row in rows), default=0)
        first = [row for row in rows if readings.key_of(row)[1] == seed]
        if len(first) < len(INITIALIZERS):
            return Missing(f"{len(first)} of {len(INITIALIZERS)} initializations were trained")
        ours, theirs = (
            {str(row["initializer"]) for row in first if row[status] == "finished"}
            for status in ("status", "published_status")
        )
        return agreement(ours, theirs, INITIALIZERS)

    return effect


def batch_norm_lets_train(found: Found) -> Sample | Missing:
    """Share of initializations that train with batch norm, less that without, paired."""
    trains: dict[str, dict[tuple[str, str], bool]] = {WITH: {}, WITHOUT: {}}
    for row in reversed(found[TABLE]):  # of several seeds the first one stays
        if row["status"] == PENDING:
            continue
        pair = (row["family"], row["initializer"])
        trains[row["batch_norm"]][pair] = row["status"] == "finished"
    pairs = [pair for pair in trains[WITH] if pair in trains[WITHOUT]]
    if len(pairs) < 2:
        return Missing(f"{len(pairs)} pairs were trained")
    changes = [float(trains[WITH][pair]) - float(trains[WITHOUT][pair]) for pair in pairs]
    low, high = paired.interval([changes])
    return measured(fmean(changes), low, high, len(changes), "pairs")


def layers_of(found: Found, *names: str) -> dict[Any, list[Layer]]:
    """The convolutions of the DWS-ConvNets with batch norm, of all or of those named."""
    kept = {
        readings.key_of(row)
        for row in rows_of(found, "DWS", WITH)
        if not names or row["network"] in names
    }
    layers = readings.convolutions(readings.layers_of(found, TABLE, LAYERS))
    return {key: of for key, of in layers.items() if key in kept}


def one_against_others(names: tuple[str, ...], value: Value, sign: int) -> Callable[..., Sample]:
    """A value of named DWS-ConvNets with batch norm, less that of the others."""

    def effect(found: Found) -> Sample:
        own = readings.each(layers_of(found, *names), value)
        others = [row["network"] for row in rows_of(found, "DWS", WITH)]
        rest = tuple(dict.fromkeys(name for name in others if name not in names))
        of_rest = readings.each(layers_of(found, *rest), value) if rest else {}
        shown = " or ".join(names)
        groups = (Group(float(sign), shown, own), Group(-float(sign), "other network", of_rest))
        return Contrast(groups)

    return effect


def step_to_2(column: str, *, log: bool) -> Value:
    """Change of a column from layer 1 to layer 2, in its unit or in decades."""

    def value(of: list[Layer]) -> float | None:
        by = {layer["number"]: layer[column] for layer in of}
        if not {1, 2} <= set(by) or (log and min(by[1], by[2]) <= 0):
            return None
        return math.log10(by[2] / by[1]) if log else by[2] - by[1]

    return value


def step_of_all(column: str, *, log: bool, sign: int) -> Callable[[Found], Sample]:
    """That change, over all DWS-ConvNets with batch norm."""

    def effect(found: Found) -> Sample:
        values = readings.each(layers_of(found), step_to_2(column, log=log))
        return mean({key: sign * value for key, value in values.items()})

    return effect


def vanishing(found: Found) -> Sample:
    """Decades that activations lose from first to last convolution, of networks that die.

    Less what those lose that train, all DWS-ConvNets without batch norm.
    """
    status = {
        readings.key_of(row): str(row.get("published_status"))
        for row in found[TABLE]
        if (row["family"], row["batch_norm"]) == ("DWS", WITHOUT)
    }

    def lost(of: list[Layer]) -> float | None:
        first, last = of[0]["activation_range"], of[-1]["activation_range"]
        return math.log10(first / last) if min(first, last) > 0 else None

    layers = {
        key: of
        for key, of in readings.convolutions(readings.layers_of(found, None, LAYERS)).items()
        if key in status
    }
    values = readings.each(layers, lost)
    dying, living = (
        {key: value for key, value in values.items() if (status[key] == "finished") is lives}
        for lives in (False, True)
    )
    return contrast(("network that dies", dying), ("network that trains", living))


def robust(value: Value, sign: int) -> Callable[[Found], Sample]:
    """Rank correlation of a value with the loss within each of the four architectures."""

    def effect(found: Found) -> Sample:
        rows = readings.alive(found[TABLE])
        lost = readings.losses(rows)
        of = {readings.key_of(row): f"{row['family']} {row['batch_norm']}" for row in rows}
        values = readings.each(readings.layers_of(found, TABLE, LAYERS), value)
        pairs = {key: (of[key], values[key], lost[key]) for key in values if key in lost}
        return Correlation(pairs, sign=sign)

    return effect


def glorot_leads(found: Found) -> Sample:
    """fp32 accuracy of GlorotUni less the mean of the other initializations, by architecture."""
    gaps: dict[tuple[str, int], float] = {}
    for family in ("DWS", "Regular"):
        for batch_norm in (WITH, WITHOUT):
            rows = rows_of(found, family, batch_norm)
            own = [r["fp32_accuracy"] for r in rows if r["initializer"] == "GlorotUni"]
            rest = [r["fp32_accuracy"] for r in rows if r["initializer"] != "GlorotUni"]
            if own and rest:
                gaps[f"{family} {batch_norm}", 0] = fmean(own) - fmean(rest)
    return mean(gaps, "architectures")


def published_lead() -> float:
    """The same of the thesis."""
    gaps = []
    for prefix in ("DWS Conv With BN", "Regular Conv With BN", "Regular Conv No BN"):
        fp32 = {n: f[0] for n, f in table_4_2.PUBLISHED.items() if n.startswith(prefix)}
        own = fp32.pop(f"{prefix} GlorotUni")
        gaps.append(own - fmean(fp32.values()))
    return fmean(gaps)
