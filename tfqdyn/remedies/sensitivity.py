"""Do layerwise figures tell which layer to leave in fp32? The experiment of Yun & Wong's outlook.

Every layer with a kernel is left in fp32 alone, and the accuracy that this wins is correlated
(Spearman's rank correlation, with its two-sided p-value) with the layer's own QMSE, QCE, QKL-Div
and SQNR in the fully quantized network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tfqdyn.network.folding import Folded
from tfqdyn.numerics.classification import top_k_accuracy, two_classes
from tfqdyn.remedies.images import CalibrationImages
from tfqdyn.remedies.mixed_precision import quantized_logits
from tfqdyn.results import LayerResult
from tfqdyn.results.layervalues import LAYER_VALUES, mean_of

VALUES = ("qmse", "qce", "qkl_div", "sqnr_pooled_db", "own_qmse", "own_sqnr_pooled_db")
"""Names of the layer values that are correlated."""


@dataclass(frozen=True)
class Correlation:
    """Spearman's rho in [-1, 1] of a value with a gain, its two-sided p-value, and the layers."""

    value: str
    rho: float
    p_value: float
    layers: int


def accuracy_gains(
    folded: Folded,
    images: CalibrationImages,
    labelled: CalibrationImages,
    labels: NDArray[np.int64],
) -> dict[str, float]:
    """What leaving each layer in fp32 wins in top-1 accuracy, a fraction of 1, by name.

    Args:
        folded: a folded network.
        images: the calibration images.
        labelled: the scored images.
        labels: of `labelled`, [N].
    """
    ranges = images.ranges(folded)
    rows = [row.name for row in folded.graph.rows if row.has_kernel]
    floats = folded.float_layers

    def accuracy(float_layers: Sequence[str]) -> float:
        logits = quantized_logits(folded, ranges, labelled, float_layers)
        return top_k_accuracy(two_classes(logits), labels)

    before = accuracy(floats)
    names = [name for name in rows if name not in floats]
    return {
        name: accuracy((*floats, name)) - before
        for name in images.progress(names, "leave in fp32", len(names))
    }


def correlations(
    layers: Sequence[LayerResult], gains: Mapping[str, float]
) -> tuple[Correlation, ...]:
    """Spearman's correlation of every value with the gains, over the layers that have a gain.

    Raises:
        ValueError: fewer than three layers.
    """
    chosen = [layer for layer in layers if layer.name in gains]
    if len(chosen) < 3:
        raise ValueError(f"a correlation needs at least 3 layers, received {len(chosen)}")
    won = [gains[layer.name] for layer in chosen]
    found = []
    for name in VALUES:
        values = [mean_of(LAYER_VALUES[name].read(layer)) for layer in chosen]
        if any(value is None for value in values):
            continue
        outcome: Any = stats.spearmanr(values, won)
        rho, p_value = float(outcome.statistic), float(outcome.pvalue)
        found.append(Correlation(name, rho, p_value, len(chosen)))
    return tuple(found)
