"""The engine of the works, simulated: 8 bits as TensorFlow 1.15's Graph Transform Tool makes them.

Yun & Wong, Yun's thesis and Sheng et al. quantized with this tool, not with TFLite. Read in
`tensorflow/tools/graph_transforms/` of TensorFlow 1.15; how its kernels round is in `toolrounding`.
A layer of a folded network, convolution, bias and ReLU, runs there as

    codes --QuantizedConv2D--> sums --Requantize--> codes --QuantizedBiasAdd--> sums
          --Requantize--> codes --QuantizedRelu--> codes

and every way in which that differs from TFLite's integer kernels is a switch, one of
`schemes.DEVIATIONS`:

    bias_8bit              biases are rounded to 8 bits over [min(0, b), max(0, b)]
    ranges_before_relu     an output's range is that of the values before the ReLU, so that codes
                           below 0 are never used
    requantize_before_bias sums are rounded to 8 bits once more, before the bias is added
    bias_add_offset        QuantizedBiasAdd takes the offset of its 32-bit codes in float32, where
                           it comes out right or 128 codes too high, for both operands: then sums
                           are 1/64 of the larger range too low, about three 8-bit codes
    unnudged_zero          Requantize puts its range's lower end on code 0, wherever that leaves 0;
                           what reads the codes takes the nearest code for 0
    float_depthwise        depthwise convolutions run in floats, on kernels in 8 bits
    float_others           so do ops that `quantize_nodes` does not list: additions, means, softmax
    minimum_size           arrays of fewer than 1,024 numbers stay floats: small depthwise kernels

With none of them the simulation rounds where TFLite rounds. Rounding points that the tool leaves to
the batch (`QuantizeV2` with Min and Max in the graph: the image, what a depthwise convolution or an
addition gives) have calibrated ranges here, so that no figure depends on the batch's size; and all
ranges are of fp32 activations. Grouped convolutions have one range for all groups.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfqdyn.network.graph import Graph, LayerNode, Node
from tfqdyn.numerics.grid import RealGrid
from tfqdyn.quantization.calibration import SiteRange
from tfqdyn.quantization.deployed import FLOATS, Format, Run
from tfqdyn.quantization.fakequant import compute, kernel_of
from tfqdyn.quantization.stepwise import Step, run_of, steps_of
from tfqdyn.quantization.toolrounding import LEVELS, Rounding, bias_shift, constant, dynamic, frozen
from tfqdyn.results import KernelGrid
from tfqdyn.schemes import DEVIATIONS

MINIMUM_SIZE = 1024
"""Numbers in the smallest array that `quantize_weights` stores in 8 bits."""
INTEGER_OPS = ("conv", "dense", "multiply", "relu")
"""Ops that `quantize_nodes` lists, by our names; it lists those that inherit grids, too."""


@dataclass(frozen=True)
class Points:
    """Names of the sites where a row's values are rounded on their way.

    `before_relu` is `output` where there is no ReLU, `before_bias`, of the bare sums, None where
    nothing is added.
    """

    output: str
    before_relu: str
    before_bias: str | None


def points_of(graph: Graph, row: LayerNode) -> Points:
    """The rounding points of a row of a folded graph."""
    biased = _bias(graph.by_name[row.name]) is not None
    return Points(
        row.name,
        row.name if row.output == row.name else f"{row.name}/before_relu",
        f"{row.name}/before_bias" if biased else None,
    )


class Watched:
    """The sites that calibration observes: the inputs and every rounding point.

    Attributes:
        names: of the sites.
        nodes: whose fp32 values they are made of.
    """

    def __init__(self, graph: Graph) -> None:
        self._taken: dict[str, tuple[str, NDArray | None]] = {
            name: (name, None) for name in graph.inputs
        }
        for row in graph.rows:
            points = points_of(graph, row)
            self._taken[points.output] = row.output, None
            self._taken.setdefault(points.before_relu, (row.name, None))
            if points.before_bias is not None:
                self._taken[points.before_bias] = row.name, _bias(graph.by_name[row.name])
        self.names = tuple(self._taken)
        self.nodes = tuple(dict.fromkeys(node for node, _ in self._taken.values()))

    def __call__(self, values: Mapping[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """The sites' values from those of the nodes, each [N, ...]."""
        return [
            values[node] if bias is None else values[node] - bias
            for node, bias in self._taken.values()
        ]


@dataclass(frozen=True, eq=False)
class Plan:
    """How a row runs.

    Attributes:
        integer: whether its op reads codes.
        sums: rounds the bare sums before the bias is added; None for sums that are not rounded.
        bias: what is added, as it is rounded and with its `bias_shift`; None for nothing.
        output: rounds before the ReLU; None for a row that hands on floats.
        read: how integer ops read these.
    """

    integer: bool
    sums: Rounding | None
    bias: NDArray[np.float32] | None
    output: Rounding | None
    read: Rounding


@dataclass(frozen=True, eq=False)
class Transformed:
    """A network as the tool leaves it; what `deployed.Deployed` asks of it.

    Attributes:
        graph: the folded graph, kernels as the engine sees them, without biases.
        images: rounds the inputs, by name.
        plans: of every row, by name.
        rows: all rows.
        formats: how each is held, by name.
        size: bytes of its constants.
        notes: that, and how, this is simulated.
    """

    graph: Graph
    images: Mapping[str, Rounding]
    plans: Mapping[str, Plan]
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
        """Where a row's values lie; None for rows that hand on floats."""
        output = self.plans[row].output
        if output is None:
            return None
        low, high = output.ends
        return RealGrid(low, high, (high - low) / LEVELS)

    def format(self, row: str) -> Format:
        """Bits of a row's output and of its kernel."""
        return self.formats[row]

    def runner(self, chunk: int) -> Run:
        """TensorFlow, in fp32."""
        return run_of(partial(_values, self), self.graph, chunk)


def transform(
    graph: Graph, sites: Mapping[str, SiteRange], deviations: Collection[str] = tuple(DEVIATIONS)
) -> Transformed:
    """Rounds a folded graph's constants and plans where its activations are rounded.

    Args:
        graph: a folded graph.
        sites: calibrated ranges of `Watched.names`.
        deviations: of `schemes.DEVIATIONS`, those in force.
    """
    on = frozenset(deviations)
    minimum = MINIMUM_SIZE if "minimum_size" in on else 0
    images = {name: dynamic(sites[name].low, sites[name].high) for name in graph.inputs}
    read = dict(images)
    nodes = {node.name: node for node in graph}
    plans, formats, size = {}, {}, 0
    rows = graph.rows
    for row in rows:
        node = graph.by_name[row.name]
        before = read[row.producers[0]]
        plan = _plan(node, points_of(graph, row), sites, on, minimum, before)
        plans[row.name], read[row.name] = plan, plan.output or plan.read
        bits = kernel = None
        if node.traits.has_kernel:
            if plan.integer or kernel_of(node).size >= minimum:
                bits, kernel = 8, constant(kernel_of(node), minimum)
            nodes[row.name] = _with_constants(node, kernel)
            size += sum(w.size * (1 if w.size >= minimum else 4) for w in node.weights.values())
        formats[row.name] = _format(row, plan.output, bits, kernel)
    made = replace(graph, nodes=tuple(nodes.values()))
    return Transformed(made, images, plans, rows, formats, size, (describe(on),))


def _plan(
    node: Node,
    points: Points,
    sites: Mapping[str, SiteRange],
    on: frozenset[str],
    minimum: int,
    before: Rounding,
) -> Plan:
    """A row's plan; `before` rounds what it reads."""
    site = sites[points.before_relu if "ranges_before_relu" in on else points.output]
    low, high = node.traits.fixed_range or (site.low, site.high)
    unnudged = "unnudged_zero" in on
    in_floats = "float_depthwise" if node.op == "depthwise" else "float_others"
    listed = node.op in INTEGER_OPS or node.traits.inherits
    integer = listed or in_floats not in on
    bias = _bias(node)
    sums = None
    if bias is not None:
        bare = sites[points.before_bias or points.output]
        codes = frozen(bare.low, bare.high, unnudged) if integer else dynamic(bare.low, bare.high)
        sums = codes if "requantize_before_bias" in on else None
        grid = constant(bias, minimum)
        bias = grid(tf.constant(bias)).numpy() if "bias_8bit" in on else bias
        if "bias_add_offset" in on:
            bias = bias + np.float32(bias_shift(codes, grid))
    inherits = node.traits.inherits or (node.op == "relu" and "ranges_before_relu" in on)
    output: Rounding | None = None
    if inherits:
        output = replace(before, unnudged=False)
    elif integer or bias is not None:
        output = frozen(low, high, unnudged)
    elif points.before_relu != points.output:
        output = dynamic(low, high)
    return Plan(integer, sums, bias, output, dynamic(low, high))


def _format(
    row: LayerNode, output: Rounding | None, bits: int | None, kernel: Rounding | None
) -> Format:
    if output is None:
        return Format(FLOATS, KernelGrid(FLOATS, (), ()) if row.has_kernel else None)
    if bits is None:
        return Format(FLOATS, activation_bits=8)
    steps = () if kernel is None else (kernel.step,)
    zeros = () if kernel is None else (int(kernel.zero),)
    return Format(FLOATS, KernelGrid(FLOATS, steps, zeros), bits, 8)


def _bias(node: Node) -> NDArray[np.float32] | None:
    """What a BiasAdd adds; None where there is nothing to add."""
    if not node.traits.has_kernel:
        return None
    bias = np.asarray(node.weights["bias"], np.float32)
    return bias if bias.any() else None


def _with_constants(node: Node, kernel: Rounding | None) -> Node:
    """A layer with its kernel on a grid, if there is one, and without its bias."""
    values, zeros = kernel_of(node), np.zeros_like(node.weights["bias"])
    held = values if kernel is None else kernel(tf.constant(values)).numpy()
    return replace(node, weights={**node.weights, "kernel": held, "bias": zeros})


def describe(deviations: Collection[str]) -> str:
    """The remark that such an analysis carries."""
    on = ", ".join(name for name in DEVIATIONS if name in deviations)
    off = ", ".join(name for name in DEVIATIONS if name not in deviations)
    return (
        "SIMULATED in fp32 arithmetic, no .tflite file: TensorFlow 1.15's Graph Transform Tool "
        f"with {on or 'none of its deviations from TFLite'}{f'; without {off}' if off else ''}."
    )


def _values(transformed: Transformed, inputs: Mapping[str, tf.Tensor]) -> list[tf.Tensor]:
    """fp32 values of every row, then the outputs, for the network's inputs, [N, ...] each."""
    graph, plans = transformed.graph, transformed.plans
    values = {name: transformed.images[name](array) for name, array in inputs.items()}
    floats: dict[str, Rounding] = {}  # how integer ops read values that are not rounded
    rows = []
    for step in steps_of(graph):
        names, end = step.node.inputs, step.relu.name if step.relu else step.node.name
        if step.row is None:
            values[end] = compute(step.node, [values[name] for name in names])
            if names[0] in floats:
                floats[end] = floats[names[0]]
            continue
        plan = plans[step.row.name]
        read = [
            floats[name](values[name]) if plan.integer and name in floats else values[name]
            for name in names
        ]
        values[end] = _computed(step, plan, read)
        if plan.output is None:
            floats[end] = plan.read
        rows.append(values[end])
    return [*rows, *(values[name] for name in graph.outputs)]


def _computed(step: Step, plan: Plan, inputs: list[tf.Tensor]) -> tf.Tensor:
    value = compute(step.node, inputs)
    if plan.sums is not None:
        value = plan.sums(value)
    if plan.bias is not None:
        value += plan.bias
    if plan.output is None:
        return value
    value = plan.output(value)
    return value if step.relu is None else plan.output.relu(value, step.relu.config["max_value"])
