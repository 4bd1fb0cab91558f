"""All schemes on one model: what each costs in accuracy, and what it saves in size and time.

OUT/<scheme>/     what `analyze` writes
OUT/schemes.json  the rows of the table
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table

from tfqdyn import pipeline, results
from tfqdyn.config import AnalysisConfig
from tfqdyn.console import Progress, silent
from tfqdyn.datasets import Dataset
from tfqdyn.files import wholefiles
from tfqdyn.measurement import sanity
from tfqdyn.measurement.assembly import checked
from tfqdyn.measurement.capture import latency_ms
from tfqdyn.network.folding import fold_batchnorm
from tfqdyn.network.trace import UnsupportedModelError
from tfqdyn.quantization.checks import ConversionError
from tfqdyn.results import MetricResult, OutputResult, RunResult, Spread, plain
from tfqdyn.schemes import SCHEMES
from tfqdyn.show import tables


@dataclass(frozen=True)
class SchemeRow:
    """One scheme on one model.

    Attributes:
        scheme: one of `schemes.SCHEMES`.
        accuracy: fraction of 1; None, like all that follows, where the model cannot be converted,
            and where it gives no classes.
        qkl_div: output QKL-Div in nats, 0 is best; None where it gives no classes.
        bytes: size of the file.
        latency_ms: median time of one image, see `capture.latency_ms`.
        problem: why the model cannot be converted; "" where it can.
        outputs: figures of every output.
        metrics: figures of the task and of the user.
    """

    scheme: str
    accuracy: Spread | None = None
    qkl_div: Spread | None = None
    bytes: int | None = None
    latency_ms: float | None = None
    problem: str = ""
    outputs: tuple[OutputResult, ...] = ()
    metrics: tuple[MetricResult, ...] = ()


@dataclass(frozen=True, eq=False)
class SchemeTable:
    """The rows, and how they were measured; `results` are those of the schemes that worked."""

    rows: tuple[SchemeRow, ...]
    fp32_accuracy: float | None
    runs: int
    threads: int
    results: tuple[RunResult, ...]


def compare_schemes(
    model: Any,
    dataset: Dataset,
    config: AnalysisConfig,
    schemes: Sequence[str] = tuple(SCHEMES),
    runs: int = 20,
    out: Path | None = None,
    progress: Progress = silent,
) -> SchemeTable:
    """Analyzes a model in several schemes.

    Args:
        model: as for `pipeline.analyze`.
        dataset: as for `pipeline.analyze`.
        config: of the analyses; calibrator, float layers and own errors count for uint8 alone.
        schemes: of `SCHEMES`.
        runs: how many runs the median latency is of.
        out: the folder to write to, if any; every scheme is written as it is done.
        progress: wraps long loops.

    Raises:
        ValueError: an unknown scheme, before any slow work; no scheme that works.
        UnsupportedModelError: a layer that no scheme takes, before any slow work.
    """
    unknown = sorted(set(schemes) - set(SCHEMES))
    if unknown or not schemes or runs < 1:
        raise ValueError(
            f"schemes must be among {list(SCHEMES)} and runs at least 1, received "
            f"{list(schemes)} and {runs}"
        )
    graph, dataset, config = checked(model, dataset, config, None)  # refuses what no scheme takes
    folded = fold_batchnorm(graph)
    config, notes = sanity.settled(folded, dataset, config)
    rows, done = [], []
    if out is not None:
        wholefiles.prepare(out)
    for scheme in schemes:
        try:
            result = pipeline.analyze(model, dataset, config.in_scheme(scheme), progress)
        except (ConversionError, UnsupportedModelError) as error:
            rows.append(SchemeRow(scheme, problem=str(error)))
            continue
        result = replace(result, notes=(*notes, *result.notes))
        done.append(result.named(scheme))
        if out is not None:
            results.write(result, out / scheme)
        time = latency_ms(result.tflite[0], runs, config.threads)
        summary, size = result.summary, len(result.tflite[0])
        rows.append(
            SchemeRow(
                scheme, summary.quantized_accuracy, summary.qkl_div, size, time,
                outputs=summary.outputs, metrics=summary.metrics,
            )
        )  # fmt: skip
    if not done:
        raise ValueError("\n".join(f"{row.scheme}: {row.problem}" for row in rows))
    fp32 = done[0].summary.fp32_accuracy
    table = SchemeTable(tuple(rows), fp32, runs, config.threads, tuple(done))
    if out is not None:
        record = {"rows": rows, "fp32_accuracy": fp32, "runs": runs, "threads": config.threads}
        text = json.dumps(plain(record), indent=1, allow_nan=False)
        wholefiles.write(out / "schemes.json", text.encode())
    return table


def render(table: SchemeTable) -> Table:
    """The table for a terminal."""
    threads = "1 thread" if table.threads == 1 else f"{table.threads} threads"
    accuracy = ""
    if table.fp32_accuracy is not None:
        accuracy = f"fp32 accuracy {tables.percent(table.fp32_accuracy)}; "
    shown = Table(
        title=f"schemes ({accuracy}latency: median of "
        f"{table.runs} runs of one image, {threads}, default delegates)",
        title_justify="left",
    )
    shown.add_column("scheme")
    columns = _columns(table)
    for heading in (*columns, "bytes", "ms an image"):
        shown.add_column(heading, justify="right")
    shown.add_column("", overflow="fold")
    for row in table.rows:
        figures = [""] * (len(columns) + 2)
        if row.bytes and row.latency_ms:
            read = [show(row) for show in columns.values()]
            figures = [*read, f"{row.bytes:,}", f"{row.latency_ms:.2f}"]
        shown.add_row(row.scheme, *figures, row.problem or SCHEMES[row.scheme].meaning)
    return shown


def _columns(table: SchemeTable) -> dict[str, Callable[[SchemeRow], str]]:
    """What is shown of the network's outputs: of classifiers accuracy and QKL-Div, else SQNRs."""
    found: dict[str, Callable[[SchemeRow], str]] = {}
    if any(row.accuracy for row in table.rows):
        found["accuracy"] = lambda row: tables.percent(row.accuracy)
    for name in dict.fromkeys(metric.name for row in table.rows for metric in row.metrics):
        fp32 = next(m.fp32 for row in table.rows for m in row.metrics if m.name == name)
        found[f"{name} (fp32 {tables.figure(fp32)})"] = partial(_metric, name)
    if any(row.qkl_div for row in table.rows):
        return {**found, "output QKL-Div": lambda row: tables.figure(row.qkl_div)}
    for name in dict.fromkeys(output.name for row in table.rows for output in row.outputs):
        found[f"SQNR of {name}, dB"] = partial(_sqnr, name)
    return found


def _metric(name: str, row: SchemeRow) -> str:
    return next((tables.figure(m.quantized) for m in row.metrics if m.name == name), "")


def _sqnr(name: str, row: SchemeRow) -> str:
    return next((tables.figure(o.sqnr_db) for o in row.outputs if o.name == name), "")
