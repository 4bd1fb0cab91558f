"""A float .tflite file as a model, wherever a Keras model is one."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tfqdyn.network import lowering
from tfqdyn.network.graph import Graph
from tfqdyn.tflite import agreement
from tfqdyn.tflite.file import TfliteModel, parse, read
from tfqdyn.tflite.lowering import lower

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
        lowered = lower(self.model, self.name)
        agreement.check(self.content, lowered)
        return lowered.graph

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """The first input's shape, as Keras models have it."""
        return (None, *self.model.tensors[self.model.inputs[0]].shape[1:])


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
