"""Which input and which output of a .tflite file is which of a network's.

Inputs are recognized by their shapes; among several of one shape by their names, and what does not
pair (`pairing`) is not it. Outputs are recognized by the layers that make them, else by their
order.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, permutations

from tfqdyn.network.graph import Graph
from tfqdyn.tflite.dataflow import Dataflow
from tfqdyn.tflite.file import TfliteFileError, TfliteModel
from tfqdyn.tflite.pairs import LayerPair

MOST_TRIED = 24
"""Assignments of inputs that are tried."""


def assignments(graph: Graph, model: TfliteModel) -> Iterator[dict[str, int]]:
    """The file's input tensors by the names of a network's inputs, the likeliest way first.

    Where no way fits the shapes, that of the order.

    Raises:
        TfliteFileError: the file has more or fewer inputs.
    """
    shapes = graph.input_shapes
    if len(model.inputs) != len(shapes):
        raise TfliteFileError(
            f"the model has {len(shapes)} inputs, the .tflite file {len(model.inputs)}"
        )
    ways = islice(permutations(model.inputs), 10_000)
    fitting = [way for way in ways if _fits(shapes, way, model)]
    names = list(shapes)
    fitting.sort(key=lambda way: -sum(called(model, t) == n for n, t in zip(names, way)))
    for way in fitting[:MOST_TRIED] or [model.inputs]:
        yield dict(zip(names, way, strict=True))


def _fits(shapes: Mapping[str, tuple[int, ...]], way: Sequence[int], model: TfliteModel) -> bool:
    return all(model.tensors[t].shape[1:] == shape for t, shape in zip(way, shapes.values()))


def called(model: TfliteModel, tensor: int) -> str:
    """What a converter was given for an input's name: "serving_default_left:0" is "left"."""
    return re.sub(r":\d+$", "", model.tensors[tensor].name.removeprefix("serving_default_"))


def output_tensors(graph: Graph, model: TfliteModel, pairs: Sequence[LayerPair]) -> tuple[int, ...]:
    """The file's output tensors in the order of a network's outputs.

    Raises:
        TfliteFileError: the file has more or fewer outputs, or of other sizes.
    """
    if len(model.outputs) != len(graph.outputs):
        raise TfliteFileError(
            f"the model has {len(graph.outputs)} outputs, the .tflite file {len(model.outputs)}"
        )
    flow = Dataflow(model)
    made = {pair.row.name: flow.source(pair.tensor) for pair in pairs}
    images = max(1, *model.tensors[model.inputs[0]].shape[:1])
    sizes = [math.prod(graph.by_name[name].output_shape) * images for name in graph.outputs]
    free = list(model.outputs)
    found: dict[int, int] = {}
    for by_layer in (True, False):
        for place, name in enumerate(graph.outputs):
            source = made.get(graph.makers[name], -1)
            fitting = [
                t for t in free
                if math.prod(model.tensors[t].shape) == sizes[place]
                and (not by_layer or flow.source(t) == source)
            ]  # fmt: skip
            if place not in found and fitting:
                found[place] = fitting[0]
                free.remove(fitting[0])
    if free:
        shapes = [graph.by_name[name].output_shape for name in graph.outputs]
        raise TfliteFileError(
            f"the model gives {', '.join(map(str, shapes))}, the .tflite file "
            f"{', '.join(str(model.tensors[t].shape) for t in model.outputs)}"
        )
    return tuple(found[place] for place in range(len(graph.outputs)))
