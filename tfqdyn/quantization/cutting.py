"""A folded graph -> one 8-bit file whose rows are cut off from each other."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tfqdyn.network.graph import Graph
from tfqdyn.numerics.grid import QuantParams
from tfqdyn.quantization.checks import check_params
from tfqdyn.quantization.conversion import (
    check_layers,
    convert,
    ends_of,
    paired_here,
    whole,
)
from tfqdyn.quantization.converted import Converted
from tfqdyn.quantization.fakequant import cut_names, emit, input_name, quantization_of
from tfqdyn.schemes import SCHEMES, UINT8
from tfqdyn.tflite.file import parse


@dataclass(frozen=True, eq=False)
class CutModel:
    """A converted model whose rows read inputs of the file in place of each other.

    Attributes:
        converted: the file; every row is an output of it.
        feeds: for every input of the file the row (or input of the graph) that it stands for, by
            the tensor's name.
    """

    converted: Converted
    feeds: Mapping[str, str]

    @property
    def feed_params(self) -> dict[str, QuantParams]:
        """Quantization of what rows read, by the row (or input of the graph) that it stands for."""
        tensors = self.converted.model.tensors
        found = {}
        for index in self.converted.model.inputs:
            params = tensors[index].params
            assert params is not None, "inputs of a cut file are codes"
            found[self.feeds[tensors[index].name]] = params
        return found


def to_cut_tflite(
    graph: Graph,
    ranges: Mapping[str, tuple[float, float]],
    float_layers: Collection[str] = (),
    scheme: str = UINT8,
) -> CutModel:
    """`to_tflite` with every row cut off from the rows before it: one run, all rows on their own.

    Args and errors are those of `to_tflite`.
    """
    rows = graph.rows
    floats = frozenset(float_layers)
    check_layers(graph, floats)
    params = quantization_of(graph, ranges, SCHEMES[scheme].activations)
    ends = ends_of(graph, params)
    feeds = {input_name(index): name for index, name in enumerate(graph.inputs)}
    read = {name for row in rows for name in row.producers}
    for index, row in enumerate(rows):
        if row.name in read:  # not by layout ops on their way to an output alone
            feed = cut_names(index)[1]
            ends[feed] = (row.output_shape, params[row.name])
            feeds[feed] = row.name
    outputs = [cut_names(index)[0] for index in range(len(rows))]
    content = convert(emit(graph, params, floats, cut=True), ends, outputs)
    model = parse(content)
    tensors = {model.tensors[index].name: index for index in model.inputs}
    sources = {name: tensors[feed] for feed, name in feeds.items() if feed in tensors}
    pairs = whole(paired_here(graph, model, sources)[0])
    check_params(pairs, params, floats)
    return CutModel(Converted(content, model, pairs, sources, model.outputs), feeds)
