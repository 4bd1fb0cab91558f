"""The command `sensitivity`: what each layer costs, left in fp32 alone and quantized alone.

OUT/sensitivity.csv    one line per layer with a kernel
OUT/sensitivity.json   the same, the scores of the whole network, and the correlations
OUT/sensitivity.png    points and output QKL-Div against the layer

Every layer with a kernel is left in fp32 alone, and quantized alone while all other rows stay in
fp32; each time a true 8-bit file is made and scored. The accuracy that the first wins is correlated
(Spearman's rank correlation, with its two-sided p-value) with the layer's own QMSE, QCE, QKL-Div
and SQNR in the fully quantized network: do layerwise figures tell which layer to leave in fp32? It
is the experiment of Yun & Wong's outlook (section 7).
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from rich.table import Table
from scipy import stats

from tfqdyn import datasets
from tfqdyn.config import AnalysisConfig
from tfqdyn.console import Progress, silent
from tfqdyn.datasets import Dataset
from tfqdyn.files import wholefiles
from tfqdyn.files.steps import Steps
from tfqdyn.measurement import assembly, sanity
from tfqdyn.measurement.sampling import disjoint_draws
from tfqdyn.measurement.tasks import classifier
from tfqdyn.network.folding import Folded, fold_batchnorm
from tfqdyn.numerics.classification import top_k_accuracy, two_classes
from tfqdyn.remedies.course import first_stage, images_of
from tfqdyn.remedies.images import CalibrationImages
from tfqdyn.remedies.judging import QKL_DIV, Yardstick, distance, yardstick_of
from tfqdyn.remedies.mixed_precision import LEAST_GAIN, MOST_LAYERS, quantized_answers
from tfqdyn.results import LayerResult, RunResult, plain
from tfqdyn.results.layervalues import LAYER_VALUES, mean_of
from tfqdyn.schemes import OWN_RANGES, UINT8
from tfqdyn.show import figures, tables

VALUES = ("qmse", "qce", "qkl_div", "sqnr_pooled_db", "own_qmse", "own_sqnr_pooled_db")
"""Names of the layer values that are correlated."""
FILES = ("sensitivity.png", "sensitivity.csv", "sensitivity.json")


@dataclass(frozen=True)
class Score:
    """What a network scores.

    Attributes:
        accuracy: top-1, a fraction of 1; None without labels of classes.
        distance: of the outputs from fp32, by the run's yardstick (`judging`): output QKL-Div in
            nats of classifiers, else noise over signal.
    """

    accuracy: float | None
    distance: float


@dataclass(frozen=True)
class LayerCost:
    """A layer: `in_fp32` is the network with it alone in fp32, `alone` with it alone in 8 bits."""

    number: int | None
    layer: str
    kind: str
    in_fp32: Score
    alone: Score


@dataclass(frozen=True)
class Correlation:
    """Spearman's rho in [-1, 1] of a value with a gain, its two-sided p-value, and the layers."""

    value: str
    rho: float
    p_value: float
    layers: int


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """What layers cost, beside the network in fp32 and quantized; distances by the yardstick."""

    fp32: Score
    quantized: Score
    costs: tuple[LayerCost, ...]
    correlations: tuple[Correlation, ...]
    result: RunResult
    yardstick: Yardstick = QKL_DIV
    scheme: str = UINT8

    @property
    def worth_fp32(self) -> tuple[str, ...]:
        """The layers, at most `MOST_LAYERS`, that take `LEAST_GAIN` of the distance away alone."""
        if not self.quantized.distance > 0:
            return ()
        good = (1.0 - LEAST_GAIN) * self.quantized.distance
        found = [cost for cost in self.costs if cost.in_fp32.distance <= good]
        found.sort(key=lambda cost: cost.in_fp32.distance)
        return tuple(cost.layer for cost in found[:MOST_LAYERS])


def sensitivity(
    model: Any,
    dataset: Dataset,
    config: AnalysisConfig | None = None,
    out: Path | None = None,
    progress: Progress = silent,
) -> Sensitivity:
    """Measures what each layer of a trained Keras network costs in 8 bits.

    Args:
        model: as for `pipeline.analyze`.
        dataset: as for `pipeline.analyze`; calibration images are never scored.
        config: of the analysis, in scheme uint8 or int8; there is one trial, and own errors are
            measured in any case.
        out: the folder to write to, if any, by this process alone. A killed command goes on behind
            the last layer.
        progress: wraps long loops.

    Raises:
        ValueError: another scheme, before any slow work; and whatever `analyze` raises.
    """
    config = config or AnalysisConfig()
    if config.scheme not in OWN_RANGES:
        raise ValueError(
            f"sensitivity is for schemes {' and '.join(OWN_RANGES)}, received {config.scheme!r}"
        )
    config = replace(config, trials=1, own_error=True)
    original, dataset, config = assembly.checked(model, dataset, config, config.rounding)
    folded = replace(fold_batchnorm(original), float_layers=tuple(config.float_layers))
    config, _ = sanity.settled(folded, dataset, config)
    (drawn,) = disjoint_draws(dataset, config)
    identity = {
        "command": "sensitivity",
        "network": original.digest,
        "data": datasets.fingerprint(dataset),
        "config": asdict(config),
        "versions": assembly.versions(),
    }
    steps = Steps(out, identity)
    analysis = partial(first_stage, folded, dataset, [drawn], config, progress)
    result = steps.once("analysis", RunResult, analysis)
    calibration = images_of(dataset, drawn.calibration, config, progress)
    scored = CalibrationImages(dataset.x_test, drawn.scored, config, progress)
    classes = classifier(folded.graph, config.task) is not None and len(original.outputs) == 1
    labels = dataset.y_test[drawn.scored] if classes and dataset.y_test is not None else None
    sweep = Sweep(folded, calibration, scored, labels)
    quantized = steps.once("quantized", Score, partial(sweep.score, folded.float_layers))
    rows = [r for r in folded.graph.rows if r.has_kernel and r.name not in folded.float_layers]
    names = {row.name for row in folded.graph.rows}
    costs = []
    told = f"layers, in fp32 and alone in {config.scheme}"
    for place, row in enumerate(progress(rows, told, len(rows))):

        def cost(row: Any = row) -> LayerCost:
            in_fp32 = sweep.score((*folded.float_layers, row.name))
            alone = sweep.score(tuple(names - {row.name}))
            return LayerCost(row.number, row.name, row.kind, in_fp32, alone)

        costs.append(steps.once(f"layer_{place}", LayerCost, cost))
    gains = {one.layer: _gain(quantized, one.in_fp32) for one in costs}
    found = correlations(result.layers, gains) if len(gains) >= FEWEST else ()
    fp32 = Score(result.summary.fp32_accuracy if labels is not None else None, 0.0)
    yardstick = yardstick_of(folded.graph, config.task)
    done = Sensitivity(fp32, quantized, tuple(costs), found, result, yardstick, config.scheme)
    if out is not None:
        write(done, out)
    steps.forget()
    return done


def _gain(quantized: Score, in_fp32: Score) -> float:
    """What a layer in fp32 wins: accuracy, or distance of the outputs where there is none."""
    if in_fp32.accuracy is None or quantized.accuracy is None:
        return quantized.distance - in_fp32.distance
    return in_fp32.accuracy - quantized.accuracy


class Sweep:
    """Scores true 8-bit networks in which some rows stay in fp32.

    Args:
        folded: a folded network.
        calibration: the calibration images.
        scored: the scored images.
        labels: classes of `scored`, [N]; None for no accuracy.
    """

    def __init__(
        self,
        folded: Folded,
        calibration: CalibrationImages,
        scored: CalibrationImages,
        labels: NDArray[Any] | None,
    ) -> None:
        self._folded, self._scored, self._labels = folded, scored, labels
        self._ranges = calibration.ranges(folded)
        self._reference = scored.answers(folded.reference)
        self._yardstick = yardstick_of(folded.graph, scored.config.task)

    def score(self, float_layers: Sequence[str]) -> Score:
        """The score with these rows in fp32."""
        answers = quantized_answers(self._folded, self._ranges, self._scored, float_layers)
        apart = distance(self._yardstick, self._reference, answers)
        if self._labels is None:
            return Score(None, apart)
        return Score(top_k_accuracy(two_classes(answers[0]), self._labels), apart)


FEWEST = 3
"""Layers that a correlation needs."""


def correlations(
    layers: Sequence[LayerResult], gains: Mapping[str, float]
) -> tuple[Correlation, ...]:
    """Spearman's correlation of every value with the gains, over the layers that have a gain.

    Values that a layer lacks, or that are the same in all layers, like gains that are, are left
    out: they rank nothing.

    Raises:
        ValueError: fewer than three layers.
    """
    chosen = [layer for layer in layers if layer.name in gains]
    if len(chosen) < FEWEST:
        raise ValueError(f"a correlation needs at least {FEWEST} layers, received {len(chosen)}")
    won = [gains[layer.name] for layer in chosen]
    found = []
    for name in VALUES:
        values = [mean_of(LAYER_VALUES[name].read(layer)) for layer in chosen]
        if None in values or len(set(values)) == 1 or len(set(won)) == 1:
            continue
        outcome: Any = stats.spearmanr(values, won)
        rho, p_value = float(outcome.statistic), float(outcome.pvalue)
        found.append(Correlation(name, rho, p_value, len(chosen)))
    return tuple(found)


def rows_of(done: Sensitivity) -> list[dict[str, Any]]:
    """The lines of `sensitivity.csv`; points are percentage points of accuracy.

    Points are left out where there is no accuracy; of networks that are no classifiers the
    distances are "noise_in_fp32" and "noise_alone".
    """
    what = done.yardstick.short
    return [
        {
            "number": cost.number,
            "name": cost.layer,
            "kind": cost.kind,
            **_points(done, cost),
            f"{what}_in_fp32": cost.in_fp32.distance,
            f"{what}_alone": cost.alone.distance,
        }
        for cost in done.costs
    ]


def _points(done: Sensitivity, cost: LayerCost) -> dict[str, float]:
    fp32, uint8 = done.fp32.accuracy, done.quantized.accuracy
    in_fp32, alone = cost.in_fp32.accuracy, cost.alone.accuracy
    if fp32 is None or uint8 is None or in_fp32 is None or alone is None:
        return {}
    return {
        "points_won_in_fp32": 100 * (in_fp32 - uint8),
        "points_lost_alone": 100 * (fp32 - alone),
    }


def _score(done: Sensitivity, score: Score) -> dict[str, float | None]:
    """A score for `sensitivity.json`, the distance by what it is: "qkl_div" or "noise"."""
    return {"accuracy": score.accuracy, done.yardstick.short: score.distance}


def write(done: Sensitivity, out: Path) -> None:
    """Writes the command's files; `sensitivity.json` comes last."""
    rows = rows_of(done)
    wholefiles.prepare(out, FILES)
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0] if rows else ["name"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    wholefiles.write(out / "sensitivity.csv", text.getvalue().encode())
    figures.save(figures.costs(rows, done.yardstick.name), out / "sensitivity.png")
    record = {
        "fp32": _score(done, done.fp32),
        done.scheme: _score(done, done.quantized),
        "layers": rows,
        "correlations": done.correlations,
        "worth_fp32": done.worth_fp32,
    }
    wholefiles.write(
        out / "sensitivity.json", json.dumps(plain(record), indent=1, allow_nan=False).encode()
    )


def shown(done: Sensitivity) -> list[Table]:
    """The layers, and the correlations, for a terminal."""
    scores = ""
    if done.fp32.accuracy is not None:
        scores = f"fp32 {tables.percent(done.fp32.accuracy)}, {done.scheme} "
        scores += f"{tables.percent(done.quantized.accuracy)}, "
    layers = Table(
        title=f"layers: {scores}{done.yardstick.name} {done.quantized.distance:.3g}",
        title_justify="left",
    )
    rows = rows_of(done)
    columns = [name for name in (rows[0] if rows else {}) if name not in ("number", "name", "kind")]
    headings = [name.replace("qkl_div", "QKL-Div").replace("_", " ") for name in columns]
    for heading in ("no.", "layer", "kind", *headings):
        numeric = heading not in ("layer", "kind")
        layers.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        number = "" if row["number"] is None else str(row["number"])
        cells = [f"{row[n]:+.2f}" if "points" in n else f"{row[n]:.3g}" for n in columns]
        layers.add_row(number, row["name"], row["kind"], *cells)
    won = "the points won" if done.fp32.accuracy is not None else "what is won"
    told = Table(title=f"rank correlation with {won} in fp32", title_justify="left")
    for heading in ("value", "rho", "p", "layers"):
        told.add_column(heading, justify="left" if heading == "value" else "right")
    for one in done.correlations:
        label = LAYER_VALUES[one.value].label
        told.add_row(label, f"{one.rho:+.2f}", f"{one.p_value:.2g}", str(one.layers))
    return [layers, told] if done.correlations else [layers]


def next_step(done: Sensitivity) -> str:
    """What to run next."""
    if not done.worth_fp32:
        return (
            f"No layer alone takes {LEAST_GAIN:.0%} of the {done.yardstick.name} away: try "
            "`tfqdyn remedy --remedies=auto`."
        )
    scheme = "" if done.scheme == UINT8 else f" --scheme={done.scheme}"
    layers = ",".join(done.worth_fp32)
    return (
        f"Next: `tfqdyn analyze{scheme} --float_layers={layers}` with the same model "
        "and data, or `tfqdyn remedy --remedies=mixed_precision`, which searches for the best set."
    )
