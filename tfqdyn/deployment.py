"""The network in the scheme that an analysis asks for: a file, or a simulation of one."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.config import AnalysisConfig
from tfqdyn.measurement.capture import KerasActivations, TfliteTensors
from tfqdyn.network.graph import Graph
from tfqdyn.quantization.calibration import SiteRange
from tfqdyn.quantization.conversion import Converted, to_scheme, to_tflite
from tfqdyn.quantization.graph_transform_tool import (
    Transformed,
    TransformedTensors,
    Watched,
    transform,
)
from tfqdyn.quantization.simulation import Simulated, SimulatedTensors, simulate
from tfqdyn.schemes import GRAPH_TRANSFORM_TOOL, OWN_RANGES


def watched(
    graph: Graph,
) -> tuple[list[str], Callable[[NDArray[np.float32]], list[NDArray[np.float32]]]]:
    """Sites of the Graph Transform Tool's rounding points: names, and what gives their values."""
    sites = Watched(graph)
    run = KerasActivations(graph, sites.nodes)
    return list(sites.names), lambda images: sites(run.by_node(images))


def runner(config: AnalysisConfig) -> Any:
    """What runs the converted network."""
    if config.scheme == GRAPH_TRANSFORM_TOOL:
        return TransformedTensors
    return SimulatedTensors if config.simulated else TfliteTensors


def convert(
    graph: Graph,
    sites: Mapping[str, SiteRange],
    kept: set[str],
    config: AnalysisConfig,
    singles: Callable[[], Iterable[Any]],
) -> Converted | Simulated | Transformed:
    """The network in the wanted scheme; `sites` are those of the input and of every row."""
    if config.scheme == GRAPH_TRANSFORM_TOOL:
        return transform(graph, sites, config.deviations)
    if config.simulated:
        return simulate(graph, sites, config.widths, kept)
    if config.scheme == OWN_RANGES:
        return to_tflite(graph, {name: (s.low, s.high) for name, s in sites.items()}, kept)
    return to_scheme(graph, config.scheme, singles)
