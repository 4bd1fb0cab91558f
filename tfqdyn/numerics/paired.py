"""What quantization costs in accuracy, fp32 and quantized network answering the same images.

Conventions
    `changes` is [T, N]: for each of T calibration draws and N images 1 where an image is lost
    (right in fp32, wrong quantized), -1 where it is gained, 0 where both networks are right or both
    wrong, NaN where the draw does not score it. The loss is the mean of `changes`, in [-1, 1].

The interval
    Images and draws are both samples, crossed: change = loss + image + draw + rest, the two-way
    layout of random effects by which images that several readers read are analyzed in diagnostic
    studies (Dorfman et al. 1992), a draw being a reader. The variance of the mean is estimated from
    the mean squares,

        V = max(MS_image + MS_draw - MS_rest, MS_image, MS_draw) / (N T)

    and the interval is the mean +- t sqrt(V), t with Satterthwaite's degrees of freedom. As Bonett
    and Price do for one pair of classifiers, an image that every draw loses and one that every draw
    gains are added first, so that few or no changes do not make an interval of no width. With one
    draw, what is left is their interval, over images alone. Where draws score different images, the
    mean squares are those of the sums over images and over draws, and of the residuals of the
    least-squares fit of both effects.

References
    Bonett and Price 2012, "Adjusted Wald confidence interval for a difference of binomial
    proportions based on paired data", J. Educ. Behav. Stat. 37, 479-488.
    Dorfman, Berbaum and Metz 1992, "Receiver operating characteristic rating analysis:
    generalization to the population of readers and patients with the jackknife method",
    Invest. Radiol. 27, 723-731.
    Satterthwaite 1946, "An approximate distribution of estimates of variance components",
    Biometrics Bulletin 2, 110-114.
    McNemar 1947, "Note on the sampling error of the difference between correlated proportions or
    percentages", Psychometrika 12, 153-157.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

CONFIDENCE = 0.95


def interval(changes: ArrayLike, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Confidence interval of the loss over images and, from two draws up, over draws.

    Args:
        changes: [T, N]; every draw scores an image, and every image is scored by some draw.
        confidence: in (0, 1).

    Returns:
        (low, high) within [-1, 1]. Coverage is close to `confidence`, and above it where few
        images change; with two draws that matter as much as the images do it is about 0.88.

    Raises:
        ValueError: another shape, other values, a draw or an image without any.
    """
    found = _checked(changes)
    always = np.ones((len(found), 1))
    table = np.concatenate([found, always, -always], axis=1)
    variance, freedom = _variance(table)
    mean = float(np.nanmean(table))
    half = float(special.stdtrit(freedom, (1 + confidence) / 2)) * variance**0.5
    return max(-1.0, mean - half), min(1.0, mean + half)


def _checked(changes: ArrayLike) -> NDArray[np.float64]:
    table = np.asarray(changes, np.float64)
    if table.ndim != 2 or not table.size:
        raise ValueError(f"changes must be [draws, images], received shape {table.shape}")
    scored = ~np.isnan(table)
    if not np.isin(table[scored], (-1.0, 0.0, 1.0)).all():
        raise ValueError("changes must be 1, 0, -1 or NaN")
    if not (scored.any(axis=0).all() and scored.any(axis=1).all()):
        raise ValueError("every draw must score an image, and every image be scored by a draw")
    return table


def _variance(table: NDArray[np.float64]) -> tuple[float, float]:
    """Variance of the mean of a table [T, N], and its degrees of freedom."""
    draws, images = table.shape
    scored = ~np.isnan(table)
    count = int(scored.sum())
    deviations = np.where(scored, table - np.nanmean(table), 0.0)
    by_image = float((deviations.sum(axis=0) ** 2).sum()) / count**2 * images / (images - 1)
    if draws == 1:
        return by_image, images - 1
    by_draw = float((deviations.sum(axis=1) ** 2).sum()) / count**2 * draws / (draws - 1)
    left = count - draws - images + 1
    rest = _residual(deviations, scored) / left / count if left > 0 else 0.0
    variance = max(by_image, by_draw, by_image + by_draw - rest)
    spread = by_image**2 / (images - 1) + by_draw**2 / (draws - 1)
    spread += rest**2 / left if left > 0 else 0.0
    return variance, max(draws - 1.0, variance**2 / spread)


def _residual(deviations: NDArray[np.float64], scored: NDArray[np.bool_]) -> float:
    """Sum of squares that is left of a table [T, N] after the best effects of images and draws."""
    per_image = scored.sum(axis=0)
    centred = np.where(scored, deviations - deviations.sum(axis=0) / per_image, 0.0)
    # the normal equations of the draws' effects, those of the images being eliminated
    weights = scored / per_image
    system = np.diag(scored.sum(axis=1).astype(float)) - weights @ scored.T
    effects = np.linalg.lstsq(system, centred.sum(axis=1), rcond=None)[0]
    explained = np.where(scored, effects[:, None] - effects @ weights, 0.0)
    return float(((centred - explained) ** 2).sum())


def mcnemar_p(lost: int, gained: int) -> float:
    """McNemar's exact two-sided p: were losing and gaining an image equally likely, in [0, 1].

    1 where no image changes. It is of one draw, so it says nothing about draws.
    """
    changed, term, tail = lost + gained, 1, 0
    for k in range(min(lost, gained) + 1):  # term: how many ways to lose k of those that change
        tail += term
        term = term * (changed - k) // (k + 1)
    return min(1.0, 2 * tail / 2**changed)
