"""What 8 bits do to a classifier's output: accuracy, output QMSE, QCE and QKL-Div.

Conventions
    `logits` are [N, K]; `labels` are [N] integers in 0..K-1. p is the softmax of the fp32 logits,
    q the float softmax of the dequantized logits (the model's own uint8 softmax sits on a
    1/256 grid and has exact zeros). Accuracies are fractions of 1.

References
    Yun & Wong, section 3 and Table 1; Keras' clipping (1e-7); thesis Eq. 4.11.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

CLIP = 1e-7


@dataclass(frozen=True)
class OutputMetrics:
    """Distances between two classifiers' outputs: `qmse` >= 0, `qce` and `qkl_div` in nats."""

    qmse: float
    qce: float
    qkl_div: float


def softmax(logits: ArrayLike) -> NDArray[np.float64]:
    """Rows of probabilities, [N, K], in float64; shifted by the row's maximum first."""
    x = np.asarray(logits, np.float64)
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def two_classes(scores: NDArray, threshold: float = 0.0) -> NDArray:
    """A single score [N, 1] as the scores of two classes [N, 2], the first one the threshold's."""
    if scores.shape[1] > 1:
        return scores
    return np.concatenate([np.full_like(scores, threshold), scores], axis=1)


def compare_outputs(reference: ArrayLike, quantized: ArrayLike) -> OutputMetrics:
    """Output QMSE, QCE and QKL-Div of two sets of logits, [N, K] each (Yun & Wong, section 3).

    QMSE is the mean over samples and classes of (p - q)^2; QCE the mean over samples of
    -sum p ln q; QKL-Div the mean of sum p ln(p / q), both clipped at 1e-7 as Keras does.
    """
    p, q = softmax(reference), softmax(quantized)
    if p.shape != q.shape:
        raise ValueError(f"logits must have one shape, received {p.shape} and {q.shape}")
    log_q = np.log(np.clip(q, CLIP, 1.0 - CLIP))
    kl_p, kl_q = np.clip(p, CLIP, 1.0), np.clip(q, CLIP, 1.0)
    return OutputMetrics(
        qmse=float(np.mean((p - q) ** 2)),
        qce=float(np.mean(-np.sum(p * log_q, axis=-1))),
        qkl_div=float(np.maximum(0.0, np.mean(np.sum(kl_p * np.log(kl_p / kl_q), axis=-1)))),
    )


def among_best(scores: ArrayLike, labels: ArrayLike, k: int = 1) -> NDArray[np.bool_]:
    """Whether each row's label is among its k best scores, [N]; ties go to the lowest index.

    Raises:
        ValueError: a score is NaN, which would be ahead of none and behind none.
    """
    s, y = np.asarray(scores), np.asarray(labels, np.int64)
    if np.isnan(s).any():
        raise ValueError("scores must be numbers to be compared, received NaN")
    own = s[np.arange(len(y)), y][:, None]
    columns = np.arange(s.shape[1])[None, :]
    ahead = (s > own) | ((s == own) & (columns < y[:, None]))
    return ahead.sum(axis=1) < k


def top_k_accuracy(scores: ArrayLike, labels: ArrayLike, k: int = 1) -> float:
    """Share of rows whose label is `among_best`, in [0, 1]."""
    return float(np.mean(among_best(scores, labels, k)))


def percent_decrease(fp32_accuracy: float, quantized_accuracy: float) -> float:
    """|a32 - a8| / a32 * 100 (thesis Eq. 4.11); NaN where the fp32 accuracy is 0."""
    if fp32_accuracy == 0:
        return float("nan")
    return abs(fp32_accuracy - quantized_accuracy) / fp32_accuracy * 100.0
