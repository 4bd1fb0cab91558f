"""The running sums of one engine, and the record that they come to."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tfqdyn.engines.answers import classes_of, scores_of
from tfqdyn.engines.calls import AloneRun, Values, WholeRun
from tfqdyn.engines.differences import Difference, difference
from tfqdyn.numerics.classification import among_best
from tfqdyn.results.kernelrecords import (
    CONTEXT,
    INHERITED,
    OWN,
    UNKNOWN,
    Counted,
    EngineRecord,
    KindFigures,
    OpFigures,
)
from tfqdyn.tflite.file import TfliteModel

Sums = dict[int, Difference]


class Tally:
    """What was counted of one engine so far.

    Args:
        model: the file.
        refused: why the engine does not run it, if that is known already.
    """

    def __init__(self, model: TfliteModel, refused: str | None) -> None:
        self.model = model
        self.refused = refused
        self.refused_operators: dict[int, str] = {}
        self.chained: Sums = {}
        self.alone: Sums = {}
        self.deployed, self.kept, self.keeping = (defaultdict(Difference) for _ in range(3))
        self.scores: list[NDArray] = []
        self.milliseconds: dict[int, float] = {}
        self.delegated: dict[int, bool] = {}
        self.whole_milliseconds: float | None = None
        self.arena: int | None = None

    def add_whole(self, base: Values, chained: Values, deployed: Values) -> None:
        """Runs of the whole file: with kept tensors, and the outputs without."""
        self._add(self.chained, base, chained)
        for output in set(self.model.outputs).intersection(base[0]):
            for b, c, d in zip(base, chained, deployed, strict=True):
                self.deployed[output] += difference(b[output], d[output])
                self.kept[output] += difference(b[output], c[output])
                self.keeping[output] += difference(d[output], c[output])
        self._add_scores(deployed)

    def add_alone(self, base: Values, run: AloneRun) -> None:
        """Runs of operators alone, from what the base's operators read."""
        self.refused_operators |= run.refused
        self.milliseconds = {**run.milliseconds, **self.milliseconds}
        self.delegated |= run.delegated
        self._add(self.alone, base, run.values)

    def add_dump(self, base: Values, found: Values) -> None:
        """Tensors of a device."""
        self._add(self.chained, base, found)
        for output in self.model.outputs:
            for b, d in zip(base, found, strict=True):
                if output in b and output in d:
                    self.deployed[output] += difference(b[output], d[output])
        if set(self.model.outputs) <= set(found[0]):
            self._add_scores(found)

    def add_alone_of_dump(self, found: Values, run: AloneRun) -> None:
        """What the base's operators make of the values that a device's read."""
        self._add(self.alone, run.values, found)

    def take_costs(self, run: WholeRun) -> None:
        """Latency and arena of the whole file, from the run that has them."""
        if run.milliseconds is not None:
            self.whole_milliseconds = run.milliseconds
        self.arena = run.arena

    def unfaithful(self) -> tuple[str, ...]:
        """Of the base's own tally: operators that compute something else alone than in the file."""
        kinds = {operator.index: operator.kind for operator in self.model.operators}
        odd = [f"{i} ({kinds[i]})" for i, found in sorted(self.alone.items()) if found.differing]
        if not odd:
            return ()
        return (
            f"Operators that compute something else alone than in the file: {', '.join(odd)}; of "
            "them, own and inherited differences cannot be distinguished.",
        )

    def _add(self, sums: Sums, base: Values, other: Values) -> None:
        for operator in self.model.operators:
            for tensor in operator.outputs:
                for b, o in zip(base, other, strict=True):
                    if tensor in b and tensor in o:
                        found = sums.get(operator.index, Difference())
                        sums[operator.index] = found + difference(b[tensor], o[tensor])

    def _add_scores(self, outputs: Values) -> None:
        if len(self.model.outputs) == 1:
            self.scores += [sample[self.model.outputs[0]] for sample in outputs]


def engine_record(
    blank: EngineRecord,
    tally: Tally,
    model: TfliteModel,
    images: int,
    labels: NDArray[np.int64] | None,
) -> EngineRecord:
    """What was counted, as a record.

    Args:
        blank: the engine's name, words and version.
        tally: of the engine.
        model: the file.
        images: how many count; further ones fill the last run up.
        labels: of the images [N], of the classes of the file's output; if any.
    """
    operators = tuple(_figures(operator.index, tally) for operator in model.operators)
    whole = tally.refused is None
    differing = [f for f in operators if whole and f.chained is not None and f.chained.differing]
    compared = any(f.chained or f.alone or f.refused for f in operators)
    return replace(
        blank,
        refused=tally.refused,
        deployed=_counted(tally.deployed) if whole else None,
        kept=_counted(tally.kept) if whole else None,
        keeping=_counted(tally.keeping) if whole else None,
        accuracy=_accuracy(tally, model, images, labels) if whole else None,
        first=differing[0].index if differing else None,
        first_cause=differing[0].cause if differing else "",
        operators=operators if compared else (),
        kinds=_by_kind(operators, model),
        milliseconds=tally.whole_milliseconds if whole else None,
        arena=tally.arena if whole else None,
    )


def _reads_equal(index: int, tally: Tally) -> bool:
    """Whether an operator of codes reads, in the whole file, exactly what the base's reads."""
    model = tally.model
    maker = {t: operator.index for operator in model.operators for t in operator.outputs}
    operator = model.operators[index]
    read = [t for t in operator.inputs if t >= 0 and model.tensors[t].data is None]
    if any(model.tensors[t].dtype.startswith("float") for t in (*read, *operator.outputs)):
        return False  # differences below a step are none, and may grow
    made = [tally.chained.get(maker[t]) for t in read if t in maker]
    return all(found is not None and not found.differing for found in made)


def _figures(index: int, tally: Tally) -> OpFigures:
    whole = tally.refused is None
    chained = tally.chained.get(index) if whole else None
    alone = tally.alone.get(index) if index not in tally.refused_operators else None
    return OpFigures(
        index=index,
        chained=_of(chained),
        alone=_of(alone),
        cause=_cause(chained, alone, _reads_equal(index, tally)),
        milliseconds=tally.milliseconds.get(index),
        delegated=tally.delegated.get(index),
        refused=tally.refused_operators.get(index),
    )


def _cause(chained: Difference | None, alone: Difference | None, reads_equal: bool) -> str:
    if chained is None or not chained.differing:
        return OWN if alone is not None and alone.differing else ""
    if alone is None:
        return UNKNOWN
    if reads_equal and chained != alone:
        return CONTEXT
    return OWN if alone.differing else INHERITED


def _of(found: Difference | None) -> Counted | None:
    if found is None:
        return None
    return Counted(found.values, found.differing, found.share, found.largest)


def _counted(sums: Mapping[int, Difference]) -> Counted | None:
    return _of(sum(sums.values(), Difference())) if sums else None


def _by_kind(operators: Sequence[OpFigures], model: TfliteModel) -> tuple[KindFigures, ...]:
    kinds = dict.fromkeys(operator.kind for operator in model.operators)
    found = []
    for kind in kinds:
        of_kind = [f for f in operators if model.operators[f.index].kind == kind]
        rows = [f for f in of_kind if f.chained or f.alone or f.refused]
        if not rows:
            continue
        alone = [f.alone for f in rows if f.alone is not None]
        sums = [Difference(c.values, c.differing, c.largest) for c in alone]
        times = [f.milliseconds for f in rows if f.milliseconds is not None]
        found.append(
            KindFigures(
                kind=kind,
                operators=len(alone),
                alone=_of(sum(sums, Difference())) if alone else None,
                at_fault=sum(c.differing > 0 for c in alone),
                milliseconds=sum(times) if times else None,
            )
        )
    return tuple(found)


def _accuracy(
    tally: Tally, model: TfliteModel, images: int, labels: NDArray[np.int64] | None
) -> float | None:
    """Top-1 where the only output is one score per class; ties go to the lowest class."""
    classes = classes_of(model)
    if labels is None or not tally.scores or classes is None:
        return None
    if any(scores.size % classes for scores in tally.scores):  # a shape of the moment
        return None
    scores = scores_of(model, tally.scores)[:images]
    if np.isnan(scores).any():
        return None
    return float(np.mean(among_best(scores, labels[: len(scores)])))
