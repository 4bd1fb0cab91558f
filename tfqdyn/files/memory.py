"""How much memory this machine has, to refuse what cannot fit before any of it is taken."""

import os
from pathlib import Path

_LIMIT_OF_CONTAINER = Path("/sys/fs/cgroup/memory.max")
_UNKNOWN = 2**34


def total() -> int:
    """Bytes of memory of the machine, or of the container; 16 GiB where neither can be told."""
    try:
        found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return _UNKNOWN
    try:
        return min(found, int(_LIMIT_OF_CONTAINER.read_text()))
    except (OSError, ValueError):  # no such file, or "max"
        return found


def words(size: int) -> str:
    """A number of bytes for an error: "12.3 GB"."""
    return f"{size / 1e9:,.1f} GB"
