"""Two steps of two files held against each other: their form, their weights, and how they end."""

from collections.abc import Sequence

import numpy as np

from tfqdyn.filepair.constants import UNLIKE, Likeness, compare, compare_values, is_weights
from tfqdyn.filepair.flow import BETWEEN, MOVERS, RECTIFIERS, Flow
from tfqdyn.filepair.folding import affine_chains, bias_of, common_kernel
from tfqdyn.numerics.layouts import STORED
from tfqdyn.tflite.file import INDICES, Operator
from tfqdyn.tflite.readings import offsets_apart

FAMILIES = {
    **dict.fromkeys((*STORED, "BATCH_MATMUL"), "kernel"),
    "AVERAGE_POOL_2D": "mean",
    "MEAN": "mean",
    "MAX_POOL_2D": "maximum",
    "REDUCE_MAX": "maximum",
}
"""Kinds that can compute the same, by what that is; a kind that is missing is alone."""
SELECTING = ("GATHER", "GATHER_ND", *MOVERS, "SPLIT", "SPLIT_V", "UNPACK")
"""Kinds whose constant indices say which numbers they take."""


class Steps:
    """Compares steps of a float file with those of a quantized one."""

    def __init__(self, reference: Flow, quantized: Flow) -> None:
        self.a, self.b = reference, quantized
        self._likeness: dict[tuple[int, int], Likeness] = {}
        self._direct: dict[tuple[int, int], bool] = {}

    def agree(self, step: Operator, other: Operator) -> bool:
        """Whether a step's constants are another's, and both end alike."""
        return (
            self.same_form(step, other)
            and self.weights(step, other).same
            and self.ends(step, other) is not None
        )

    def same_form(self, step: Operator, other: Operator) -> bool:
        """Whether two steps of one family do the same but for their weights."""
        if len(step.outputs) != len(other.outputs):
            return False
        if step.kind != other.kind:
            return True
        if step.window != other.window:
            return False
        if step.kind not in SELECTING:
            return True
        first, second = self.a.constants(step), self.b.constants(other)
        for position in first.keys() & second.keys():
            x, y = first[position], second[position]
            counts = x.dtype in INDICES and x.params is None
            if counts and not np.array_equal(np.asarray(x.data), np.asarray(y.data)):
                return False
        return True

    def weights(self, step: Operator, other: Operator) -> Likeness:
        """The least alike of two steps' weights; all alike where they have none."""
        key = step.index, other.index
        if key not in self._likeness:
            self._likeness[key] = self._compared(step, other)
        return self._likeness[key]

    def _compared(self, step: Operator, other: Operator) -> Likeness:
        first, second = (
            {p: t for p, t in flow.constants(op).items() if is_weights(op, p, t)}
            for flow, op in ((self.a, step), (self.b, other))
        )
        if not first and not second:
            return Likeness(0.0, 0.0, True)
        if step.kind == other.kind and first.keys() == second.keys():
            found = [compare(first[p], second[p]) for p in first]
            worst = max(found, key=lambda like: (like.beyond, like.distance))
            self._direct[step.index, other.index] = worst.same
            if worst.same or family(step) != "kernel":
                return worst
        return self._folded(step, other)[0]

    def _folded(
        self, step: Operator, other: Operator
    ) -> tuple[Likeness, Sequence[Operator], Sequence[Operator]]:
        """Kernels in the form that all have in common, affine steps behind them included.

        Returns:
            How alike they are, and the affine steps of both files that belong to them.
        """
        first, second = common_kernel(self.a, step), common_kernel(self.b, other)
        best: tuple[Likeness, Sequence[Operator], Sequence[Operator]] = (UNLIKE, (), ())
        if first is None or second is None or first.values.shape != second.values.shape:
            return best
        channels = first.values.shape[-1]
        bias, added = bias_of(self.a, step, channels), bias_of(self.b, other, channels)
        nearest = (True, np.inf)
        for ours, scale, offset in affine_chains(self.a, step, channels):
            for theirs, factor, shift in affine_chains(self.b, other, channels):
                like = compare_values(
                    first.values * scale, second.values * factor, second.steps * abs(factor)
                )
                apart = offsets_apart(bias * scale + offset, added * factor + shift)
                score = (not like.same, apart + like.distance)
                if score < nearest:
                    nearest, best = score, (like, ours, theirs)
        return best

    def rank(self, step: Operator, other: Operator) -> tuple:
        """The smaller, the likelier a partner: of one kind, with the same small constants."""
        apart = 0.0
        first, second = self.a.constants(step), self.b.constants(other)
        for position in first.keys() & second.keys():
            x, y = first[position], second[position]
            if step.kind == other.kind and x.shape == y.shape and not is_weights(step, position, x):
                apart += compare(x, y).distance
        return step.kind != other.kind, round(apart, 3), other.index

    def ends(self, step: Operator, other: Operator) -> tuple[list[Operator], list[Operator]] | None:
        """Steps of the two files that belong to theirs; None if they do not end alike."""
        ours, theirs = [step], [other]
        if family(step) == "kernel" and not self._directly(step, other):
            _, more, less = self._folded(step, other)
            ours, theirs = [step, *more], [other, *less]
        last, there = ours[-1], theirs[-1]
        if last.activation == there.activation and last.activation != "NONE":
            return ours, theirs
        behind = self.a.rectified(last.outputs[0]) if len(last.outputs) == 1 else None
        other_behind = self.b.rectified(there.outputs[0]) if len(there.outputs) == 1 else None
        if last.activation == there.activation:
            if behind and not other_behind and self._cut(there.outputs[0], behind.kind):
                ours.append(behind)
            return ours, theirs
        if there.activation == "NONE" and last.activation in RECTIFIERS:
            if other_behind and other_behind.kind == last.activation:
                return ours, [*theirs, other_behind]
            return (ours, theirs) if self._cut(there.outputs[0], last.activation) else None
        if last.activation == "NONE" and behind and behind.kind == there.activation:
            return [*ours, behind], theirs
        return None

    def _directly(self, step: Operator, other: Operator) -> bool:
        """Whether two kernels are one as they are stored."""
        self.weights(step, other)
        return self._direct.get((step.index, other.index), False)

    def _cut(self, value: int, kind: str) -> bool:
        """Whether the grid of a value ends where a rectifier cuts."""
        params = self.b.model.tensors[value].params
        if params is None or params.axis is not None:
            return False
        (low, high), step = map(float, params.range), float(params.scale)
        return low >= BETWEEN[kind][0] - step and high <= BETWEEN[kind][1] + step


def family(step: Operator) -> str:
    """What a step computes, where operators of several kinds can."""
    return FAMILIES.get(step.kind, step.kind)
