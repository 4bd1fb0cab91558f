"""Quantization to 2 to 16 bits by simulation: rounded values in fp32 arithmetic, no file.

Kernels, the input and every row's output are rounded to asymmetric grids that hold 0 exactly, as
`fakequant` places them; sums and biases stay in fp32, which is where 8 bits by simulation differ
from true uint8. Widths of kernels and of outputs are given separately, each per tensor (raw extrema
of the kernel, calibrated range of the output) or per output channel. The image keeps 8 bits at
least, and so do outputs of a range that TFLite fixes (softmax, sigmoid, tanh: lookup tables).
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfqdyn.network.graph import Graph, LayerNode, Node
from tfqdyn.numerics.grid import RealGrid, spanning
from tfqdyn.quantization.calibration import SiteRange
from tfqdyn.quantization.deployed import FLOATS, Format, Run
from tfqdyn.quantization.fakequant import (
    compute,
    on_grid,
)
from tfqdyn.quantization.stepwise import Step, run_of, steps_of
from tfqdyn.quantization.widths import bits_of, mean_bits
from tfqdyn.results import KernelGrid
from tfqdyn.schemes import TENSORS, BitWidths

FLOAT_BITS = 32


def describe(graph: Graph, widths: BitWidths) -> str:
    """The remark that a simulated analysis carries."""
    forms = ["per channel" if name in widths.per_channel else "per tensor" for name in TENSORS]
    mean = mean_bits(graph, widths)
    mixed = f"; depthwise layers gain {widths.extra} bits" if widths.extra else ""
    return (
        f"SIMULATED in fp32 arithmetic, no .tflite file: {widths.weights}-bit weights {forms[0]}, "
        f"{widths.activations}-bit activations {forms[1]}{mixed}; on average "
        f"{mean['per_weight']:.2f} bits a weight, {mean['per_mac']:.2f} a multiplication."
    )


@dataclass(frozen=True, eq=False)
class Grid:
    """A grid's ends, scalars or one a channel [C], and its bits."""

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    bits: int

    def round(self, values: tf.Tensor) -> tf.Tensor:
        """The nearest values of the grid; channels are the last axis."""
        if not self.low.ndim:
            return tf.quantization.fake_quant_with_min_max_args(
                values, float(self.low), float(self.high), self.bits
            )
        flat = tf.reshape(values, (-1, self.low.size))
        rounded = tf.quantization.fake_quant_with_min_max_vars_per_channel(
            flat, self.low, self.high, self.bits
        )
        return tf.reshape(rounded, tf.shape(values))

    @property
    def ends(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Smallest and largest values: the range's ends, moved so that 0 is one of the grid's."""
        lows = -np.floor(-self.low / self.steps + 0.5) * self.steps
        return lows, lows + self.steps * (2**self.bits - 1)

    def round_pixels(self, images: tf.Tensor) -> tf.Tensor:
        """Images on the grid of their one range, as a file's input rounds them."""
        scale = float(np.float32(self.steps[0]))
        zero_point = math.floor(-float(self.low) / scale + 0.5)
        return on_grid(images, scale, zero_point, 2**self.bits - 1)

    @property
    def steps(self) -> NDArray[np.float64]:
        """Distances of neighbouring values, one a grid."""
        return np.atleast_1d(np.subtract(self.high, self.low, dtype=np.float64)) / (
            2**self.bits - 1
        )


def grid(low: NDArray | float, high: NDArray | float, bits: int) -> Grid:
    """A grid over ranges, widened as `numerics.grid.spanning` widens them."""
    first, last = spanning(np.asarray(low, np.float32), np.asarray(high, np.float32))
    return Grid(np.asarray(first, np.float32), np.asarray(last, np.float32), bits)


@dataclass(frozen=True, eq=False)
class Simulated:
    """A simulated network; what `deployed.Deployed` asks of it.

    Attributes:
        graph: its kernels are rounded already.
        grids: of the inputs and of what every row hands on, by name.
        float_layers: rows that compute in fp32.
        rows: all rows.
        formats: how each is held, by name.
        size: bytes that weights of these widths and int32 biases take.
        notes: that, and how, all this is simulated.
    """

    graph: Graph
    grids: Mapping[str, Grid]
    float_layers: frozenset[str]
    rows: tuple[LayerNode, ...]
    formats: Mapping[str, Format]
    size: int
    notes: tuple[str, ...]
    unpaired: Mapping[str, str] = field(default_factory=dict)
    ties: int = 0
    file: None = None

    @property
    def output_grids(self) -> tuple[None, ...]:
        """Outputs are real numbers."""
        return (None,) * len(self.graph.outputs)

    def grid(self, row: str) -> RealGrid | None:
        """Where a row's values lie; None for rows in fp32."""
        if row in self.float_layers:
            return None
        found = self.grids[row]
        lows, highs = (float(end) for end in (found.ends[0].min(), found.ends[1].max()))
        return RealGrid(lows, highs, (highs - lows) / (2**found.bits - 1))

    def format(self, row: str) -> Format:
        """Bits of a row's output and of its kernel."""
        return self.formats[row]

    def runner(self, chunk: int) -> Run:
        """TensorFlow, in fp32."""
        return run_of(partial(_values, self), self.graph, chunk)


def simulate(
    graph: Graph,
    sites: Mapping[str, SiteRange],
    widths: BitWidths,
    float_layers: Collection[str] = (),
) -> Simulated:
    """Rounds a folded graph's kernels and plans where its activations are rounded.

    Args:
        graph: a folded graph.
        sites: calibrated ranges of the inputs and of every row, by name.
        widths: how finely to round.
        float_layers: rows that compute and give fp32 values; rows that are none of these read
            them rounded, as behind a float row of a file.
    """
    rows = graph.rows
    grids = {
        name: grid(sites[name].low, sites[name].high, max(8, widths.activations))
        for name in graph.inputs
    }
    for row in rows:
        node, before = graph.by_name[row.name], row.producers[0]
        own = _output_grid(node, sites[row.name], widths)
        grids[row.name] = grids[before] if node.traits.inherits else own
    floats = frozenset(float_layers)
    nodes = [n if n.name in floats else _with_rounded_kernel(n, widths) for n in graph]
    formats = {
        row.name: _float_format(row) if row.name in floats else _format(graph, row, grids, widths)
        for row in rows
    }
    bits = sum(
        (FLOAT_BITS if node.name in floats else _kernel_bits(node, widths)) * node.kernel.size
        for node in graph
        if node.traits.has_kernel
    )
    biases = sum(4 * w.size for n in graph for r, w in n.weights.items() if r == "bias")
    size = math.ceil(bits / 8) + biases
    rounded = replace(graph, nodes=tuple(nodes))
    return Simulated(rounded, grids, floats, rows, formats, size, (describe(graph, widths),))


def _output_grid(node: Node, site: SiteRange, widths: BitWidths) -> Grid:
    bits = _output_bits(node, widths)
    if node.traits.fixed_range:
        low, high = node.traits.fixed_range  # of 8 bits; their end, which no code reaches, stays
        end = high + (high - low) / 255
        return grid(low, end - (end - low) * 2.0**-bits, bits)
    if "activations" in widths.per_channel:
        return grid(site.channel_low, site.channel_high, bits)
    return grid(site.low, site.high, bits)


def _kernel_bits(node: Node, widths: BitWidths) -> int:
    return bits_of(node, widths)[0] if node.traits.numbered else widths.weights


def _output_bits(node: Node, widths: BitWidths) -> int:
    if node.traits.fixed_range:
        return max(8, widths.activations)
    return bits_of(node, widths)[1] if node.traits.numbered else widths.activations


def _with_rounded_kernel(node: Node, widths: BitWidths) -> Node:
    if not node.traits.has_kernel:
        return node
    return node.with_kernel(_kernel_grid(node, widths).round(tf.constant(node.kernel)).numpy())


def _kernel_grid(node: Node, widths: BitWidths) -> Grid:
    """The grid of a kernel, or one for every output channel."""
    kernel, bits = node.kernel, _kernel_bits(node, widths)
    if "weights" not in widths.per_channel:
        return grid(kernel.min(), kernel.max(), bits)
    return grid(kernel.min(axis=(0, 1, 2)), kernel.max(axis=(0, 1, 2)), bits)


def _float_format(row: LayerNode) -> Format:
    return Format(FLOATS, KernelGrid(FLOATS, (), ()) if row.has_kernel else None)


def _format(graph: Graph, row: LayerNode, grids: Mapping[str, Grid], widths: BitWidths) -> Format:
    node, bits = graph.by_name[row.name], grids[row.name].bits
    if not node.traits.has_kernel:
        return Format(FLOATS, activation_bits=bits)
    kernel = _kernel_grid(node, widths)
    zero_points = np.rint(-kernel.low / kernel.steps).astype(int)
    stored = KernelGrid(FLOATS, tuple(kernel.steps.tolist()), tuple(zero_points.tolist()))
    return Format(FLOATS, stored, kernel.bits, bits)


def _values(simulated: Simulated, inputs: Mapping[str, tf.Tensor]) -> list[tf.Tensor]:
    """fp32 values of every row, then the outputs, for the network's inputs, [N, ...] each."""
    graph, grids = simulated.graph, simulated.grids
    values = {name: grids[name].round_pixels(array) for name, array in inputs.items()}
    exact: dict[str, tf.Tensor] = {}  # fp32 values of float rows, for the float rows after them
    rows = []
    for step in steps_of(graph):
        names = step.node.inputs
        end = step.relu.name if step.relu else step.node.name
        if step.row is None:
            values[end] = _computed(step, [values[name] for name in names])
            if names[0] in exact:
                exact[end] = _computed(step, [exact[names[0]]])
        elif step.row.name in simulated.float_layers:
            exact[end] = _computed(step, [exact.get(name, values[name]) for name in names])
            values[end] = grids[step.row.name].round(exact[end])
            rows.append(exact[end])
        else:
            computed = _computed(step, [values[name] for name in names])
            values[end] = grids[step.row.name].round(computed)
            rows.append(values[end])
    return [*rows, *(values[name] for name in graph.outputs)]


def _computed(step: Step, inputs: list[tf.Tensor]) -> tf.Tensor:
    value = compute(step.node, inputs)
    return value if step.relu is None else compute(step.relu, [value])
