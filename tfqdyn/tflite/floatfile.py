"""A float .tflite file as a model, wherever a Keras model is one."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tfqdyn.network import lowering
from tfqdyn.network.graph import Graph
from tfqdyn.tflite import agreement
from tfqdyn.tflite.file import TfliteModel, parse, read
from tfqdyn.tflite.lowering import lower
from tfqdyn.tflite.probing import probe

SUFFIX = ".tflite"


@dataclass(frozen=True, eq=False)
class FloatFile:
    """A float .tflite file.

    Attributes:
        name: of the network.
        content: of the file.
    """

    name: str
    content: bytes = field(repr=False)

    @cached_property
    def model(self) -> TfliteModel:
        """The file, parsed.

        Raises:
            TfliteFileError: see `file.parse`.
        """
        return parse(self.content)

    @cached_property
    def graph(self) -> Graph:
        """The network; it was run against TFLite's interpreter and gives the same.

        Raises:
            TfliteFileError: the file is not covered, or they differ; see `lowering.lower_file` and
                `agreement.check`.
        """
        lowered = lower(_as_run(self.content, self.model), self.name)
        agreement.check(self.content, lowered)
        return lowered.graph

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """The first input's shape, as Keras models have it."""
        return (None, *self.model.tensors[self.model.inputs[0]].shape[1:])


def _as_run(content: bytes, model: TfliteModel) -> TfliteModel:
    """A file with its tensors' shapes as they are in a run.

    Where shapes are computed for any number of images, what the file says of them is nothing.
    """
    computed = [
        op
        for op in model.operators
        if op.kind == "RESHAPE" and len(op.inputs) > 1 and model.tensors[op.inputs[1]].data is None
    ]
    if not computed or any(model.tensors[t].any_size for t in model.inputs):
        return model
    (shapes,) = probe(content, [{t: model.tensors[t].shape for t in model.inputs}])
    tensors = tuple(
        tensor if tensor.data is not None else replace(tensor, shape=shape)
        for tensor in model.tensors
        for shape in ((shapes or {}).get(tensor.index, tensor.shape),)
    )
    return replace(model, tensors=tensors)


def load(path: Path) -> FloatFile:
    """The float file at a path.

    Raises:
        TfliteFileError: it is not there, or no .tflite file.
        OSError: it cannot be read.
    """
    return FloatFile(path.stem, read(path))


def graph_of(model: Any, scheme: str | None) -> Graph:
    """A model as canonical nodes that a scheme takes.

    Args:
        model: a Keras model (see `network.lowering.lower`) or a `FloatFile`.
        scheme: as for `network.lowering.lower`.

    Raises:
        UnsupportedModelError, TfliteFileError: the model is not covered.
    """
    if not isinstance(model, FloatFile):
        return lowering.lower(model, scheme)
    lowering.check_scheme(model.graph, scheme)
    return model.graph
