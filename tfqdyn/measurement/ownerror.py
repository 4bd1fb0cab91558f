"""What error a layer makes itself, and from which source; the rest it inherits.

Own error: the layer's quantized op, in true uint8 or int8, fed with the fp32 activations of the
layers before it. One file holds all rows cut off from each other (`cutting.to_cut_tflite`), so one
run of the interpreter gives the own error of all layers, in one pass over the images.

Sources (Sheng et al. 2018, slide 5), each measured with that source alone switched on, in fp32
arithmetic, from fp32 input:
    input           what the layer reads is rounded to its grid
    weights         the kernel is rounded to its grid
    accumulator     bias and sums saturate at 32 bits (no error where no sum can get there)
    requantization  the output is rounded to its step, but not clipped
    clipping        what lies more than half a step beyond the range is cut to its ends; nearer
                    values round to the ends, so they lose nothing by it
What hands the values that it reads on (a max-pool on the grid of its input) requantizes nothing and
cannot clip; an average pool on that grid rounds its averages, a cap the values that it caps.

The bound of a ReLU6 is part of the fp32 network and no error; what it cuts off is counted
(`saturated_share`), for it may hold the range that a remedy needs.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfqdyn.measurement.capture import CutTensors
from tfqdyn.measurement.ownsums import OwnSums
from tfqdyn.measurement.streaming import Activations, Chunk, Workers
from tfqdyn.network.graph import Graph, Node
from tfqdyn.numerics import loops
from tfqdyn.numerics.finiteness import NonFiniteError, OverflowedError
from tfqdyn.numerics.grid import LIMITS, QuantParams
from tfqdyn.numerics.layouts import STORED
from tfqdyn.quantization import fakequant
from tfqdyn.quantization.calibration import SiteRange
from tfqdyn.quantization.converted import Converted
from tfqdyn.quantization.cutting import CutModel, to_cut_tflite
from tfqdyn.quantization.stepwise import Step, steps_of
from tfqdyn.schemes import UINT8
from tfqdyn.tflite.dataflow import real_values
from tfqdyn.tflite.pairs import LayerPair


@dataclass(frozen=True, eq=False)
class OwnTrial:
    """One calibration draw: the quantized network, and its cut model."""

    deployed: Graph
    cut: CutModel

    @classmethod
    def of(
        cls,
        graph: Graph,
        sites: Mapping[str, SiteRange],
        float_layers: Collection[str],
        scheme: str = UINT8,
    ) -> "OwnTrial":
        """Converts a folded graph, every row cut off from the others, with calibrated ranges."""
        ranges = {name: (site.low, site.high) for name, site in sites.items()}
        return cls(graph, to_cut_tflite(graph, ranges, float_layers, scheme))


class OwnComparison:
    """Own error and sources of every row, for every trial, over one block after another.

    Interpreters are made when the first chunk comes, and kept.

    Args:
        activations: gives the fp32 inputs, and the output of every row, for a chunk of images.
        graph: the fp32 network.
        trials: what it was converted to.
        workers: what runs interpreters and comparisons.
    """

    def __init__(
        self, activations: Activations, graph: Graph, trials: Sequence[OwnTrial], workers: Workers
    ) -> None:
        self._activations, self._graph = activations, graph
        self._trials, self._workers = trials, workers
        self._steps = [step for step in steps_of(graph) if step.row is not None]
        self._names = [*graph.inputs, *(step.node.name for step in self._steps)]
        self._networks: list[list[CutTensors]] = []

    def over(self, chunks: Iterable[Chunk]) -> list[list[OwnSums]]:
        """The sums of every trial's rows, in one pass over a block.

        Args:
            chunks: as `datasets.chunks` yields them; all of one size, which `workers.parts`
                divides, and the same for every block.

        Raises:
            OverflowedError: an op gives NaN or infinity.
        """
        sums = [
            [OwnSums(p.params, p.row.output_shape[-1]) for p in trial.cut.converted.pairs]
            for trial in self._trials
        ]
        rows = self._names[len(self._graph.inputs) :]
        for images, indices, _ in chunks:
            values = dict(zip(self._names, self._activations(images), strict=True))
            networks = self._of_size(len(images) // self._workers.parts)
            for trial, cut, own in zip(self._trials, networks, sums, strict=True):
                _add(values, rows, cut, own, indices, self._workers.executor)
                _add_sources(values, self._graph, self._steps, trial, own, len(indices))
        return sums

    def _of_size(self, size: int) -> list[list[CutTensors]]:
        """Every trial's interpreters, one for each part of a chunk."""
        parts = range(self._workers.parts)
        if not self._networks:
            self._networks = [[CutTensors(t.cut, size) for _ in parts] for t in self._trials]
        return self._networks


def _add(
    values: Mapping[str, NDArray],
    names: Sequence[str],
    networks: Sequence[CutTensors],
    sums: Sequence[OwnSums],
    indices: NDArray[np.int64],
    executor: Executor,
) -> None:
    size = len(next(iter(values.values()))) // len(networks)
    cuts = [slice(k * size, (k + 1) * size) for k in range(len(networks))]
    parts = [{name: value[cut] for name, value in values.items()} for cut in cuts]
    codes = list(executor.map(lambda run, part: run(part), networks, parts))
    fp32 = [values[name] for name in names]

    def compare(row: int) -> None:
        for cut, part in zip(cuts, codes, strict=True):
            count = max(0, min(len(indices), cut.stop) - cut.start)
            if count:
                try:
                    sums[row].add(fp32[row][cut][:count], part[row][:count])
                except NonFiniteError as error:
                    image = int(indices[cut.start + error.image])
                    raise OverflowedError(names[row], "quantized", "test", image) from error

    list(executor.map(compare, range(len(sums))))


def _add_sources(
    values: Mapping[str, NDArray],
    graph: Graph,
    steps: Sequence[Step],
    trial: OwnTrial,
    sums: Sequence[OwnSums],
    valid: int,
) -> None:
    for step, own, pair in zip(steps, sums, trial.cut.converted.pairs, strict=True):
        if pair.params is None:
            continue
        exact = values[step.node.name][:valid]
        variants = _variants(step, graph, trial, pair, values, valid)
        if step.relu is not None and step.relu.config["max_value"] is not None:
            own.saturated += int((exact >= step.relu.config["max_value"]).sum())
        flat = np.ascontiguousarray(exact).reshape(-1)
        for name, value in variants.items():
            array = np.ascontiguousarray(np.asarray(value)).reshape(-1)
            own.sources[name] += loops.squared_error(flat, array)


def _variants(
    step: Step,
    graph: Graph,
    trial: OwnTrial,
    pair: LayerPair,
    values: Mapping[str, NDArray],
    valid: int,
) -> dict[str, tf.Tensor | NDArray]:
    """The row's output with each source alone switched on; sources that cannot act are absent.

    Grids and kernels are those of the file.
    """
    node, params = trial.deployed.by_name[step.node.name], pair.params
    assert params is not None, "rows in fp32 round nothing"
    feeds = trial.cut.feed_params
    exact = values[node.name][:valid]
    source = params_of_input(graph, node, feeds)
    shares = node.traits.shares and params.dtype == "int8"
    same_grid = (node.traits.inherits or shares) and source.grid == params.grid
    found: dict[str, tf.Tensor | NDArray] = {}
    if not (same_grid and _picks(node)):
        scale = np.float32(params.scale)
        steps = np.floor(exact / scale + np.float32(0.5)) * scale
        made = exact == node.weights["cap"] if same_grid and node.op == "cap" else True
        found["requantization"] = np.where(made, steps, exact)
    if not same_grid:
        low, high = (np.float32(end) for end in params.range)
        cut = np.clip(exact, low, high)
        beyond = np.abs(exact - cut) > np.float32(params.scale) / 2
        found["clipping"] = np.where(beyond, cut, exact)
    plain = [_read(graph, name, values, valid, None) for name in node.inputs]
    rounded = [_read(graph, name, values, valid, feeds) for name in node.inputs]
    reference = step.node  # with the fp32 network's bias: corrections are no source of error
    found["input"] = _activated(step, fakequant.compute(reference, rounded))
    if node.traits.has_kernel:
        kernel = _kernel_in_file(node, pair, trial.cut.converted)
        rounding = replace(reference, weights={**reference.weights, "kernel": kernel})
        found["weights"] = _activated(step, fakequant.compute(rounding, plain))
        limit = _saturation(node, pair, trial.cut.converted, source)
        if limit is not None:
            exact_sum = fakequant.compute(reference, plain)
            found["accumulator"] = _activated(step, tf.clip_by_value(exact_sum, -limit, limit))
    return found


def _picks(node: Node) -> bool:
    """Whether an op gives values that it reads, and computes none."""
    return node.traits.picks or node.config.get("interpolation") == "nearest"


def params_of_input(graph: Graph, node: Node, params: Mapping[str, QuantParams]) -> QuantParams:
    """Quantization of a node's first input, across layout ops."""
    name = node.inputs[0]
    by_output = {step.relu.name: step.node.name for step in steps_of(graph) if step.relu}
    while name not in params:
        name = by_output.get(name) or graph.by_name[name].inputs[0]
    return params[name]


def _read(
    graph: Graph,
    name: str,
    values: Mapping[str, NDArray],
    valid: int,
    params: Mapping[str, QuantParams] | None,
) -> tf.Tensor:
    """fp32 values of a node, across layout ops; rounded to their grid with `params`."""
    if name in values:
        found = values[name][:valid]
        return tf.constant(found) if params is None else _on_grid(found, params[name])
    node = graph.by_name[name]
    inner = _read(graph, node.inputs[0], values, valid, params)
    return inner if node.op == "relu" else fakequant.compute(node, [inner])


def _on_grid(values: NDArray[np.float32], params: QuantParams) -> tf.Tensor:
    """fp32 values as the file reads them: their codes' values."""
    scale, zero, low, high = params.grid
    codes = np.empty(values.size, params.dtype)
    loops.quantize(np.ascontiguousarray(values).reshape(-1), scale, zero, low, high, codes)
    real = (scale * (np.arange(low, high + 1) - zero)).astype(np.float32)
    return tf.constant(real[codes.astype(np.int16) - int(low)].reshape(values.shape))


def _kernel_in_file(node: Node, pair: LayerPair, converted: Converted) -> NDArray[np.float32]:
    """A row's dequantized kernel, in the shape of the node's own."""
    assert pair.kernel is not None, f"{node.name} has a kernel"
    stored = real_values(converted.model.tensors[pair.kernel])
    return node.with_kernel(STORED[pair.operator].common(stored)).weights["kernel"]


def _activated(step: Step, value: tf.Tensor) -> tf.Tensor:
    return value if step.relu is None else fakequant.compute(step.relu, [value])


def _saturation(
    node: Node, pair: LayerPair, converted: Converted, source: QuantParams
) -> NDArray[np.float32] | None:
    """Largest sums that 32 bits hold, real numbers [] or [K]; None if no input can lead there."""
    assert pair.kernel is not None, f"{node.name} has a kernel"
    stored = converted.model.tensors[pair.kernel]
    assert stored.params is not None, "its kernel is in codes"
    assert stored.data is not None, "its kernel is stored"
    unit = source.scale * stored.params.scale
    codes = STORED[pair.operator].common(stored.data).astype(np.int64)
    zero = stored.params.zero_point
    bias = np.abs(node.weights["bias"] / unit).reshape(-1)
    largest = np.abs(codes - zero).sum(axis=(0, 1, 2)) * 255 + bias
    top = LIMITS["int32"][1]
    return (top * unit).astype(np.float32) if (largest > top).any() else None
