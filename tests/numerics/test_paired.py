import math

import numpy as np
import pytest

from tfqdyn.numerics import paired

stats = pytest.importorskip("scipy.stats")


def crossed(
    rng: np.random.Generator, draws: int, images: int, effects: tuple[float, float, float],
    lost: float, gained: float,
) -> np.ndarray:  # fmt: skip
    """Changes [T, N] whose expected loss is `lost - gained`, with effects of image, draw, both."""
    image, draw, both = np.divide(effects, math.hypot(*effects))
    latent = (
        image * rng.normal(size=images)
        + draw * rng.normal(size=(draws, 1))
        + both * rng.normal(size=(draws, images))
    )
    low, high = stats.norm.ppf([gained, 1 - lost])
    return (latent > high).astype(float) - (latent < low)


def test_one_draw_spelled_by_hand() -> None:
    """10 images, 3 lost, 1 gained: Bonett and Price's 12, 4 and 2, mean 1/6."""
    changes = [[1, 1, 1, -1, 0, 0, 0, 0, 0, 0]]
    variance = ((4 + 2) / 12 - (2 / 12) ** 2) / 11
    half = stats.t.ppf(0.975, 11) * math.sqrt(variance)
    assert paired.interval(changes) == pytest.approx((1 / 6 - half, 1 / 6 + half), rel=1e-12)


def test_two_draws_spelled_by_hand() -> None:
    """Images (1, 1), (1, 0), (0, 0), (0, 0) and the two that are added: mean 3/12."""
    changes = [[1, 1, 0, 0], [1, 0, 0, 0]]
    table = np.array([[1, 1, 0, 0, 1, -1], [1, 0, 0, 0, 1, -1]], float)
    mean, images, draws = table.mean(), table.mean(axis=0), table.mean(axis=1)
    of_images = 2 * ((images - mean) ** 2).sum() / 5
    of_draws = 6 * ((draws - mean) ** 2).sum()
    of_rest = ((table - images - draws[:, None] + mean) ** 2).sum() / 5
    variance = of_images + of_draws - of_rest
    freedom = variance**2 / (of_images**2 / 5 + of_draws**2 + of_rest**2 / 5)
    half = stats.t.ppf(0.95, freedom) * math.sqrt(variance / 12)
    assert mean == 0.25
    assert paired.interval(changes, 0.9) == pytest.approx((mean - half, mean + half), rel=1e-12)


def test_one_draw_against_a_published_example() -> None:
    """48 pairs, 26 and 4 of which change: statpsych's `ci.prop.ps`, with z for t, 49 for 50."""
    low, high = paired.interval([[1] * 26 + [-1] * 4 + [0] * 18])
    wider = stats.t.ppf(0.975, 49) / stats.norm.ppf(0.975) * math.sqrt(50 / 49)
    assert low == pytest.approx(0.44 - wider * (0.44 - 0.2548067), abs=1e-6)
    assert high == pytest.approx(0.44 + wider * (0.6251933 - 0.44), abs=1e-6)


def test_equal_draws_are_one_draw() -> None:
    row = [1, 1, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    one, three = paired.interval([row]), paired.interval([row] * 3)
    assert three == pytest.approx(one, rel=1e-9)


def test_no_change_is_no_proof_of_no_loss() -> None:
    low, high = paired.interval(np.zeros((1, 100)))
    assert low == -high
    assert 0.02 < high < 0.04  # three in a hundred is what zero of a hundred leaves open


def test_intervals_stay_inside_and_hold_the_mean() -> None:
    for images in (1, 2, 30):
        low, high = paired.interval(np.ones((2, images)))
        assert -1 <= low < 1 == high


@pytest.mark.parametrize("draws", [1, 5])
@pytest.mark.parametrize(("lost", "gained"), [(0.05, 0.02), (0.4, 0.01)])
@pytest.mark.parametrize("images", [60, 300])
def test_coverage(draws: int, images: int, lost: float, gained: float) -> None:
    """95 % intervals hold the true loss in about 95 of 100 studies, draws and images both new."""
    rng = np.random.default_rng(5)
    for effects in [(1, 0, 1), (1, 0.2, 1), (1, 1, 1)] if draws > 1 else [(1, 0, 1)]:
        studies = [crossed(rng, draws, images, effects, lost, gained) for _ in range(600)]
        ends = np.array([paired.interval(changes) for changes in studies])
        held = np.mean((ends[:, 0] <= lost - gained) & (lost - gained <= ends[:, 1]))
        assert held >= 0.92, effects
        assert held <= 0.99 or images * lost < 20, f"{effects}: so wide that it says nothing"


def test_an_interval_over_images_alone_misses_what_draws_do() -> None:
    rng = np.random.default_rng(6)
    studies = [crossed(rng, 5, 300, (1, 1, 1), 0.4, 0.01) for _ in range(300)]
    ends = np.array([paired.interval(changes.mean(axis=0).round()[None]) for changes in studies])
    assert np.mean((ends[:, 0] <= 0.39) & (ends[:, 1] >= 0.39)) < 0.7


def test_draws_that_score_different_images() -> None:
    """A fifth of the images calibrates in each draw and is not scored: coverage stays."""
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(400):
        changes = crossed(rng, 5, 150, (1, 0.2, 1), 0.1, 0.02)
        for row in changes:
            row[rng.choice(150, 30, replace=False)] = np.nan
        low, high = paired.interval(changes[:, ~np.isnan(changes).all(axis=0)])
        held += low <= 0.08 <= high
    assert 0.92 <= held / 400 <= 0.99


def test_residuals_against_a_plain_least_squares_fit() -> None:
    rng = np.random.default_rng(8)
    table = rng.integers(-1, 2, (3, 12)).astype(float)
    table[0, :3] = table[1, 4] = table[2, 7:9] = np.nan
    draw, image = np.nonzero(~np.isnan(table))
    design = np.concatenate([np.eye(3)[draw], np.eye(12)[image]], axis=1)
    values = table[draw, image]
    fitted = design @ np.linalg.lstsq(design, values, rcond=None)[0]
    scored = ~np.isnan(table)
    found = paired._residual(np.where(scored, table - np.nanmean(table), 0.0), scored)
    assert found == pytest.approx(((values - fitted) ** 2).sum(), rel=1e-10)


def test_mcnemar_spelled_by_hand() -> None:
    assert paired.mcnemar_p(5, 1) == pytest.approx(2 * (1 + 6) / 2**6)
    assert paired.mcnemar_p(1, 5) == pytest.approx(2 * (1 + 6) / 2**6)
    assert paired.mcnemar_p(3, 3) == paired.mcnemar_p(0, 0) == 1.0


@pytest.mark.parametrize("changes", [[1, 0], [[0.5]], [[np.nan, 1]], np.zeros((2, 0))])
def test_what_is_no_table_of_changes_is_refused(changes: object) -> None:
    with pytest.raises(ValueError, match=r"changes must be|every draw must"):
        paired.interval(changes)
