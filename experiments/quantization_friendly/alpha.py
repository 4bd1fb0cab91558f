"""Sheng et al., "Large Quantization Loss caused by BatchNorm": alpha = gamma / sigma by channel.

    python -m experiments.run --artifact=quantization_friendly/alpha --scale=reduced
        --imagenet_data=photographs.npz --mobilenet_v1=mobilenet.keras

A batch norm multiplies every channel of the depthwise kernel before it by alpha, with
sigma = sqrt(variance + epsilon). Published: an example of a layer of 32 channels (a figure without
numbers) in which zero variance gives alpha a very large range. The rows hold every channel of every
depthwise layer with a batch norm; a channel's variance counts as zero below a tenth of epsilon, as
in `tfqdyn.remedies.zero_variance`. Drawn are the first depthwise layer, channel by channel
(MobileNet-V1: 32 channels), and all of them.

Cost: no images are run; seconds at every scale (smoke: the stand-in's training, shared).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.engine.artifact import Artifact, Row, Scope
from experiments.engine.imagenet import Missing
from experiments.engine.provenance import code_of
from experiments.engine.store import Job, Store
from experiments.engine.subjects import SUBJECT_CODE, Subject, SubjectJob, subject
from experiments.evidence import display, missing_networks
from tfqdyn.files import wholefiles
from tfqdyn.show import figures

FILE = "channels.json"
CROWDED = 500
"""Points from which on they are transparent, and pixels in vector files."""
SHOWN = {0: "other channels", 1: "zero variance"}


@dataclass(frozen=True)
class Alphas(SubjectJob):
    """Reads alpha of every depthwise channel out of a network.

    Result: `layers` and `channels` found. File: `FILE`, the channels' rows.
    """

    KIND: ClassVar[str] = "alphas"

    @property
    def code(self) -> str:
        """What reads and folds the network."""
        return code_of(Alphas, Subject, *SUBJECT_CODE)

    def run(self, folder: Path, store: Store) -> Mapping[str, Any]:
        """Folds the network and writes the rows."""
        from tfqdyn.network.folding import SHARE_OF_EPSILON

        folded = self.subject.folded(store)
        found: list[dict[str, Any]] = []
        for layer in folded.graph.rows:
            norm = folded.batch_norms.get(layer.name)
            if layer.kind != "depthwise" or norm is None:
                continue
            zero = norm.variance < SHARE_OF_EPSILON * norm.epsilon
            found += [
                {
                    "number": layer.number,
                    "layer": layer.name,
                    "channel": channel,
                    "gamma": float(norm.gamma[channel]),
                    "sigma": float(np.sqrt(norm.variance[channel] + norm.epsilon)),
                    "alpha": float(norm.scale[channel]),
                    "zero_variance": int(zero[channel]),
                }
                for channel in range(len(norm.gamma))
            ]
        wholefiles.write(folder / FILE, json.dumps(found).encode())
        return {"layers": len({row["number"] for row in found}), "channels": len(found)}


def _job(scope: Scope) -> Alphas | Missing:
    network = subject("mobilenet_v1", scope)
    return network if isinstance(network, Missing) else Alphas(network)


def jobs(scope: Scope) -> Sequence[Job]:
    """One job."""
    job = _job(scope)
    return [] if isinstance(job, Missing) else [job]


def rows(scope: Scope, store: Store) -> Sequence[Row]:
    """A row for each channel of each depthwise layer."""
    job = _job(scope)
    if isinstance(job, Missing):
        return [missing_networks.missing_row("mobilenet_v1", job)]
    same = {"network": job.subject.name, "status": "analyzed"}
    return [{**same, **row} for row in json.loads((store.folder(job) / FILE).read_text())]


def draw(rows: Sequence[Row]) -> Figure:
    """Alpha of the first layer's channels, and of all channels' sizes against the layer."""
    channels = [row for row in rows if row.get("number") is not None]
    if not channels:
        return missing_networks.in_words(rows)
    first = [row for row in channels if row["number"] == channels[0]["number"]]
    with matplotlib.style.context(figures.STYLE):
        size = (display.FULL_WIDTH, 2 * display.ROW_HEIGHT + 0.4)
        figure = Figure(figsize=size, layout="constrained")
        top, bottom = figure.subplots(2, 1)
        _points(top, first, "channel", "alpha")
        top.set_title(f"{channels[0]['network']}, {first[0]['layer']}")
        top.set_ylabel("alpha")
        top.set_xlabel("channel")
        top.axhline(0.0, color="black", linewidth=0.5, marker="")
        sizes = [{**row, "size": abs(float(row["alpha"] or 0.0))} for row in channels]
        _points(bottom, [row for row in sizes if row["size"] > 0], "number", "size")
        bottom.set_yscale("log")
        bottom.set_title("all depthwise layers")
        bottom.set_ylabel("|alpha|")
        bottom.set_xlabel("layer")
        bottom.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 4, 10]))
        handles, labels = bottom.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _points(axes: Axes, rows: Sequence[Mapping[str, Any]], x: str, y: str) -> None:
    for zero, label in SHOWN.items():
        own = [row for row in rows if row["zero_variance"] == zero]
        axes.plot(
            [row[x] for row in own],
            [row[y] for row in own],
            marker="x" if zero else "o",
            markersize=5 if zero else 3,
            linestyle="",
            color=display.COLOURS[zero],
            label=label,
            alpha=0.35 if len(rows) > CROWDED and not zero else 1.0,
            rasterized=len(rows) > CROWDED,
        )


ARTIFACT = Artifact(
    "quantization_friendly/alpha",
    "Sheng et al., Quantization Loss Analysis",
    "alpha = gamma / sigma of every channel of MobileNet-V1's depthwise layers",
    jobs,
    rows,
    draw,
)
