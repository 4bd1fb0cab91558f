"""Whether a lowered file computes what the file computes, by running both."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.files import memory
from tfqdyn.files.quoting import brief
from tfqdyn.network.graph import Graph
from tfqdyn.tflite import interpreter
from tfqdyn.tflite.file import TfliteFileError
from tfqdyn.tflite.kernels import distance
from tfqdyn.tflite.lowering import HINT, Lowered

SAME = 1e-4
"""Up to which `kernels.distance` two computations in float32 differ by rounding alone."""
IMAGES = 3
"""Random images that are tried."""


def check(content: bytes, lowered: Lowered) -> None:
    """The lowered graph, as a Keras model, gives what TFLite's interpreter makes of the file.

    On random images, uniform in [-1, 1]: every output within `SAME`.

    Args:
        content: of the file.
        lowered: the same, lowered.

    Raises:
        TfliteFileError: the interpreter refuses the file, or the outputs differ; the first layer
            that does is named.
    """
    graph, model = lowered.graph, lowered.model
    _check_size(graph)
    first = model.tensors[model.inputs[0]]
    interpreter.rehearse(content, {t: model.tensors[t].shape for t in model.inputs})
    runs = math.ceil(IMAGES / first.shape[0])
    rng = np.random.default_rng(0)
    images = [
        rng.uniform(-1, 1, (runs, *model.tensors[index].shape)).astype(np.float32)
        for index in model.inputs
    ]
    ends = list(dict.fromkeys(graph.outputs))
    found = _of_keras(graph, ends, images)
    wanted = _of_file(content, lowered, ends, images)
    if _first_apart(ends, wanted, found) is None:
        return
    nodes = [name for name in lowered.tensors if graph.by_name[name].op != "input"]
    name = _first_apart(
        nodes, _of_file(content, lowered, nodes, images), _of_keras(graph, nodes, images)
    )
    layer = repr(name) if name else "an output"
    what = graph.by_name[name].op if name else "its last steps"
    raise TfliteFileError(
        f"tfqdyn does not compute what the .tflite file does: {layer} ({what}) is the first to "
        f"differ on random images; {HINT}"
    )


def _first_apart(
    names: Sequence[str], wanted: Sequence[NDArray], found: Sequence[NDArray]
) -> str | None:
    """The first node whose values differ by more than rounding, or are not numbers."""
    for name, one, other in zip(names, wanted, found, strict=True):
        flat = other.astype(np.float64).reshape(-1)
        if one.size != flat.size or not distance(one.reshape(-1), flat) <= SAME:
            return name
    return None


def _check_size(graph: Graph) -> None:
    values = 4 * IMAGES * sum(math.prod(node.output_shape) for node in graph)
    if values > memory.total() // 2:
        raise TfliteFileError(
            f"the activations of {IMAGES} images take {memory.words(values)}, more than half of "
            f"the memory here ({memory.words(memory.total())})"
        )


def _of_keras(graph: Graph, names: Sequence[str], images: Sequence[NDArray]) -> list[NDArray]:
    """Values of nodes for all images, [N, ...]."""
    from tfqdyn.network.rebuild import to_keras  # heavy

    joined = [x.reshape(-1, *x.shape[2:]) for x in images]
    try:
        model: Any = to_keras(graph, names)
        values = model(joined if len(joined) > 1 else joined[0], training=False)
    except Exception as error:  # Keras and TensorFlow raise many kinds for what does not fit
        raise TfliteFileError(
            f"Keras refuses what the .tflite file describes: {brief(error)}"
        ) from error
    values = values if isinstance(values, (list, tuple)) else [values]
    return [np.asarray(value) for value in values]


def _of_file(
    content: bytes, lowered: Lowered, names: Sequence[str], images: Sequence[NDArray]
) -> list[NDArray]:
    """The same, of the tensors that hold them."""
    model = lowered.model
    with interpreter.refusals():
        run = interpreter.observed(content)
        run.allocate_tensors()
        held: list[list[NDArray]] = []
        for k in range(len(images[0])):
            for index, x in zip(model.inputs, images, strict=True):
                run.set_tensor(index, x[k])
            run.invoke()
            held.append([run.get_tensor(lowered.tensors[name]) for name in names])
    return [np.concatenate([part.ravel() for part in parts]) for parts in zip(*held, strict=True)]
