"""Which step of the quantized file computes what which step of the float one does.

Steps are taken in the float file's order. A step's partner is one of its kind that reads the
partners of what it reads; constants must be the same, rounded. No name is read. What converters and
quantizers do differently is covered by rule:

    a rectifier is fused into the step before it, follows it, or is cut by the grid's own end;
    a batch norm is folded, or follows as multiplication and addition;
    a dense layer is a 1x1 convolution and the reverse, a mean a pool;
    numbers are moved (padded, sliced, transposed) by a step of their own, or are not.

Where a step has no partner the walk goes on behind it: the next weights that both files have, and
the next step of which one argument is known, say which values are one. What lies between is
computed differently in the two files (`problems` says whether that may be).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tfqdyn.filepair.constants import is_weights
from tfqdyn.filepair.flow import MOVERS, Flow
from tfqdyn.filepair.steps import Steps, family
from tfqdyn.tflite.file import Operator

COMMUTATIVE = ("ADD", "ADD_N", "MAXIMUM", "MINIMUM", "MUL", "SQUARED_DIFFERENCE")
"""Kinds whose arguments may come in any order."""


@dataclass(frozen=True)
class Match:
    """Two steps that compute the same, and the values that hold it in the two files.

    The values are those of the steps, or of the rectifier behind them.
    """

    reference: Operator
    quantized: Operator
    values: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Unlike:
    """A step of the float file whose partner by structure is not the same, and why."""

    reference: Operator
    quantized: Operator
    why: str


@dataclass
class Matching:
    """What the walk found.

    Attributes:
        reference, quantized: the two files.
        values: values of the quantized file, by those of the float one.
        matches: by index of the float file's step.
        taken: indices of the quantized file's steps that are accounted for.
        absorbed: steps of the float file that have no partner of their own, with the reason.
        unlike: partners that are not the same.
    """

    reference: Flow
    quantized: Flow
    values: dict[int, int] = field(default_factory=dict)
    matches: dict[int, Match] = field(default_factory=dict)
    taken: set[int] = field(default_factory=set)
    absorbed: dict[int, str] = field(default_factory=dict)
    unlike: list[Unlike] = field(default_factory=list)

    @property
    def lost(self) -> list[Operator]:
        """Steps of the float file that nothing accounts for."""
        known = {*self.matches, *self.absorbed}
        return [step for step in self.reference.steps if step.index not in known]

    @property
    def left(self) -> list[Operator]:
        """Steps of the quantized file that nothing accounts for."""
        return [step for step in self.quantized.steps if step.index not in self.taken]


def match(reference: Flow, quantized: Flow, inputs: Mapping[int, int]) -> Matching:
    """Pairs the steps of two files.

    Args:
        reference: the float file.
        quantized: the other one.
        inputs: tensors of the quantized file's inputs, by those of the float one's.
    """
    walk = _Walk(Matching(reference, quantized, dict(inputs)))
    walk.run()
    return walk.found


class _Walk:
    def __init__(self, found: Matching) -> None:
        self.found = found
        self.a, self.b = found.reference, found.quantized
        self.steps = Steps(self.a, self.b)

    def run(self) -> None:
        """Goes over the lost steps again for as long as that finds anything."""
        before = -1
        while before != (before := len(self.found.values) + len(self.found.absorbed)):
            for step in self.found.lost:
                self._forward(step)
            for step in reversed(self.found.lost):
                self._backward(step)
        for step in self.found.lost:
            self._resolve(step)

    def _forward(self, step: Operator) -> None:
        """Pairs a step by what it reads, or else by its weights."""
        if step.index in self.found.absorbed:
            return
        arguments = self.a.arguments(step)
        known = [a for a in arguments if a in self.found.values]
        if len(known) == len(arguments):
            alike = [q for q in self._beside(step, arguments) if self.steps.agree(step, q)]
            if alike:
                best = min(alike, key=lambda q: self.steps.rank(step, q)) if alike[1:] else alike[0]
                self._pair(step, best)
                return
            if step.kind in MOVERS and not self._waiting(step, arguments):
                self.found.absorbed[step.index] = "only moves numbers"
                self.found.values[step.outputs[0]] = self.found.values[arguments[0]]
                return
        partner = self._by_weights(step) or (self._by_part(step, known) if known else None)
        if partner is not None:
            self._pair(step, partner)

    def _waiting(self, step: Operator, arguments: Sequence[int]) -> bool:
        """Whether the quantized file has a step of this kind there, which is not the same."""
        return any(q.kind == step.kind for q in self._beside(step, arguments))

    def _beside(self, step: Operator, arguments: Sequence[int]) -> list[Operator]:
        """Free steps of the quantized file that could be a step's partner by what they read."""
        wanted = [self.found.values[a] for a in arguments]
        if not wanted:
            free = [q for q in self.found.left if not self.b.arguments(q)]
            return [q for q in free if q.kind == step.kind][:1]
        direct = self._reading(step, wanted, self.b.readers(wanted[0]))
        if direct or step.kind in MOVERS or len(wanted) > 1:
            return direct
        behind = [m for m in self.b.readers(wanted[0]) if m.kind in MOVERS and self._free(m)]
        return [
            q for m in behind for q in self._reading(step, m.outputs, self.b.readers(m.outputs[0]))
        ]

    def _reading(
        self, step: Operator, wanted: Sequence[int], readers: Sequence[Operator]
    ) -> list[Operator]:
        found = []
        for q in readers:
            if self._free(q) and family(step) == family(q):
                given = self.b.arguments(q)
                same = Counter(given) == Counter(wanted)
                if same if step.kind in COMMUTATIVE else tuple(given) == tuple(wanted):
                    found.append(q)
        return found

    def _free(self, step: Operator) -> bool:
        return step.index not in self.found.taken

    def _pair(self, step: Operator, other: Operator) -> None:
        ends = self.steps.ends(step, other)
        assert ends is not None, "partners end alike"
        ours, theirs = ends
        values = tuple(zip(ours[-1].outputs, theirs[-1].outputs, strict=True))
        self.found.matches[step.index] = Match(step, other, values)
        self.found.values |= dict(values)
        self.found.taken |= {q.index for q in theirs}
        for more in ours[1:]:
            self.found.absorbed[more.index] = f"part of operator {step.index} ({step.kind})"
        self._know_arguments(step, other)

    def _know_arguments(self, step: Operator, other: Operator) -> None:
        """What partners read is one, too."""
        first, second = self.a.arguments(step), self.b.arguments(other)
        if len(first) == len(second) and step.kind not in COMMUTATIVE:
            for value, there in zip(first, second, strict=True):
                self.found.values.setdefault(value, there)
        elif len(first) == len(second) == 2:
            known = {self.found.values[v] for v in first if v in self.found.values}
            unknown = [v for v in first if v not in self.found.values]
            others = [v for v in second if v not in known]
            if len(unknown) == len(others) == 1:
                self.found.values[unknown[0]] = others[0]

    def _by_weights(self, step: Operator) -> Operator | None:
        """The one free step with the same weights, if a step has any."""
        if not any(is_weights(step, p, t) for p, t in self.a.constants(step).items()):
            return None
        alike = [
            q for q in self.found.left if family(q) == family(step) and self.steps.agree(step, q)
        ]
        return alike[0] if len(alike) == 1 else None

    def _by_part(self, step: Operator, known: Sequence[int]) -> Operator | None:
        """The one free step of its kind that reads what of a step's arguments is known."""
        wanted = Counter(self.found.values[a] for a in known)
        if len(known) == len(self.a.arguments(step)):
            return None
        taken = set(self.found.values.values())
        alike = []
        for q in self.b.readers(next(iter(wanted))):
            given = Counter(self.b.arguments(q))
            rest = given - wanted
            fits = wanted <= given and not any(v in taken for v in rest)
            if self._free(q) and q.kind == step.kind and fits and self.steps.agree(step, q):
                alike.append(q)
        return alike[0] if len(alike) == 1 else None

    def _backward(self, step: Operator) -> None:
        """Pairs a step by what it makes."""
        if step.index in self.found.absorbed or len(step.outputs) != 1:
            return
        there = self.found.values.get(step.outputs[0])
        other = None if there is None else self.b.maker(there)
        if other is None or not self._free(other) or len(other.outputs) != 1:
            return
        if (
            family(step) == family(other)
            and step.activation == other.activation
            and self.steps.same_form(step, other)
            and self.steps.weights(step, other).same
        ):
            values = ((step.outputs[0], other.outputs[0]),)
            self.found.matches[step.index] = Match(step, other, values)
            self.found.taken.add(other.index)
            self._know_arguments(step, other)

    def _resolve(self, step: Operator) -> None:
        """Says why a step with a partner by structure is not that partner."""
        arguments = self.a.arguments(step)
        if any(a not in self.found.values for a in arguments):
            return
        for q in self._beside(step, arguments):
            like = self.steps.weights(step, q)
            what = f"operator {q.index} ({q.kind}) of the quantized file"
            if not like.same:
                why = f"{what} has other weights: {like.words}"
            elif self.steps.ends(step, q) is None:
                why = f"{what} ends in {q.activation} where this one ends in {step.activation}"
            else:
                why = f"{what} takes other numbers"
            self.found.unlike.append(Unlike(step, q, why))
            return
