"""What a remedy promises to keep: the fp32 function, up to a bound that is measured."""

from collections.abc import Mapping

from tfqdyn.remedies.record import RemedyError

TOLERANCE = 0.01
"""Largest QKL-Div in nats between the fp32 outputs before and after a remedy."""


def within(change: Mapping[str, float], tolerance: float = TOLERANCE) -> bool:
    """Whether a change of the fp32 outputs (`images.CalibrationImages`) is small; NaN is not."""
    return change["output_qkl_div"] <= tolerance


def check(
    change: Mapping[str, float], remedy: str, cause: str, tolerance: float = TOLERANCE
) -> None:
    """Refuses a remedy that changes the fp32 outputs.

    Raises:
        RemedyError: the change is not `within` the tolerance; the text ends in `cause`.
    """
    if not within(change, tolerance):
        raise RemedyError(
            f"{remedy} would change the fp32 outputs by {change['output_qkl_div']:.3g} nats "
            f"of QKL-Div, more than the tolerance of {tolerance:g}: {cause}"
        )
