"""A run's figures on the graph of its `.tflite` file, for Google's Model Explorer.

Conventions
    A node-data file maps the graph's id to `results`, a value for each node's id as text: in the
    graph of a `.tflite` file an operator's index. Colours go by thresholds that are the same in
    every run, so that runs compare: a node has the colour of the first threshold that is not below
    its value. Figures are those of the first trial's file, means over trials.

References
    https://github.com/google-ai-edge/model-explorer (`pip install ai-edge-model-explorer`),
    `node_data_builder.py` for the format.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tfqdyn.results.estimates import worst_layers
from tfqdyn.results.records import LayerResult
from tfqdyn.results.run import RunResult

GRAPH = "main"
"""Id of the only graph of a `.tflite` file whose subgraph has no other name."""
MOST_DB = 200.0
"""What stands for an infinite SQNR, which JSON has no number for."""
BAD, POOR, FAIR, GOOD = "#d73027", "#fc8d59", "#fee08b", "#91cf60"
OF_DECIBELS = ((10.0, BAD), (20.0, POOR), (30.0, FAIR), (MOST_DB, GOOD))
OF_ERRORS = ((1e-6, GOOD), (1e-4, FAIR), (1e-2, POOR), (1e6, BAD))


@dataclass(frozen=True)
class NodeData:
    """One figure of every layer that has an operator.

    Attributes:
        file: its name in a run's folder.
        name: what Model Explorer calls it.
        thresholds: upper ends of the colours, ascending; () for words.
        read: from a run, by the layers' names.
    """

    file: str
    name: str
    thresholds: tuple[tuple[float, str], ...]
    read: Callable[[RunResult], Mapping[str, float | str]]


def _sqnr(result: RunResult) -> dict[str, float | str]:
    return {layer.name: layer.sqnr_pooled_db.mean for layer in result.layers}


def _own_sqnr(result: RunResult) -> dict[str, float | str]:
    """Measured, or estimated in a run without own errors."""
    measured = {layer.name: layer.own.sqnr.mean for layer in result.layers if layer.own is not None}
    return {**measured} or {reason.layer.name: reason.own_sqnr_db for reason in _reasons(result)}


def _qmse(result: RunResult) -> dict[str, float | str]:
    return {layer.name: layer.qmse.mean for layer in result.layers}


def _cause(result: RunResult) -> dict[str, float | str]:
    return {reason.layer.name: reason.text for reason in _reasons(result)}


def _reasons(result: RunResult) -> Sequence:
    return worst_layers(result, len(result.layers))


NODE_DATA = (
    NodeData("model_explorer.json", "SQNR in dB", OF_DECIBELS, _sqnr),
    NodeData("model_explorer_own_sqnr.json", "own SQNR in dB", OF_DECIBELS, _own_sqnr),
    NodeData("model_explorer_qmse.json", "QMSE", OF_ERRORS, _qmse),
    NodeData("model_explorer_cause.json", "cause", (), _cause),
)
"""The files of a run."""


def files(result: RunResult) -> dict[str, bytes]:
    """The node-data files of a run by their names; none where no `.tflite` file ran."""
    operators = operators_of(result.layers)
    if not operators:
        return {}
    return {one.file: _text(one, result, operators).encode() for one in NODE_DATA}


def operators_of(layers: Sequence[LayerResult]) -> dict[str, int]:
    """Indices of the operators that write the layers' outputs, by the layers' names."""
    return {layer.name: layer.operator for layer in layers if layer.operator is not None}


def synchronized(left: RunResult, right: RunResult) -> bytes:
    """A file that links two graphs' nodes in Model Explorer, layer by layer of one name.

    There: open both `.tflite` files side by side, then "Sync navigation", "Upload mapping".
    """
    first, second = operators_of(left.layers), operators_of(right.layers)
    entries = [
        {"leftNodeIds": [str(first[name])], "rightNodeIds": [str(second[name])]}
        for name in first
        if name in second
    ]
    return json.dumps({"mappingEntries": entries}, indent=1).encode()


def _text(one: NodeData, result: RunResult, operators: Mapping[str, int]) -> str:
    values = {
        str(operators[name]): {"value": _finite(value)}
        for name, value in one.read(result).items()
        if name in operators and value == value
    }
    data: dict[str, object] = {"name": f"{one.name} (tfqdyn)", "results": values}
    if one.thresholds:
        data["thresholds"] = [{"value": end, "bgColor": colour} for end, colour in one.thresholds]
    return json.dumps({GRAPH: data}, indent=1, allow_nan=False)


def _finite(value: float | str) -> float | str:
    if isinstance(value, str) or math.isfinite(value):
        return value
    return math.copysign(MOST_DB, value)
