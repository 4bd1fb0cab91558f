"""What a comparison of engines comes to; `kernels.json` holds it by these names (`jsonvalues`)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tfqdyn.results.jsonvalues import plain

SCHEMA = 1
OWN, INHERITED, CONTEXT, UNKNOWN = "own", "inherited", "context", "unknown"
"""Where a difference comes from."""


@dataclass(frozen=True)
class Counted:
    """Values that differ from the base engine's.

    Attributes:
        values: how many were compared.
        differing: how many of them differ.
        share: the same as a share, in [0, 1].
        largest: largest difference, in steps of the tensor (see `differences`).
    """

    values: int
    differing: int
    share: float
    largest: float


@dataclass(frozen=True)
class OpRecord:
    """One operator of the file.

    Attributes:
        index: its position in execution order, from 0.
        kind: TFLite's name of it, such as "CONV_2D".
        name: of its first output.
        shape: of its first output.
        dtype: of its first output.
    """

    index: int
    kind: str
    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class OpFigures:
    """One operator in one engine, all of its outputs together.

    Attributes:
        index: the operator's.
        chained: in a run of the whole file with every tensor kept; None where it was not read.
        alone: from equal inputs; None where that cannot be had, and `refused` may say why.
        cause: "" where nothing differs; "own" where the operator differs from equal inputs,
            "inherited" where only its inputs make it differ, "context" where the engine computes
            something else in the whole file than alone although the inputs are equal, "unknown"
            where that cannot be found out.
        milliseconds: median time of one run of the operator alone; None where it did not run.
        delegated: whether a delegate (XNNPACK) took it; None where the engine has none.
        refused: what the engine says of the operator alone, if it refuses it.
    """

    index: int
    chained: Counted | None
    alone: Counted | None
    cause: str
    milliseconds: float | None = None
    delegated: bool | None = None
    refused: str | None = None


@dataclass(frozen=True)
class KindFigures:
    """All operators of one kind in one engine: `alone` and `own` count those that were compared.

    Attributes:
        kind: TFLite's name.
        operators: how many were compared from equal inputs.
        alone: their values together; None where none was.
        at_fault: how many of them differ from equal inputs.
        milliseconds: of all of them together; None where none was timed.
    """

    kind: str
    operators: int
    alone: Counted | None
    at_fault: int
    milliseconds: float | None


@dataclass(frozen=True)
class EngineRecord:
    """One engine, or a dump, against the base engine.

    Attributes:
        name: as it was asked for.
        words: what it is.
        version: of the package, with the kernels; of a dump what its manifest says.
        refused: why the whole file does not run in it; None where it does.
        deployed: the file's outputs as applications get them, the whole file without kept tensors;
            None where it did not run.
        kept: the same outputs where every tensor is kept, and delegates so work op by op.
        keeping: how many output values change because tensors are kept; None where unknown.
        accuracy: top-1 of `deployed`, a fraction of 1; None without labels or class scores.
        first: the first operator whose output differs; None where none does.
        first_cause: its cause, as in `OpFigures`.
        operators: the operators in execution order; empty where none could be compared.
        kinds: the same by kind.
        milliseconds: median time of one run of the whole file with one thread.
        arena: bytes that TensorFlow Lite Micro needs beside the file; None for other engines.
    """

    name: str
    words: str
    version: str
    refused: str | None = None
    deployed: Counted | None = None
    kept: Counted | None = None
    keeping: Counted | None = None
    accuracy: float | None = None
    first: int | None = None
    first_cause: str = ""
    operators: tuple[OpFigures, ...] = ()
    kinds: tuple[KindFigures, ...] = ()
    milliseconds: float | None = None
    arena: int | None = None


@dataclass(frozen=True)
class KernelsRecord:
    """A comparison.

    Attributes:
        file: the file's name.
        sha256: of its content.
        data: the data set's name.
        images: how many images went through.
        base: the engine that the others are held against.
        operators: of the file, in execution order.
        engines: in the order in which they were asked for, then dumps.
        notes: remarks in words.
        versions: of packages that figures depend on.
    """

    file: str
    sha256: str
    data: str
    images: int
    base: str
    operators: tuple[OpRecord, ...]
    engines: tuple[EngineRecord, ...]
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    def engine(self, name: str) -> EngineRecord:
        """An engine's record by its name."""
        return next(engine for engine in self.engines if engine.name == name)

    def to_json(self) -> str:
        """The text of `kernels.json`."""
        record: dict[str, Any] = {"schema": SCHEMA, **plain(self)}
        return json.dumps(record, indent=1, allow_nan=False)
