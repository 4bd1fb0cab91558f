"""A run in a notebook: its layers as a data frame, and a table where a cell ends in it."""

from collections.abc import Sequence
from html import escape
from typing import Any

from tfqdyn.results import layercsv
from tfqdyn.results.records import LayerResult

MOST_ROWS = 12
"""Layers that the table in a notebook lists."""


def to_dataframe(layers: Sequence[LayerResult]) -> Any:
    """A pandas data frame with one row per layer, and the columns of `layers.csv`.

    Raises:
        ImportError: pandas is not installed.
    """
    try:
        import pandas  # pyright: ignore[reportMissingImports]  # nothing else needs it
    except ImportError as error:
        raise ImportError("to_dataframe needs pandas: pip install pandas") from error
    rows = [{k: None if v == "" else v for k, v in row.items()} for row in layercsv.rows(layers)]
    return pandas.DataFrame(rows, columns=layercsv.columns(rows))


def facts(result: Any) -> list[tuple[str, str]]:
    """The figures of a `RunResult` that are shown first: what each is, and the figure."""
    summary = result.summary
    found = [("network", result.model.name), ("images", f"{result.data.images:,}")]
    if summary.fp32_accuracy is not None:
        found.append(("fp32 accuracy", f"{100 * summary.fp32_accuracy:.2f} %"))
    if summary.quantized_accuracy is not None:
        scheme = str(result.config.get("scheme", "quantized"))
        found.append((f"{scheme} accuracy", f"{100 * summary.quantized_accuracy.mean:.2f} %"))
    if summary.qkl_div is not None:
        found.append(("output QKL-Div", f"{summary.qkl_div.mean:.3g}"))
    if summary.fp32_accuracy is None:
        found += [(f"output {o.name}", f"{o.sqnr_db.mean:.1f} dB") for o in summary.outputs]
    return found


def to_line(result: Any) -> str:
    """A `RunResult` in one line, for Python's prompt."""
    (_, name), *figures = facts(result)
    told = ", ".join(f"{what} {figure}" for what, figure in figures)
    alarm = f", warning: {result.warnings[0]}" if result.warnings else ""
    return f"<RunResult of {name}: {told}, {len(result.layers)} layers{alarm}>"


def to_html(result: Any) -> str:
    """The summary and the layers of lowest SQNR of a `RunResult` as HTML, names escaped."""
    alarms = "".join(f"<p><strong>Warning: {escape(w)}</strong></p>" for w in result.warnings)
    told = facts(result)
    head = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in told)
    worst = sorted(result.layers, key=lambda layer: layer.sqnr_pooled_db.mean)[:MOST_ROWS]
    titles = "".join(f"<th>{t}</th>" for t in ("no.", "layer", "kind", "SQNR in dB", "QMSE"))
    rows = "".join(
        f"<tr><td>{'' if layer.number is None else layer.number}</td><td>{escape(layer.name)}</td>"
        f"<td>{escape(layer.kind)}</td><td>{layer.sqnr_pooled_db.mean:.1f}</td>"
        f"<td>{layer.qmse.mean:.3g}</td></tr>"
        for layer in worst
    )
    count = f"<p>The {len(worst)} of {len(result.layers)} layers with the lowest SQNR:</p>"
    return (
        f"{alarms}<table>{head}</table>{count}"
        f"<table><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table>"
    )
