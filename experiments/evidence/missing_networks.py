"""What stands in tables and figures in the place of a network that is not to be had."""

from collections.abc import Sequence
from typing import Any

import matplotlib.style
from matplotlib.figure import Figure

from experiments.engine import imagenet
from experiments.engine.artifact import Row
from experiments.engine.imagenet import Missing
from experiments.evidence import display
from tfqdyn.show import figures


def missing_row(arch: str, missing: Missing) -> dict[str, Any]:
    """The row of a network of `imagenet.NETWORKS`: `network`, `family`, and why as its `status`."""
    return {
        "network": imagenet.SHOWN[arch],
        "family": imagenet.FAMILIES[arch],
        "status": f"not available: {missing.reason}",
    }


def told(rows: Sequence[Row]) -> str:
    """Network and status of rows, a line each and each line once."""
    return "\n".join(dict.fromkeys(f"{row['network']}: {row['status']}" for row in rows))


def in_words(rows: Sequence[Row]) -> Figure:
    """A figure that says why there is nothing to draw."""
    with matplotlib.style.context(figures.STYLE):
        figure = Figure(figsize=(display.FULL_WIDTH, display.ROW_HEIGHT / 2))
        figure.text(0.5, 0.5, told(rows), ha="center", va="center", fontsize="small", wrap=True)
    return figure
