"""Sums of what a row's own op does wrong, and the records that are made of them; see `ownerror`."""

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tfqdyn.measurement.layerstats import mean_decibels, pooled_decibels
from tfqdyn.numerics import loops, metrics
from tfqdyn.numerics.finiteness import refuse_non_finite
from tfqdyn.numerics.grid import QuantParams
from tfqdyn.results import SOURCES, LayerResult, OwnError, spread


class OwnSums:
    """Running sums of one row under one trial."""

    def __init__(self, params: QuantParams | None, channels: int) -> None:
        self._scale, self._zero = 1.0, 0.0
        if params is not None:
            self._scale, self._zero = float(params.scale), float(params.zero_point)
        self.channels = np.zeros((2, channels))
        self.totals = np.zeros(len(loops.TOTALS))
        self.values = 0
        self.saturated = 0
        self.sources: dict[str, float] = dict.fromkeys(SOURCES, 0.0)

    def add(self, x: NDArray[np.float32], q: NDArray) -> None:
        """Adds fp32 activations [N, ..., C] and the op's codes (or values) of the same size.

        Raises:
            NonFiniteError: a value is NaN or infinite; the sums are of no use then.
        """
        width = self.channels.shape[1]
        shape = (len(x), x[0].size // width, width)
        broken = loops.compare_own(
            x.reshape(shape), q.reshape(shape), self._scale, self._zero, self.channels, self.totals
        )
        refuse_non_finite(broken)
        self.values += x.size

    def merge(self, other: "OwnSums") -> "OwnSums":
        """The sums over both sets of images, of one row under one trial."""
        merged = copy.copy(self)
        for name in ("channels", "totals", "values", "saturated"):
            setattr(merged, name, getattr(self, name) + getattr(other, name))
        merged.sources = {name: self.sources[name] + other.sources[name] for name in SOURCES}
        return merged

    @property
    def qmse(self) -> float:
        """Mean squared own error."""
        _, square = self.channels
        return float(square.sum() / self.values)

    @property
    def sqnr_db(self) -> float:
        """Mean of the images' own SQNR in dB, see `layerstats.mean_decibels`."""
        return mean_decibels(self.totals)

    @property
    def sqnr_pooled_db(self) -> float:
        """Own SQNR in dB of the sums over all images."""
        return pooled_decibels(self.totals)

    @property
    def bias_share(self) -> float:
        """Share of the squared error that shifting channels would remove, in [0, 1]."""
        shift, square = self.channels
        per_channel = self.values / len(shift)
        return float((shift**2).sum() / per_channel / square.sum()) if square.sum() else 0.0

    @property
    def source_sqnr_db(self) -> dict[str, float]:
        """Pooled SQNR in dB of each source alone."""
        signal = self.totals[loops.SIGNAL]
        return {name: float(metrics.decibels(signal, e)) for name, e in self.sources.items()}


def merged(
    own: Sequence[Sequence[OwnSums]], others: Sequence[Sequence[OwnSums]]
) -> list[list[OwnSums]]:
    """The sums over both sets of images, by trial and row."""
    return [
        [a.merge(b) for a, b in zip(trial, other, strict=True)]
        for trial, other in zip(own, others, strict=True)
    ]


def with_own(
    layers: Sequence[LayerResult], sums: Sequence[Sequence[OwnSums]]
) -> tuple[LayerResult, ...]:
    """The rows with what tells own from inherited error."""
    found = []
    for i, layer in enumerate(layers):
        own = [trial[i] for trial in sums]
        by_source = [s.source_sqnr_db for s in own]
        inherited = [q - s.qmse for q, s in zip(layer.qmse.trials, own, strict=True)]
        error = OwnError(
            qmse=spread([s.qmse for s in own]),
            sqnr_db=spread([s.sqnr_db for s in own]),
            sqnr_pooled_db=spread([s.sqnr_pooled_db for s in own]),
            sqnr_infinite=spread([int(s.totals[loops.INFINITE]) for s in own]),
            inherited_qmse=spread(inherited),
            bias_share=spread([s.bias_share for s in own]),
            source_sqnr_db={n: spread([b[n] for b in by_source]) for n in SOURCES},
            saturated_share=sum(s.saturated for s in own) / sum(s.values for s in own),
        )
        found.append(replace(layer, own=error))
    return tuple(found)
