"""Calls of the processes that run engines, and what a crash is narrowed down to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tfqdyn.engines.arrays import packed, unpacked
from tfqdyn.files.apart import ApartError, run_apart

Values = Sequence[Mapping[int, NDArray]]
"""For every sample the values of tensors, by index."""
SECONDS = 900
"""What one call may take."""
_NATIVE = "tfqdyn.engines.native"


class RefusedError(ValueError):
    """The engine refuses a file, crashes on it, or does not end."""


@dataclass(frozen=True, eq=False)
class WholeRun:
    """A whole file's values; `milliseconds` of a run, and `arena` in bytes, where asked for."""

    values: Values
    milliseconds: float | None
    arena: int | None


@dataclass(frozen=True, eq=False)
class AloneRun:
    """Operators' values; what became of those that the engine refuses, by operator."""

    values: Values
    refused: Mapping[int, str] = field(default_factory=dict)
    milliseconds: Mapping[int, float] = field(default_factory=dict)
    delegated: Mapping[int, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class CutOperator:
    """An operator as a file of its own, with the tensors that it reads and makes in its order."""

    index: int
    content: bytes
    reads: tuple[int, ...]
    makes: tuple[int, ...]


def whole(
    engine: str,
    content: bytes,
    inputs: Sequence[Sequence[NDArray]],
    tensors: Sequence[int],
    kept: bool,
    runs: int = 0,
) -> WholeRun:
    """Runs a whole file on samples.

    Args:
        engine: one of `catalogue.ENGINES`.
        content: the file.
        inputs: for every sample the file's inputs, in its order.
        tensors: to read: any where they are `kept`, else exactly the outputs, in the file's order.
        kept: keep every tensor, which debuggers do and applications do not.
        runs: how many are timed.

    Raises:
        RefusedError: see there.
    """
    record = {
        "engine": engine, "kept": kept, "samples": len(inputs), "runs": runs,
        "inputs": len(inputs[0]), "tensors": list(tensors),
    }  # fmt: skip
    arrays = {f"{k}.{i}": a for k, sample in enumerate(inputs) for i, a in enumerate(sample)}
    arrays["file"] = np.frombuffer(content, np.uint8)
    try:
        told, found = unpacked(run_apart(f"{_NATIVE}:whole", packed(record, arrays), SECONDS))
    except (ApartError, ValueError) as error:
        raise RefusedError(str(error)) from error
    return WholeRun(_by_sample(found, len(inputs)), told["milliseconds"], told["arena"])


def alone(engine: str, operators: Sequence[CutOperator], fed: Values, runs: int = 0) -> AloneRun:
    """Runs operators from given values; one that crashes the process is found by halving.

    Args:
        engine: one of `catalogue.ENGINES`.
        operators: with what they read among `fed`.
        fed: for every sample the values of tensors.
        runs: how many are timed.
    """
    if not operators:
        return AloneRun([{} for _ in fed])
    read = {t for operator in operators for t in operator.reads}
    arrays = {f"{k}.{t}": a for k, sample in enumerate(fed) for t, a in sample.items() if t in read}
    arrays |= {f"file.{o.index}": np.frombuffer(o.content, np.uint8) for o in operators}
    listed = [{"index": o.index, "reads": o.reads, "makes": o.makes} for o in operators]
    record = {"engine": engine, "samples": len(fed), "runs": runs, "operators": listed}
    try:
        told, found = unpacked(run_apart(f"{_NATIVE}:alone", packed(record, arrays), SECONDS))
    except (ApartError, ValueError) as error:
        if len(operators) == 1:
            return AloneRun([{} for _ in fed], {operators[0].index: str(error)})
        half = len(operators) // 2
        return _together(
            alone(engine, operators[:half], fed, runs), alone(engine, operators[half:], fed, runs)
        )
    by_number = {
        name: {int(i): v for i, v in told[name].items() if v is not None}
        for name in ("refused", "milliseconds", "delegated")
    }
    return AloneRun(_by_sample(found, len(fed)), **by_number)


def _together(first: AloneRun, second: AloneRun) -> AloneRun:
    return AloneRun(
        [{**a, **b} for a, b in zip(first.values, second.values, strict=True)],
        {**first.refused, **second.refused},
        {**first.milliseconds, **second.milliseconds},
        {**first.delegated, **second.delegated},
    )


def _by_sample(arrays: Mapping[str, NDArray], samples: int) -> list[dict[int, NDArray]]:
    found: list[dict[int, NDArray]] = [{} for _ in range(samples)]
    for name, values in arrays.items():
        sample, tensor = name.split(".")
        found[int(sample)][int(tensor)] = values
    return found
