"""Whether two files are of one network: what the walk left over, and whether it may be.

Two converters may compute the same by other operators. Then both files have steps that the other
has not, between values that are known to be one. Weights that only one file has, or steps that only
one file has there, are no such thing: the files are of two networks, or of two versions of one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tfqdyn.filepair.constants import is_weights
from tfqdyn.filepair.flow import MOVERS, Flow
from tfqdyn.filepair.matching import Matching
from tfqdyn.tflite.file import Operator
from tfqdyn.tflite.pairing import PairingError


@dataclass(frozen=True)
class Problem:
    """What one file has and the other has not.

    Attributes:
        place: where, in operators of the float file.
        text: what, in words.
    """

    place: float
    text: str


def unpaired(found: Matching, names: Mapping[int, str]) -> dict[str, str]:
    """Steps of both files that have no partner, by what they are called, with the reason.

    Args:
        found: what the walk found.
        names: of the float file's steps, by their index.

    Raises:
        PairingError: the files are not of one network; the first layer that differs is named.
    """
    problems = sorted(_problems(found, names), key=lambda problem: problem.place)
    if problems:
        more = f" ({len(problems) - 1} more differ)" if problems[1:] else ""
        raise PairingError(
            f"the two files are not of one network: {problems[0].text}{more}; expected the float "
            "file that the quantized one was made of"
        )
    ours = {
        names[step.index]: f"{step.kind}: the quantized file computes this with other operators"
        for step in _counted(found.reference, found.lost)
    }
    theirs = {
        f"operator {step.index} of the quantized file": f"{step.kind}: the float file computes "
        "this with other operators"
        for step in _counted(found.quantized, found.left)
    }
    return ours | theirs


def _counted(flow: Flow, steps: Sequence[Operator]) -> list[Operator]:
    """Those of some steps that compute real numbers, and do not only move them."""
    return [
        step
        for step in steps
        if step.kind not in MOVERS and any(flow.is_numeric(value) for value in step.outputs)
    ]


def _problems(found: Matching, names: Mapping[int, str]) -> Iterator[Problem]:
    unlike = {case.reference.index: case.why for case in found.unlike}
    lost, left = (
        _counted(found.reference, found.lost), _counted(found.quantized, found.left)
    )  # fmt: skip
    forward = found.values
    backward = {there: value for value, there in forward.items()}
    ours = {step.index: _known(found.reference, step, set(forward)) for step in lost}
    theirs = {step.index: _known(found.quantized, step, set(backward)) for step in left}
    for step in lost:
        what = f"layer {names[step.index]!r} ({step.kind}, operator {step.index}) differs first"
        if step.index in unlike:
            yield Problem(step.index, f"{what}: {unlike[step.index]}")
            continue
        there = {forward[value] for value in ours[step.index]}
        if _has_weights(found.reference, step) or not any(there & seen for seen in theirs.values()):
            yield Problem(step.index, f"{what}: the quantized file has no operator like it")
    known = {case.quantized.index for case in found.unlike}
    for step in left:
        if step.index in known:
            continue
        here = {backward[value] for value in theirs[step.index]}
        if _has_weights(found.quantized, step) or not any(here & seen for seen in ours.values()):
            makers = [found.reference.maker(value) for value in here]
            behind = max((maker.index for maker in makers if maker), default=-1)
            after = f"behind {names[behind]!r}" if behind in names else "at its beginning"
            following = [other.index for other in found.reference.steps if other.index > behind]
            yield Problem(
                min(following, default=behind) + 0.5,
                f"the quantized file has one layer more, operator {step.index} ({step.kind}) "
                f"{after}, which the float file has not",
            )


def _has_weights(flow: Flow, step: Operator) -> bool:
    return any(is_weights(step, place, held) for place, held in flow.constants(step).items())


def _known(flow: Flow, step: Operator, known: set[int]) -> set[int]:
    """The nearest values above a step that have a partner."""
    found, seen, waiting = set(), set(), [step]
    while waiting:
        for value in flow.arguments(waiting.pop()):
            maker = flow.maker(value)
            if value in known:
                found.add(value)
            elif maker is not None and maker.index not in seen:
                seen.add(maker.index)
                waiting.append(maker)
    return found
