"""Yun & Wong, supplement Figure 10: activations of the two ImageNet networks.

    python -m experiments.run --artifact=mobilenets/figure_s10 --scale=reduced
        --imagenet_data=photographs.npz --mobilenet_v1=mobilenet.keras

The paper's ranges are those that TensorFlow's Graph Transform Tool froze: of the values before the
ReLU, which a ReLU6 does not hold at 6. Rows have both, before the ReLU and after it; the figure
shows those before.

Cost: the calibration images go through the network in fp32, less than a minute on two cores.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, ClassVar

from matplotlib.figure import Figure

from experiments.engine import imagenet
from experiments.engine.artifact import Artifact, Row, Scope
from experiments.engine.imagenet import Missing
from experiments.engine.provenance import code_of
from experiments.engine.store import Job, Store
from experiments.engine.subjects import Begun, Subject, SubjectJob, config_of, fitted, subject
from experiments.evidence import missing_networks
from experiments.mobilenets import imagenet_layers
from tfqdyn.config import AnalysisConfig
from tfqdyn.measurement import sampling
from tfqdyn.numerics import metrics
from tfqdyn.results import spread
from tfqdyn.schemes import GRAPH_TRANSFORM_TOOL

DRAWN = ("activation_range", "activation_precision")
"""Of the values before the ReLU."""
AFTER = ("after_relu_range", "after_relu_precision")


@dataclass(frozen=True)
class BeforeRelu(SubjectJob):
    """Calibrates a subject before and after its ReLUs; see `graph_transform_tool.Watched`.

    Result: `layers`, for every numbered layer `number`, `layer`, `kind`, and of `DRAWN` and `AFTER`
    a value for each calibration draw.

    Attributes:
        subject: what is calibrated.
        config: of the tool's scheme.
    """

    KIND: ClassVar[str] = "before_relu"

    config: AnalysisConfig

    @property
    def code(self) -> str:
        """What is done here, and calibration with all that it is made of."""
        modules = ("tfqdyn.measurement.bench", "tfqdyn.network.modelfile")
        return code_of(BeforeRelu, Subject, Begun, fitted, imagenet.split, *modules)

    def run(self, folder: Any, store: Store) -> Mapping[str, Any]:
        """Calibrates by every draw of an analysis."""
        from tfqdyn.measurement.bench import Bench
        from tfqdyn.quantization.graph_transform_tool import points_of

        graph, data = self.subject.folded(store).deployed, self.subject.dataset()
        config, images = fitted(self.config, data), sampling.calibration_images(data)
        draws = [drawn.calibration for drawn in sampling.disjoint_draws(data, config)]
        with Bench(graph, config) as bench:
            calibrated = [bench.calibrate(images, indices) for indices in draws]
        layers = []
        for row in graph.rows:
            if row.number is None:
                continue
            layer: dict[str, Any] = {"number": row.number, "layer": row.name, "kind": row.kind}
            points = points_of(graph, row)
            for names, point in ((DRAWN, points.before_relu), (AFTER, points.output)):
                found = [_range_and_precision(sites[point]) for sites in calibrated]
                layer |= dict(zip(names, map(list, zip(*found, strict=True)), strict=True))
            layers.append(layer)
        return {"layers": layers}


def _range_and_precision(site: Any) -> tuple[float, float]:
    """A site's range and the average precision of its channels."""
    own = float(site.high - site.low)
    return own, float(metrics.precision_of_ranges(site.channel_high - site.channel_low, own))


def found(scope: Scope) -> Mapping[str, BeforeRelu | Missing]:
    """The calibration of each network, or why there is none, by architecture."""
    subjects = {arch: subject(arch, scope) for arch in imagenet.NETWORKS}
    return {
        arch: one if isinstance(one, Missing) else BeforeRelu(one, _config(one, scope))
        for arch, one in subjects.items()
    }


def _config(one: Subject, scope: Scope) -> AnalysisConfig:
    return dataclasses.replace(config_of(one, scope), scheme=GRAPH_TRANSFORM_TOOL)


def jobs(scope: Scope) -> Sequence[Job]:
    """The calibrations."""
    return [one for one in found(scope).values() if not isinstance(one, Missing)]


def rows(scope: Scope, store: Store) -> Sequence[Row]:
    """One row for each numbered layer; a network that is not to be had is named."""
    made: list[Row] = []
    for arch, one in found(scope).items():
        if isinstance(one, Missing):
            made.append(missing_networks.missing_row(arch, one))
            continue
        same = {"network": one.subject.name, "family": one.subject.family, "status": "analyzed"}
        for layer in store.result(one)["layers"]:
            row: dict[str, Any] = {**same, **{n: layer[n] for n in ("number", "layer", "kind")}}
            for name in (*DRAWN, *AFTER):
                row |= {name: fmean(layer[name]), f"{name}_std": spread(layer[name]).std}
            made.append(row)
    return made


def draw(made: Sequence[Row]) -> Figure:
    """Range and average precision before the ReLU, layer by layer."""
    return imagenet_layers.draw(made, DRAWN)


ARTIFACT = Artifact(
    "mobilenets/figure_s10",
    "Yun & Wong, supplement Figure 10",
    "Range and average precision of activations on ImageNet, before the ReLU",
    jobs,
    rows,
    draw,
    published="VGG-19's ranges are far larger, for its images are not scaled; MobileNet-V1's "
    "ranges and precisions fluctuate from layer to layer (A.3). The paper's are those of "
    "TensorFlow's Graph Transform Tool, which keeps the range from before the ReLU: so do these. "
    "After ReLU6 (columns `after_relu_range`, `after_relu_precision`) the ranges of all layers but "
    "the last are 6, and only precisions fluctuate.",
)
