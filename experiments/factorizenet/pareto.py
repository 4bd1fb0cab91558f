"""The Pareto front of thesis chapter 5: which factorizations are worth their MACs.

    python -m experiments.run --artifact=factorizenet/pareto --scale=reduced

A network is on the front if none other has at most its MACs and at least its accuracy, one of the
two truly; once by fp32 and once by uint8 accuracy (`on_front_fp32`, `on_front_uint8`: 1 or 0; 0 for
a training that diverged). The thesis looks for such networks (5.3, "optimal factorization
configuration") and names one, finit2, without drawing a front. Accuracies are means over
calibration draws; neighbours closer than their deviations and the test set's error could change
places.

Cost: the eight trainings and analyses of this group. smoke 20 seconds (3 networks), reduced
20 minutes on two cores, paper about 2 hours a network on a GPU.
"""

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
    """1 for each row that no other beats in `mmacs` without losing in accuracy, or so turned."""
    points = [(row["mmacs"], row[accuracy]) for row in rows]

    def beaten(macs: float, reached: float) -> bool:
        known = [(float(m), float(a)) for m, a in points if m is not None and a is not None]
        return any(m <= macs and a >= reached and (m, a) != (macs, reached) for m, a in known)

    return [0 if m is None or a is None else int(not beaten(float(m), float(a))) for m, a in points]


def rows(scope: Scope, store: Store) -> Sequence[Row]:
    """The rows of Figures 5.4 and 5.5 with the columns of `FRONTS`."""
    found = first_seed(tradeoffs.rows(scope, store))
    fronts = {column: on_front(found, accuracy) for column, accuracy in FRONTS.items()}
    return [
        {**row, **{column: front[place] for column, front in fronts.items()}}
        for place, row in enumerate(found)
    ]


def draw(rows: Sequence[Row]) -> Figure:
    """Accuracies against MACs; each front is the stair below which a network is beaten."""
    with matplotlib.style.context(figures.STYLE):
        size = (display.FULL_WIDTH * 0.7, display.ROW_HEIGHT + 1.4)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        tradeoffs.panel_of(axes, rows, tradeoffs.ACCURACY)
        for column, accuracy in FRONTS.items():
            front = sorted(
                (float(row["mmacs"] or 0), float(row[accuracy] or 0)) for row in rows if row[column]
            )
            colour = tradeoffs.STYLES[accuracy]["color"]
            macs, reached = [m for m, _ in front], [a for _, a in front]
            axes.step(macs, reached, where="post", color=colour, marker="", zorder=1)
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
