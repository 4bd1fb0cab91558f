"""What the layers of a float file are called: for readers alone, for nothing is paired by name."""

import re
from collections.abc import Iterable

from tfqdyn.filepair.constants import is_weights
from tfqdyn.filepair.flow import Flow
from tfqdyn.tflite.file import Operator

_MADE_UP = re.compile(r"^(StatefulPartitionedCall|PartitionedCall|Identity|tfl\.|arith\.|serving_)")
"""Names that converters give to what had none."""


def names_of(flow: Flow) -> dict[int, str]:
    """A name for each step, by its index: its weights' or its value's in the file, if it has any.

    Of a name that lists several operators the first counts; the model's own name, which all begin
    with, is left out. No two are the same.
    """
    raw = {step.index: _raw(flow, step) for step in flow.steps}
    roots = {name.split("/")[0] for name in raw.values() if "/" in name}
    found: dict[int, str] = {}
    for step in flow.steps:
        name = raw[step.index]
        if len(roots) == 1 and "/" in name:
            name = name.split("/", 1)[1]
        if not name or _MADE_UP.match(name):
            name = f"{step.kind.lower()}_{step.index}"
        found[step.index] = _new(name, found.values())
    return found


def _raw(flow: Flow, step: Operator) -> str:
    """The weights' name without the operator that it ends in, or the value's."""
    for place, tensor in flow.constants(step).items():
        if is_weights(step, place, tensor) and "/" in tensor.name:
            return tensor.name.split(";")[0].rpartition("/")[0]
    return flow.model.tensors[step.outputs[0]].name.split(";")[0]


def _new(name: str, given: Iterable[str]) -> str:
    known, number, found = set(given), 1, name
    while found in known:
        number += 1
        found = f"{name}_{number}"
    return found
