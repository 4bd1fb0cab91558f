"""Which engine makes a deployed network of a folded one; a new engine is a branch here."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from tfqdyn.config import AnalysisConfig
from tfqdyn.network.graph import Graph
from tfqdyn.quantization.calibration import SiteRange
from tfqdyn.quantization.conversion import to_scheme, to_tflite
from tfqdyn.quantization.deployed import Deployed
from tfqdyn.quantization.graph_transform_tool import Watched, transform
from tfqdyn.quantization.simulation import simulate
from tfqdyn.schemes import GRAPH_TRANSFORM_TOOL, SIMULATED


def watched(graph: Graph, config: AnalysisConfig) -> Watched | None:
    """What calibration observes for an engine that rounds elsewhere than at rows; else None."""
    return Watched(graph) if config.scheme == GRAPH_TRANSFORM_TOOL else None


def deploy(
    graph: Graph,
    sites: Mapping[str, SiteRange],
    float_layers: Collection[str],
    config: AnalysisConfig,
    singles: Callable[[], Iterable[Any]],
) -> Deployed:
    """The network in the wanted scheme.

    Args:
        graph: a folded graph.
        sites: calibrated ranges of the input and of every row (or of `watched`), by name.
        float_layers: rows that stay in fp32.
        config: scheme and bit widths.
        singles: gives the calibration images, one in a chunk, as `datasets.chunks` yields them.

    Raises:
        ConversionError: TensorFlow's converter failed, or what it wrote does not hold.
    """
    if config.scheme == GRAPH_TRANSFORM_TOOL:
        return transform(graph, sites, config.deviations)
    if config.scheme == SIMULATED:
        return simulate(graph, sites, config.widths, float_layers)
    if config.own_ranges:
        ranges = {name: (site.low, site.high) for name, site in sites.items()}
        return to_tflite(graph, ranges, float_layers, config.scheme)
    return to_scheme(graph, config.scheme, singles)
