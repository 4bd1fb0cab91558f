"""What changed from the first run to the others: of the whole network, and of every layer.

Layers are held against each other by name and kind; of different networks that share no names only
the whole networks can be.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from tfqdyn.report.inputs import Run
from tfqdyn.report.layers import COLUMNS
from tfqdyn.report.summary import figures
from tfqdyn.results.layervalues import LAYER_VALUES, mean_of


@dataclass(frozen=True)
class Difference:
    """One figure of one run against the first run's; `layer` is "" for the whole network."""

    run: str
    number: int | None
    layer: str
    kind: str
    figure: str
    first: float
    value: float
    difference: float


def differences(runs: Sequence[Run]) -> tuple[Difference, ...]:
    """Every figure that the first run and another one have; run by run, layers in graph order."""
    return tuple(found for run in runs[1:] for found in _against(runs[0], run))


def _against(first: Run, run: Run) -> list[Difference]:
    found = []
    for heading, read, _ in figures([first.result.summary, run.result.summary]):
        there, here = (mean_of(read(r.result.summary)) for r in (first, run))
        if there is not None and here is not None:
            name = heading.replace("{scheme}", "quantized")
            found.append(Difference(run.name, None, "", "", name, there, here, here - there))
    reference = {(layer.name, layer.kind): layer for layer in first.result.layers}
    for layer in run.result.layers:
        other = reference.get((layer.name, layer.kind))
        if other is None:
            continue
        for name in COLUMNS:
            read = LAYER_VALUES[name].read
            there, here = mean_of(read(other)), mean_of(read(layer))
            if there is not None and here is not None:
                found.append(
                    Difference(
                        run.name, layer.number, layer.name, layer.kind, name, there, here,
                        here - there,
                    )
                )  # fmt: skip
    return found


def to_csv(found: Sequence[Difference]) -> str:
    """The differences as CSV, a line each."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Difference)])
    writer.writeheader()
    writer.writerows(asdict(difference) for difference in found)
    return text.getvalue()
