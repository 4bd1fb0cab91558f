"""What a remedy promises to keep: the fp32 function, up to a bound that is measured."""

from collections.abc import Mapping

from tfqdyn.remedies.judging import NOISE, QKL_DIV, Yardstick
from tfqdyn.remedies.record import RemedyError


def within(change: Mapping[str, float]) -> bool:
    """Whether a change of the fp32 outputs (`images.CalibrationImages`) is small; NaN is not."""
    yardstick = yardstick_in(change)
    return change[yardstick.key] <= yardstick.tolerance


def yardstick_in(change: Mapping[str, float]) -> Yardstick:
    """What a change of the outputs was measured by."""
    return QKL_DIV if QKL_DIV.key in change else NOISE


def check(
    change: Mapping[str, float], remedy: str, cause: str, tolerance: float | None = None
) -> None:
    """Refuses a remedy that changes the fp32 outputs.

    Raises:
        RemedyError: the change is not within the tolerance (by default the yardstick's); the text
            ends in `cause`.
    """
    yardstick = yardstick_in(change)
    most = yardstick.tolerance if tolerance is None else tolerance
    if not change[yardstick.key] <= most:
        raise RemedyError(
            f"{remedy} would change the fp32 outputs by {change[yardstick.key]:.3g} "
            f"{yardstick.unit}, more than the tolerance of {most:g}: {cause}"
        )
