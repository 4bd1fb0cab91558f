"""Loops compiled by Numba, wherever the package is installed."""

from collections.abc import Callable
from typing import Any

from numba import njit

EXACT = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
"""Options of loops whose sums keep their order; a product and a sum may become one instruction."""


def compiled(**options: Any) -> Callable[[Callable], Any]:
    """`numba.njit` with these options, and with a cache of what it compiles where there is a place.

    That is beside the source, or in the user's home. Where neither can be written (a read-only
    container), every process compiles anew, for some seconds. A folder for all users would be none:
    the cache is code.
    """

    def decorate(function: Callable) -> Any:
        try:
            return njit(cache=True, **options)(function)
        except RuntimeError:  # "cannot cache function ...: no locator available"
            return njit(**options)(function)

    return decorate
