"""The blocks that a network is built of, found in how its layers read each other.

    residual             branches that meet in an addition, from where they part
    inverted residual    the same around a depthwise convolution between two 1x1 convolutions that
                         widen and narrow; or these three without a shortcut
    branches             branches that meet in a concatenation
    separable            a depthwise convolution and the 1x1 convolution that alone reads it
    (a layer's kind)     what is in none of these stands alone

Structure decides; names only give a block its name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import inf

from tfqdyn.results.records import LayerResult

RESIDUAL, INVERTED, BRANCHES, SEPARABLE = "residual", "inverted residual", "branches", "separable"
WIDENS = 1.5
"""From how many times its input's channels a 1x1 convolution is one that widens."""


@dataclass(frozen=True)
class Block:
    """Layers that belong together, in graph order.

    Attributes:
        kind: see the module.
        layers: at least one; the last one's output is the block's.
    """

    kind: str
    layers: tuple[LayerResult, ...]

    @property
    def name(self) -> str:
        """What the layers' names begin with, without separators at its end; else the first one."""
        names = [layer.name for layer in self.layers]
        alike = takewhile(lambda letters: len({*letters}) == 1, zip(*names))
        return "".join(letters[0] for letters in alike).rstrip("_-./0123456789 ") or names[0]

    @property
    def numbers(self) -> str:
        """The layers' numbers: "4", "4-6", or "" for ops without a kernel alone."""
        found = [layer.number for layer in self.layers if layer.number is not None]
        if not found:
            return ""
        return str(found[0]) if len(found) == 1 else f"{found[0]}-{found[-1]}"

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image."""
        return sum(layer.macs for layer in self.layers)

    @property
    def params(self) -> int:
        """Numbers in kernels and biases."""
        return sum(layer.params for layer in self.layers)

    @property
    def sqnr_db(self) -> float:
        """Pooled SQNR of the block's output in dB, mean over trials."""
        return self.layers[-1].sqnr_pooled_db.mean

    @property
    def worst(self) -> LayerResult:
        """The layer with the lowest pooled SQNR."""
        return min(self.layers, key=lambda layer: _known(layer.sqnr_pooled_db.mean))


def _known(value: float) -> float:
    return value if value == value else inf


def blocks(layers: Sequence[LayerResult]) -> tuple[Block, ...]:
    """All layers in blocks, in graph order.

    Args:
        layers: the rows of a run.
    """
    network = _Network(layers)
    taken: dict[str, int] = {}
    found: list[tuple[str, list[str]]] = []

    def take(kind: str, names: Sequence[str]) -> None:
        taken.update(dict.fromkeys(names, len(found)))
        found.append((kind, list(names)))

    for row in layers:
        if row.kind in ("add", "concatenate") and len(row.producers) > 1:
            inner = [name for name in network.between_branches(row) if name not in taken]
            if len(inner) > 1:
                take(network.kind_of_merge(row, inner), inner)
    for row in layers:
        if row.name not in taken and (chain := network.chain(row)) is not None:
            kind, names = chain
            if not any(name in taken for name in names):
                take(kind, names)
    for row in layers:
        if row.name not in taken:
            take(row.kind, [row.name])
    places = {row.name: place for place, row in enumerate(layers)}
    ordered = sorted(found, key=lambda block: max(places[name] for name in block[1]))
    return tuple(
        Block(kind, tuple(layers[k] for k in sorted(places[name] for name in names)))
        for kind, names in ordered
    )


class _Network:
    """The rows by name, and what reads what."""

    def __init__(self, layers: Sequence[LayerResult]) -> None:
        self._rows: Mapping[str, LayerResult] = {row.name: row for row in layers}
        self._place = {row.name: place for place, row in enumerate(layers)}
        self._readers: dict[str, list[str]] = {row.name: [] for row in layers}
        for row in layers:
            for name in dict.fromkeys(row.producers):
                if name in self._readers:
                    self._readers[name].append(row.name)

    def between_branches(self, row: LayerResult) -> list[str]:
        """Names of the rows from where a row's branches part up to the row, in graph order."""
        behind = [self._ancestors(name) for name in dict.fromkeys(row.producers)]
        shared = set.intersection(*behind)
        fork = max((self._place.get(name, -1) for name in shared), default=-1)
        inner = {name for of in behind for name in of if self._place.get(name, -1) > fork}
        return sorted((inner & self._rows.keys()) | {row.name}, key=self._place.__getitem__)

    def _ancestors(self, name: str) -> set[str]:
        """A row and all rows (and inputs) behind it."""
        found, waiting = set[str](), [name]
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting += self._rows[one].producers if one in self._rows else ()
        return found

    def kind_of_merge(self, row: LayerResult, inner: Sequence[str]) -> str:
        """The kind of a block of branches that meet in a row."""
        if row.kind == "concatenate":
            return BRANCHES
        middle = [self._rows[name] for name in inner if self._rows[name].kind == "depthwise"]
        return INVERTED if any(self._is_widened(one, inner) for one in middle) else RESIDUAL

    def _is_widened(self, depthwise: LayerResult, inner: Sequence[str]) -> bool:
        before = self._rows.get(depthwise.producers[0])
        return before is not None and before.name in inner and self._widens(before)

    def _widens(self, row: LayerResult) -> bool:
        source = self._rows.get(row.producers[0])
        if row.kind != "pointwise" or source is None:
            return False
        return row.output_shape[-1] >= WIDENS * source.output_shape[-1]

    def chain(self, row: LayerResult) -> tuple[str, list[str]] | None:
        """The inverted residual without a shortcut, or the separable pair, that a row begins."""
        if self._widens(row) and (middle := self._only_reader(row, "depthwise")) is not None:
            last = self._only_reader(middle, "pointwise")
            if last is not None and last.output_shape[-1] < middle.output_shape[-1]:
                return INVERTED, [row.name, middle.name, last.name]
        if row.kind == "depthwise" and (last := self._only_reader(row, "pointwise")) is not None:
            return SEPARABLE, [row.name, last.name]
        return None

    def _only_reader(self, row: LayerResult, kind: str) -> LayerResult | None:
        """The one row that reads a row, if it is of a kind; ops without a kernel between them count
        as readers, too.
        """
        readers = self._readers[row.name]
        found = self._rows[readers[0]] if len(readers) == 1 else None
        return found if found is not None and found.kind == kind else None
