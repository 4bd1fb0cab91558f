"""What a remedy gives back: the changed network, and which channel of which layer it changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tfqdyn.network.folding import Folded


class RemedyError(ValueError):
    """The remedy does not apply to this network, or would change what it promises to keep."""


@dataclass(frozen=True)
class Change:
    """One number of one channel (None: of the whole layer) before and after."""

    layer: str
    channel: int | None
    what: str
    before: float
    after: float


@dataclass(frozen=True, eq=False)
class Remedied:
    """A cured network.

    Attributes:
        folded: the network after the remedy.
        remedy: its name, a key of `REMEDIES`.
        changes: what was changed, in graph order; empty when there was nothing to do.
        measured: numbers by name, such as the change of the fp32 outputs.
        notes: remarks in words.
    """

    folded: Folded
    remedy: str
    changes: tuple[Change, ...]
    measured: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def record(self) -> dict[str, Any]:
        """Everything but the network, for `remedy.json`."""
        return {
            "remedy": self.remedy,
            "figures": dict(self.measured),
            "notes": list(self.notes),
            "changes": list(self.changes),
        }
