"""Results as tables for a terminal: rows in, rich tables out."""

from collections.abc import Sequence
from math import isnan

from rich.table import Table

from tfqdyn.results import Loss, RunResult, Spread, Summary
from tfqdyn.results.estimates import not_estimated, worst_layers
from tfqdyn.results.layervalues import LAYER_VALUES
from tfqdyn.schemes import WITHOUT_FILE

MISSING = "\N{EN DASH}"


def percent(value: float | Spread | None) -> str:
    """A fraction of 1 as percent, with the deviation over trials where there is one; "" of None."""
    if value is None:
        return ""
    if not isinstance(value, Spread):
        return f"{100 * value:.2f} %"
    deviation = "" if value.std is None else f" ± {100 * value.std:.2f}"
    return f"{100 * value.mean:.2f}{deviation} %"


def figure(value: float | Spread | None) -> str:
    """Three significant digits, with the deviation over trials where there is one.

    An undefined figure is a dash; None is "".
    """
    if value is None:
        return ""
    if isnan(value.mean if isinstance(value, Spread) else value):
        return MISSING
    if not isinstance(value, Spread):
        return f"{value:.3g}"
    deviation = "" if value.std is None else f" ± {value.std:.2g}"
    return f"{value.mean:.3g}{deviation}"


def points(loss: Loss | None) -> str:
    """A loss of accuracy in points, signed, with its 95 % interval; "" where there is none."""
    if loss is None:
        return ""
    low, high = loss.interval
    return f"{loss.points.mean:+.2f} ({low:+.2f} to {high:+.2f})"


def mcnemar(loss: Loss | None) -> str:
    """McNemar's exact p, the least and the largest of the trials; "" where there is none."""
    if loss is None:
        return ""
    ends = [f"{p:.2g}" for p in (min(loss.mcnemar_p), max(loss.mcnemar_p))]
    return " to ".join(dict.fromkeys(ends))


def summary_table(results: Sequence[RunResult]) -> Table:
    """The summaries of one or several runs, side by side."""
    simulated = any(result.config.get("scheme") in WITHOUT_FILE for result in results)
    title = "fp32 against simulated quantization" if simulated else "fp32 against 8 bits"
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for result in results:
        table.add_column(result.model.name, justify="right")
    summaries = [result.summary for result in results]
    rows = {
        "labels are for": [s.task or "" for s in summaries],
        "fp32 accuracy": [percent(s.fp32_accuracy) for s in summaries],
        "fp32 accuracy, changed network": [percent(s.changed_fp32_accuracy) for s in summaries],
        "quantized accuracy": [percent(s.quantized_accuracy) for s in summaries],
        **_deployed(summaries),
        "accuracy lost, points (95 %)": [points(s.loss) for s in summaries],
        "McNemar's exact p": [mcnemar(s.loss) for s in summaries],
        "percent accuracy decrease, absolute": [
            figure(s.percent_accuracy_decrease) for s in summaries
        ],
        "output QMSE": [figure(s.qmse) for s in summaries],
        "output QCE": [figure(s.qce) for s in summaries],
        "output QKL-Div": [figure(s.qkl_div) for s in summaries],
        "fp32 top-5": [percent(s.fp32_top5_accuracy) for s in summaries],
        "quantized top-5": [percent(s.quantized_top5_accuracy) for s in summaries],
        **_metrics(summaries),
        **_outputs(summaries),
        "parameters": [f"{r.model.parameters:,}" for r in results],
        "bytes, fp32 / quantized": [
            f"{r.model.bytes_fp32:,} / {r.model.bytes_quantized:,}" for r in results
        ],
        "images / trials": [f"{r.data.images:,} / {r.trials}" for r in results],
    }
    for name, cells in rows.items():
        if any(cells):
            table.add_row(name, *cells)
    return table


def _deployed(summaries: Sequence[Summary]) -> dict[str, list[str]]:
    """Lines of the kernels that applications get; all other figures are of the built-in ones."""
    found = [s.deployed for s in summaries]
    return {
        "accuracy on XNNPACK, as deployed": [percent(d and d.accuracy) for d in found],
        "answers that XNNPACK changes": [percent(d and d.changed_answers) for d in found],
    }


def _metrics(summaries: Sequence[Summary]) -> dict[str, list[str]]:
    """Lines of the metrics of the task and of the user, in fp32 and quantized."""
    lines: dict[str, list[str]] = {}
    for name in dict.fromkeys(metric.name for s in summaries for metric in s.metrics):
        found = [next((m for m in s.metrics if m.name == name), None) for s in summaries]
        lines[f"{name}, fp32"] = ["" if m is None else figure(m.fp32) for m in found]
        lines[f"{name}, quantized"] = ["" if m is None else figure(m.quantized) for m in found]
    return lines


def _outputs(summaries: Sequence[Summary]) -> dict[str, list[str]]:
    """Lines of every output."""
    lines: dict[str, list[str]] = {}
    names = dict.fromkeys(output.name for s in summaries for output in s.outputs)
    for name in names:
        found = [next((o for o in s.outputs if o.name == name), None) for s in summaries]
        title = f"output {name}"
        lines[f"{title}: SQNR in dB"] = ["" if o is None else figure(o.sqnr_db) for o in found]
        lines[f"{title}: QMSE"] = ["" if o is None else figure(o.qmse) for o in found]
        lines[f"{title}: largest error"] = [
            "" if o is None else figure(o.largest_error) for o in found
        ]
        lines[f"{title}: QKL-Div"] = ["" if o is None else figure(o.qkl_div) for o in found]
        lines[f"{title}: changed answers"] = [
            "" if o is None else percent(o.changed_answers) for o in found
        ]
    return lines


def worst_table(result: RunResult, count: int = 5) -> Table:
    """The layers that add most error of their own, each with the reason in words."""
    table = Table(title=f"the {count} worst layers of {result.model.name}", title_justify="left")
    table.add_column("no.", justify="right")
    table.add_column("layer")
    table.add_column("kind")
    table.add_column(LAYER_VALUES["sqnr_pooled_db"].label, justify="right")
    table.add_column("own (est.)", justify="right")
    table.add_column("why", overflow="fold")
    for reason in worst_layers(result, count):
        layer = reason.layer
        number = "" if layer.number is None else str(layer.number)
        table.add_row(
            number, layer.name, layer.kind, f"{layer.sqnr_pooled_db.mean:.1f}",
            f"{reason.own_sqnr_db:.1f}", reason.text,
        )  # fmt: skip
    missing = not_estimated(result)
    if missing:
        table.caption = f"Not estimated, for what they read was not measured: {', '.join(missing)}"
    return table
