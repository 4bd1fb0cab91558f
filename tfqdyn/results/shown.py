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


def to_html(result: Any) -> str:
    """The summary and the layers of lowest SQNR of a `RunResult` as HTML, names escaped."""
    summary = result.summary
    head = [("network", result.model.name), ("images", f"{result.data.images:,}")]
    if summary.fp32_accuracy is not None:
        head.append(("fp32 accuracy", f"{summary.fp32_accuracy:.2%}"))
    if summary.quantized_accuracy is not None:
        scheme = str(result.config.get("scheme", "quantized"))
        head.append((f"{scheme} accuracy", f"{summary.quantized_accuracy.mean:.2%}"))
    if summary.qkl_div is not None:
        head.append(("output QKL-Div", f"{summary.qkl_div.mean:.3g}"))
    alarms = "".join(f"<p><strong>Warning: {escape(w)}</strong></p>" for w in result.warnings)
    facts = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in head)
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
        f"{alarms}<table>{facts}</table>{count}"
        f"<table><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table>"
    )
