"""The command `sensitivity`: what each layer costs, left in fp32 alone and quantized alone.

OUT/sensitivity.csv    a line a layer with a kernel
OUT/sensitivity.json   the same, the scores of the whole network, and the correlations
OUT/sensitivity.png    points and output QKL-Div against the layer

Every layer with a kernel is left in fp32 alone, and quantized alone while all other rows stay in
fp32; each time a true uint8 file is made and scored. The accuracy that the first wins is correlated
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

import numpy as np
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
from tfqdyn.network.folding import Folded, fold_batchnorm
from tfqdyn.numerics.classification import compare_outputs, top_k_accuracy, two_classes
from tfqdyn.remedies.course import first_stage, images_of
from tfqdyn.remedies.images import CalibrationImages
from tfqdyn.remedies.mixed_precision import LEAST_GAIN, MOST_LAYERS, quantized_logits
from tfqdyn.results import LayerResult, RunResult, plain
from tfqdyn.results.layervalues import LAYER_VALUES, mean_of
from tfqdyn.schemes import OWN_RANGES
from tfqdyn.show import figures, tables

VALUES = ("qmse", "qce", "qkl_div", "sqnr_pooled_db", "own_qmse", "own_sqnr_pooled_db")
"""Names of the layer values that are correlated."""
FILES = ("sensitivity.png", "sensitivity.csv", "sensitivity.json")


@dataclass(frozen=True)
class Score:
    """Top-1 accuracy, a fraction of 1, and output QKL-Div in nats against fp32."""

    accuracy: float
    qkl_div: float


@dataclass(frozen=True)
class LayerCost:
    """A layer: `in_fp32` is the network with it alone in fp32, `alone` with it alone in uint8."""

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
    """What layers cost, beside the network in fp32 and in uint8."""

    fp32: Score
    uint8: Score
    costs: tuple[LayerCost, ...]
    correlations: tuple[Correlation, ...]
    result: RunResult

    @property
    def worth_fp32(self) -> tuple[str, ...]:
        """The layers, at most `MOST_LAYERS`, that take `LEAST_GAIN` of the QKL-Div away alone."""
        if not self.uint8.qkl_div > 0:
            return ()
        good = (1.0 - LEAST_GAIN) * self.uint8.qkl_div
        found = [cost for cost in self.costs if cost.in_fp32.qkl_div <= good]
        found.sort(key=lambda cost: cost.in_fp32.qkl_div)
        return tuple(cost.layer for cost in found[:MOST_LAYERS])


def sensitivity(
    model: Any,
    dataset: Dataset,
    config: AnalysisConfig | None = None,
    out: Path | None = None,
    progress: Progress = silent,
) -> Sensitivity:
    """Measures what each layer of a trained Keras classifier costs in uint8.

    Args:
        model: as for `pipeline.analyze`.
        dataset: as for `pipeline.analyze`; calibration images are never scored.
        config: of the analysis; there is one trial, and own errors are measured in any case.
        out: the folder to write to, if any, by this process alone. A killed command goes on behind
            the last layer.
        progress: wraps long loops.

    Raises:
        ValueError: another scheme than uint8, before any slow work; and whatever `analyze` raises.
    """
    config = config or AnalysisConfig()
    if config.scheme != OWN_RANGES:
        raise ValueError(f"sensitivity is for scheme {OWN_RANGES!r}, received {config.scheme!r}")
    config = replace(config, trials=1, own_error=True)
    original = assembly.checked(model, dataset)
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
    labels = np.asarray(dataset.y_test)[drawn.scored]
    sweep = Sweep(folded, calibration, scored, labels)
    uint8 = steps.once("uint8", Score, partial(sweep.score, folded.float_layers))
    rows = [r for r in folded.graph.rows if r.has_kernel and r.name not in folded.float_layers]
    names = {row.name for row in folded.graph.rows}
    costs = []
    for place, row in enumerate(progress(rows, "layers, in fp32 and alone in uint8", len(rows))):

        def cost(row: Any = row) -> LayerCost:
            in_fp32 = sweep.score((*folded.float_layers, row.name))
            alone = sweep.score(tuple(names - {row.name}))
            return LayerCost(row.number, row.name, row.kind, in_fp32, alone)

        costs.append(steps.once(f"layer_{place}", LayerCost, cost))
    gains = {one.layer: one.in_fp32.accuracy - uint8.accuracy for one in costs}
    found = correlations(result.layers, gains) if len(gains) >= FEWEST else ()
    assert result.summary.fp32_accuracy is not None, "`assembly.checked` asks for labels"
    fp32 = Score(result.summary.fp32_accuracy, 0.0)
    done = Sensitivity(fp32, uint8, tuple(costs), found, result)
    if out is not None:
        write(done, out)
    steps.forget()
    return done


class Sweep:
    """Scores true uint8 networks in which some rows stay in fp32.

    Args:
        folded: a folded network.
        calibration: the calibration images.
        scored: the scored images.
        labels: of `scored`, [N].
    """

    def __init__(
        self,
        folded: Folded,
        calibration: CalibrationImages,
        scored: CalibrationImages,
        labels: NDArray[Any],
    ) -> None:
        self._folded, self._scored, self._labels = folded, scored, labels
        self._ranges = calibration.ranges(folded)
        self._reference = two_classes(scored.logits(folded.reference))

    def score(self, float_layers: Sequence[str]) -> Score:
        """The score with these rows in fp32."""
        logits = quantized_logits(self._folded, self._ranges, self._scored, float_layers)
        logits = two_classes(logits)
        qkl_div = compare_outputs(self._reference, logits).qkl_div
        return Score(top_k_accuracy(logits, self._labels), qkl_div)


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
    """The lines of `sensitivity.csv`; points are percentage points of accuracy."""
    return [
        {
            "number": cost.number,
            "name": cost.layer,
            "kind": cost.kind,
            "points_won_in_fp32": 100 * (cost.in_fp32.accuracy - done.uint8.accuracy),
            "points_lost_alone": 100 * (done.fp32.accuracy - cost.alone.accuracy),
            "qkl_div_in_fp32": cost.in_fp32.qkl_div,
            "qkl_div_alone": cost.alone.qkl_div,
        }
        for cost in done.costs
    ]


def write(done: Sensitivity, out: Path) -> None:
    """Writes the command's files; `sensitivity.json` comes last."""
    rows = rows_of(done)
    wholefiles.prepare(out, FILES)
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0] if rows else ["name"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    wholefiles.write(out / "sensitivity.csv", text.getvalue().encode())
    figures.save(figures.costs(rows), out / "sensitivity.png")
    record = {
        "fp32": done.fp32,
        "uint8": done.uint8,
        "layers": rows,
        "correlations": done.correlations,
        "worth_fp32": done.worth_fp32,
    }
    wholefiles.write(
        out / "sensitivity.json", json.dumps(plain(record), indent=1, allow_nan=False).encode()
    )


def shown(done: Sensitivity) -> list[Table]:
    """The layers, and the correlations, for a terminal."""
    layers = Table(
        title=f"layers: fp32 {tables.percent(done.fp32.accuracy)}, uint8 "
        f"{tables.percent(done.uint8.accuracy)}, output QKL-Div {done.uint8.qkl_div:.3g}",
        title_justify="left",
    )
    headings = ("points won in fp32", "points lost alone", "QKL-Div in fp32", "QKL-Div alone")
    for heading in ("no.", "layer", "kind", *headings):
        numeric = heading not in ("layer", "kind")
        layers.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for row in rows_of(done):
        number = "" if row["number"] is None else str(row["number"])
        points = [f"{row[name]:+.2f}" for name in ("points_won_in_fp32", "points_lost_alone")]
        nats = [f"{row[name]:.3g}" for name in ("qkl_div_in_fp32", "qkl_div_alone")]
        layers.add_row(number, row["name"], row["kind"], *points, *nats)
    told = Table(title="rank correlation with the points won in fp32", title_justify="left")
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
            f"No layer alone takes {LEAST_GAIN:.0%} of the output QKL-Div away: try "
            "`tfqdyn remedy --remedies=auto`."
        )
    return (
        f"Next: `tfqdyn analyze --float_layers={','.join(done.worth_fp32)}` with the same model "
        "and data, or `tfqdyn remedy --remedies=mixed_precision`, which searches for the best set."
    )
