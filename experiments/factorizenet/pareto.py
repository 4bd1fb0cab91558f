"""The Pareto front of thesis chapter 5: which factorizations are worth their MACs.

    python -m experiments.run --artifact=factorizenet/pareto --scale=reduced

A network is off the front if another has at most its MACs (at full width) and an accuracy that is
higher beyond the 95 % intervals of images and draws; once by fp32 and once by uint8 accuracy
(`on_front_fp32`, `on_front_uint8`: 1 or 0; 0 for a training that diverged). So a network stays on
it that nothing beats for certain: with few images that is most of them. The thesis looks for such
networks (5.3, "optimal factorization configuration") and names one, finit2, without drawing a
front. What is off it is crossed out.

Cost: the eight trainings and analyses of this group. smoke 20 seconds (3 networks), reduced
20 minutes on two cores, paper about 2 hours a network on a GPU.
"""

import math
from collections.abc import Sequence

import matplotlib.style
from matplotlib.figure import Figure

from experiments.engine.artifact import Artifact, Row, Scope, first_seed
from experiments.engine.store import Store
from experiments.evidence import display
from experiments.factorizenet import tradeoffs
from tfqdyn.show import figures

FRONTS = {"on_front_fp32": "fp32_accuracy", "on_front_uint8": "uint8_accuracy"}


def on_front(rows: Sequence[Row], accuracy: str) -> list[int]:
    """1 for each row that no other beats for certain, with at most its MACs; 0 without figures."""
    points = [
        None
        if row[tradeoffs.MACS] is None or row[accuracy] is None
        else (
            float(row[tradeoffs.MACS] or 0),
            float(row[accuracy] or 0),
            tradeoffs.error_of(row, accuracy),
        )
        for row in rows
    ]

    def beaten(macs: float, reached: float, error: float) -> bool:
        return any(
            m <= macs and a - reached > math.hypot(e, error) for m, a, e in filter(None, points)
        )

    return [0 if point is None else int(not beaten(*point)) for point in points]


def rows(scope: Scope, store: Store) -> Sequence[Row]:
    """The rows of Figures 5.4 and 5.5 with the columns of `FRONTS`."""
    found = first_seed(tradeoffs.rows(scope, store))
    fronts = {column: on_front(found, accuracy) for column, accuracy in FRONTS.items()}
    return [
        {**row, **{column: front[place] for column, front in fronts.items()}}
        for place, row in enumerate(found)
    ]


def draw(rows: Sequence[Row]) -> Figure:
    """Accuracies against MACs; what another network beats for certain is crossed out."""
    with matplotlib.style.context(figures.STYLE):
        size = (display.FULL_WIDTH * 0.7, display.ROW_HEIGHT + 1.4)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        tradeoffs.panel_of(axes, rows, tradeoffs.ACCURACY)
        for accuracy in FRONTS.values():
            fronts = zip(rows, on_front(rows, accuracy), strict=True)
            beaten = [row for row, on in fronts if not on and row[accuracy] is not None]
            at, reached = (
                [float(row[key] or 0) for row in beaten] for key in (tradeoffs.MACS, accuracy)
            )
            axes.plot(at, reached, marker="x", markersize=9, color="0.3", linestyle="", zorder=3)
    return figure


ARTIFACT = Artifact(
    "factorizenet/pareto",
    "Thesis, chapter 5",
    "Pareto front of accuracy against the convolutions' MACs",
    tradeoffs.jobs,
    rows,
    draw,
    columns=(
        "network", "mmacs", "full_width_mmacs", "published_mmacs", "fp32_accuracy",
        "published_fp32_accuracy", "on_front_fp32", "uint8_accuracy", "uint8_accuracy_std",
        "published_uint8_accuracy", "on_front_uint8",
    ),
)  # fmt: skip
