"""AdaRound: whether each weight goes up or down is learned, layer by layer, from a few images.

Nagel et al. 2020, "Up or Down? Adaptive Rounding for Post-Training Quantization": minimize

    || W x - W~ x_q ||^2 + lambda * sum(1 - |2 h(V) - 1|^beta)                       (Eq. 21, 25)
    W~ = s * clip(floor(W / s) + h(V), n, p),  h(V) = clip(1.2 sigmoid(V) - 0.1, 0, 1)  (Eq. 22, 23)

over V, x in fp32 and x_q from the already quantized layers before, beta falling from 20 to 2 in
even numbers. The activation function is left out of the norm, so the loss is a quadratic form in W~
whose matrices, the covariances E[x_q x_q'] and E[x_q x'], are summed once over images and
positions; a step of the descent then reads no images at all. Means are left to the bias, which is
set so that every channel's mean is that of fp32 (as `bias_correction` does).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tfqdyn.network.folding import Folded
from tfqdyn.network.graph import Graph, Node
from tfqdyn.numerics.compilation import compiled
from tfqdyn.numerics.grid import LIMITS, QuantParams, quantize
from tfqdyn.numerics.layouts import grouped, joined
from tfqdyn.quantization.fakequant import kernel_params
from tfqdyn.quantization.stepwise import Step, StepwiseNetwork, channel_means, steps_of
from tfqdyn.remedies.bias_correction import shifted
from tfqdyn.remedies.images import CalibrationImages
from tfqdyn.remedies.record import Change, Remedied

SAMPLES_PER_TAP = 2.0
"""Layers with fewer positions than this per weight of a channel keep the nearest codes."""
MOST_POSITIONS = 16384
"""Positions of a layer that its covariances are taken over, at most; drawn over all images."""


@dataclass(frozen=True)
class Schedule:
    """How rounding is learned.

    The loss of a step is in squared steps of the grid over the mean power of an input, hence a
    larger weight of the regularizer than the paper's 0.01.
    """

    steps: int = 200
    rate: float = 0.03
    regularization: float = 0.3
    first_beta: int = 20
    last_beta: int = 2
    warm_up: float = 0.2
    damping: float = 0.01


DEFAULT = Schedule()
DRAFT = Schedule(steps=60, rate=0.06)


def adaround(
    folded: Folded, images: CalibrationImages, schedule: Schedule | None = None
) -> Remedied:
    """Learned rounding of every kernel, sequential, on unlabeled images.

    Args:
        folded: a folded network; its kernels' ranges are kept.
        images: those whose layer outputs are matched.
        schedule: of the descent; a short one by default where the images are for a draft.
    """
    schedule = schedule or (DRAFT if images.draft else DEFAULT)
    graph = folded.deployed
    quantized = {name: dict(weights) for name, weights in folded.quantized.items()}
    stepped = StepwiseNetwork(
        graph, images.params(folded), images.chunks(graph), folded.float_layers
    )
    everything = [node.name for node in graph]
    exact = StepwiseNetwork(folded.graph, {}, images.chunks(graph), everything)
    changes: list[Change] = []
    skipped: list[str] = []
    steps = steps_of(graph)
    for step in images.progress(steps, "learn rounding", len(steps)):
        node, wanted = step.node, folded.graph.by_name[step.node.name]
        if node.traits.remedied and not node.shared and node.name not in folded.float_layers:
            moments = _moments(node, stepped, exact, wanted)
            if moments.count < SAMPLES_PER_TAP * moments.taps:
                skipped.append(node.name)
            elif wanted.weights["kernel"].any():
                node, made = _rounded(node, wanted, moments, schedule, images.dtype)
                changes += made
            mean = channel_means(exact.before_activation(wanted, quantized=False))
            node, made = shifted(node, mean - channel_means(stepped.before_activation(node)))
            changes += made
            quantized[node.name] = {**quantized.get(node.name, {}), **_new(node, step.node)}
        stepped.advance(step, node)
        exact.advance(replace_step(step, folded.graph))
    notes = (f"Too few positions to learn from: {', '.join(skipped)}.",) if skipped else ()
    cured = replace(folded, quantized=quantized)
    measured = {"images": len(images.indices), "steps": schedule.steps}
    return Remedied(cured, "adaround", tuple(changes), measured, notes)


def replace_step(step: Step, graph: Graph) -> Step:
    """The same step with the node of another graph of the same structure."""
    return replace(step, node=graph.by_name[step.node.name])


def _new(node: Node, before: Node) -> dict[str, NDArray]:
    return {
        role: array for role, array in node.weights.items() if array is not before.weights[role]
    }


@dataclass(frozen=True, eq=False)
class Moments:
    """Covariances of what a layer reads, by group of channels, over a sample of positions.

    Attributes:
        count: positions.
        own: covariance of the quantized input, [G, taps, taps].
        cross: covariance of quantized with fp32 input, [G, taps, taps].
    """

    count: int
    own: NDArray[np.float64]
    cross: NDArray[np.float64]

    @property
    def taps(self) -> int:
        """Weights of one output channel."""
        return self.own.shape[1]


def _moments(node: Node, stepped: StepwiseNetwork, exact: StepwiseNetwork, wanted: Node) -> Moments:
    generator = np.random.default_rng(0)
    count = 0
    sums: list[NDArray] = []
    positions = int(np.prod(node.output_shape[:-1]))
    read, meant = stepped.stored(node.inputs[0]), exact.stored(wanted.inputs[0])
    for x_q, x in zip(read.chunks, meant.chunks, strict=True):
        share = min(1.0, MOST_POSITIONS / (positions * stepped.images))
        of_chunk = positions * len(x)
        chosen = generator.choice(of_chunk, max(1, round(share * of_chunk)), replace=False)
        a = read.values(_patches(node, x_q, chosen, read.zero))  # [G, P, taps]
        b = _patches(node, x, chosen, meant.zero)
        count += len(chosen)
        turned = a.transpose(0, 2, 1)
        new = [a.sum(axis=1), b.sum(axis=1), turned @ a, turned @ b]
        new = [n.astype(np.float64) for n in new]
        sums = [s + n for s, n in zip(sums, new, strict=True)] if sums else new
    mean, exact_mean, own, cross = (s / count for s in sums)
    centre = mean[:, :, None]
    return Moments(count, own - centre * mean[:, None], cross - centre * exact_mean[:, None])


def _patches(node: Node, x: NDArray, chosen: NDArray[np.int64], zero: int) -> NDArray:
    """What the layer's kernel sees at some positions, [groups, positions, taps of a group].

    Args:
        node: the layer.
        x: what it reads, [N, ..., C].
        chosen: indices of positions among N x height x width of its output.
        zero: what stands for 0 in x.
    """
    if node.op == "dense":
        return x.reshape(1, -1, x.shape[-1])[:, chosen]
    groups, (height, width) = node.groups, node.kernel.shape[:2]
    image, *place = np.unravel_index(chosen, (len(x), *node.output_shape[:2]))
    row, column = (_taps(node, axis, place[axis], x.shape[1 + axis]) for axis in (0, 1))
    row, column = row[:, :, None], column[:, None]  # [P, height, 1], [P, 1, width]
    flat = x[image[:, None, None], row, column]
    flat[(row < 0) | (column < 0)] = zero
    split = flat.reshape(len(chosen), height * width, groups, x.shape[-1] // groups)
    return np.ascontiguousarray(split.transpose(2, 0, 1, 3)).reshape(groups, len(chosen), -1)


def _taps(node: Node, axis: int, places: NDArray, size: int) -> NDArray[np.int64]:
    """Where along an axis the kernel reads for output places [P], [P, taps]; -1 for padding."""
    stride, dilation = (node.config[name][axis] for name in ("strides", "dilation"))
    taps = np.arange(node.kernel.shape[axis]) * dilation
    missing = (node.output_shape[axis] - 1) * stride + taps[-1] + 1 - size
    before = max(0, missing) // 2 if node.config["padding"] == "same" else 0
    found = places[:, None] * stride + taps - before
    return np.where((found >= 0) & (found < size), found, -1)


def _by_group(node: Node, kernel: NDArray) -> NDArray:
    """A kernel [H, W, I, K] as [groups, taps, output channels of a group]."""
    return grouped(kernel, node.groups).reshape(node.groups, kernel[..., 0].size, -1)


def _rounded(
    node: Node, wanted: Node, moments: Moments, schedule: Schedule, dtype: str
) -> tuple[Node, list[Change]]:
    """The layer with learned codes, where they are better than the nearest ones."""
    params = kernel_params(node, dtype)
    grid = CodeGrid.of(params, node.groups)
    target = _by_group(node, wanted.kernel.astype(np.float64))
    start = _by_group(node, quantize(node.kernel, params))
    learned = _learn(target, start, grid, moments, schedule)
    before = _loss(grid.values(start), target, moments)
    after = _loss(grid.values(learned), target, moments)
    codes = np.where((after < before)[:, None, :], learned, start)
    shape = (node.groups, *node.kernel.shape[:3], -1)
    made = node.with_kernel(joined(grid.values(codes).reshape(shape)))
    flipped = (codes != start).sum(axis=1).reshape(-1)
    changes = [
        Change(node.name, int(c), "codes moved", 0.0, float(flipped[c]))
        for c in np.flatnonzero(flipped)
    ]
    return made, changes


@dataclass(frozen=True, eq=False)
class CodeGrid:
    """Parameters of a kernel as [groups, taps, output channels of a group].

    Attributes:
        scale, zero: [1, 1, 1], or [G, 1, K] where every channel has its own.
        low, high: the codes that may be learned; int8 kernels are symmetric.
    """

    scale: NDArray[np.float64]
    zero: NDArray[np.int64]
    low: int
    high: int

    @classmethod
    def of(cls, params: QuantParams, groups: int) -> "CodeGrid":
        """The grid of parameters of a tensor, or of its output channels [K]."""
        shape = (1, 1, 1) if params.axis is None else (groups, 1, -1)
        low, high = LIMITS[params.dtype]
        low = low if params.axis is None else -high
        return cls(params.scale.reshape(shape), params.zero_point.reshape(shape), low, high)

    def values(self, codes: NDArray) -> NDArray[np.float64]:
        """Real values of codes [G, taps, K]."""
        return self.scale * (codes.astype(np.int64) - self.zero).astype(np.float64)


def _loss(candidate: NDArray, target: NDArray, moments: Moments) -> NDArray[np.float64]:
    """E (W~ x_q - W x)^2 less its part that no W~ changes, centred, for every channel [G, K]."""
    quadratic = (candidate * (moments.own @ candidate)).sum(axis=1)
    return quadratic - 2 * (candidate * (moments.cross @ target)).sum(axis=1)


def _learn(
    target: NDArray, start: NDArray, grid: CodeGrid, moments: Moments, schedule: Schedule
) -> NDArray:
    """Codes [G, taps, K] that minimize the quadratic loss, by Adam on V."""
    scale, zero = grid.scale, grid.zero.astype(np.float64)
    place = np.ascontiguousarray(target) / scale + zero  # what is learned is changed in place
    floor = np.clip(np.floor(place), grid.low, grid.high - 1)
    share = np.clip(place - floor, 0.001, 0.999).astype(np.float32)
    frozen = (start == grid.low) | (start == grid.high)  # they hold the range in place
    own, cross, taps = moments.own, moments.cross, moments.taps
    power = np.trace(own, axis1=-2, axis2=-1)[..., None, None] / taps
    power = np.maximum(power, 1e-12)
    damped = (own / power + schedule.damping * np.eye(taps)).astype(np.float32)
    # the gradient of the loss at step units: own (floor + h - zero) - cross W / scale
    base = floor - zero
    pull = (own @ base - cross @ (target / scale)) / power + schedule.damping * (
        base - target / scale
    )
    pull = pull.astype(np.float32)
    v = -np.log(1.2 / (share + 0.1) - 1).astype(np.float32)
    h = share.copy()
    running = [np.zeros_like(v), np.zeros_like(v)]
    for step, half_beta, weight in _annealed(schedule):
        gradient = damped @ h + pull
        unbias = (1 / (1 - 0.9**step), 1 / (1 - 0.999**step))
        _rounding_step(
            v.reshape(-1), h.reshape(-1), gradient.reshape(-1),
            running[0].reshape(-1), running[1].reshape(-1),
            half_beta, weight, schedule.rate, unbias,
        )  # fmt: skip
    codes = floor + (v >= 0)
    return np.where(frozen, start, np.clip(codes, grid.low, grid.high)).astype(start.dtype)


def _annealed(schedule: Schedule) -> Iterator[tuple[int, int, float]]:
    """For every step its number from 1, half of beta (an integer), and the regularizer's weight."""
    begin = schedule.warm_up * schedule.steps
    for step in range(1, schedule.steps + 1):
        progress = (step - begin) / (schedule.steps - begin)
        if progress < 0:
            yield step, schedule.first_beta // 2, 0.0
            continue
        falling = 0.5 * (1 + np.cos(np.pi * progress))
        beta = schedule.last_beta + (schedule.first_beta - schedule.last_beta) * falling
        yield step, max(1, round(beta / 2)), schedule.regularization


@compiled(nogil=True, error_model="numpy", fastmath={"contract", "arcp", "reassoc"})
def _rounding_step(v, h, gradient, first, second, half_beta, weight, rate, unbias):
    """One step of Adam on AdaRound's V; all arrays [M] float32, changed in place.

    Args:
        v: what is learned.
        h: h(V) = clip(1.2 sigmoid(V) - 0.1, 0, 1), brought up to date.
        gradient: of the loss by h.
        first, second: Adam's running moments.
        half_beta: half of the regularizer's even exponent beta; its gradient by h is
            -2 beta (2 h - 1)^(beta - 1).
        weight: of the regularizer.
        rate: the learning rate.
        unbias: what the two moments are multiplied with.
    """
    one, edge, stretch = np.float32(1), np.float32(0.1), np.float32(1.2)
    rate, weight = np.float32(rate), np.float32(weight * 4 * half_beta)
    a, b = np.float32(0.9), np.float32(0.999)
    u1, u2, tiny = np.float32(unbias[0]), np.float32(unbias[1]), np.float32(1e-8)
    for i in range(v.size):
        sigmoid = one / (one + np.exp(-v[i]))
        c = h[i] + h[i] - one
        square, power, left = c * c, c, half_beta - 1
        while left > 0:
            if left & 1:
                power *= square
            square *= square
            left >>= 1
        g = (gradient[i] - weight * power) * stretch * sigmoid * (one - sigmoid)
        first[i] = a * first[i] + (one - a) * g
        second[i] = b * second[i] + (one - b) * g * g
        v[i] -= rate * first[i] * u1 / (np.sqrt(second[i] * u2) + tiny)
        sigmoid = one / (one + np.exp(-v[i]))
        h[i] = min(max(stretch * sigmoid - edge, np.float32(0)), one)
