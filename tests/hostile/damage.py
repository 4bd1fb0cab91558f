"""Damage of any file: bytes that are flipped, cut or doubled, and JSON that is something else."""

import copy
import random
from collections.abc import Iterator
from typing import Any

WORDS: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 255, 2**31 - 1, 2**31, -(2**31), 2**63, 10**30, 0.5, -0.0,
    1e308, -1e308, 1e-320, float("nan"), float("inf"), "", "x", "inf", "-inf", "NaN", "\ud800",
    "\x00", "\x1b[31m", "../../x", "/", "<script>", "é" * 300, "a" * 70_000, [], {}, [[]], [None],
    [0], [1, 2], ["x"], [1] * 40, {"a": 1}, {"class_name": "x"}, {"class_name": 1, "config": None},
)  # fmt: skip
"""What stands where something else is expected."""
NAMES = (
    "[/x]", "[red]", "[link=file:///]", ":smile:", "\x1b[2J", "\x1b]0;x\x07", "\r", "\t", "\n",
    "\x00", "\u202e", "\x9b31m", "</script>", "<img src=x onerror=x()>", "{{ 1 }}", "%s", "..",
    "/", "$\\x$",
    "inf", "é", "名", "", " ", "a" * 3000, "'", '"', ",", "=1+1",
)  # fmt: skip
"""Names that mean something to what shows them."""


def bytes_of(rng: random.Random, content: bytes) -> bytes:
    """The content with one to some dozens of places damaged."""
    damaged = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 2, 4, 16, 64])):
        at = rng.randrange(len(damaged) or 1)
        size = rng.choice([1, 2, 4, 8, 64])
        kind = rng.random()
        if kind < 0.35:
            damaged[at : at + 1] = bytes([rng.randrange(256)])
        elif kind < 0.55:
            damaged[at : at + 1] = bytes([(damaged[at] if damaged else 0) ^ 1 << rng.randrange(8)])
        elif kind < 0.8:
            damaged[at : at + size] = bytes([rng.choice([0, 1, 127, 128, 255])]) * size
        elif kind < 0.88:
            del damaged[at : at + size]
        elif kind < 0.94:
            damaged[at:at] = damaged[: 8 * size]
        else:
            other = rng.randrange(len(damaged) or 1)
            damaged[at : at + size] = damaged[other : other + size]
    if rng.random() < 0.1:
        del damaged[rng.randrange(len(damaged) or 1) :]
    return bytes(damaged)


def tree(rng: random.Random, record: Any, more: tuple[Any, ...] = ()) -> Any:
    """A JSON record with one to four values gone, doubled, moved or replaced.

    Args:
        rng: draws the damage.
        record: stays as it is.
        more: further values to put in, beside `WORDS`.
    """
    changed = copy.deepcopy(record)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        known = list(places(changed))
        if not known:
            return changed
        holder, key = rng.choice(known)
        kind = rng.random()
        if kind < 0.15:
            del holder[key]
        elif kind < 0.25 and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        elif kind < 0.35 and isinstance(holder[key], list):
            holder[key] = holder[key][: rng.randrange(3)]
        elif kind < 0.5:
            other, of = rng.choice(known)
            holder[key] = copy.deepcopy(other.get(of) if isinstance(other, dict) else other[of])
        else:
            holder[key] = copy.deepcopy(rng.choice((*WORDS, *more)))
    return changed


def places(record: Any) -> Iterator[tuple[Any, Any]]:
    """Every (holder, key) in a JSON record; of long lists the first eight."""
    if not isinstance(record, (dict, list)):
        return
    for key in list(record) if isinstance(record, dict) else range(min(len(record), 8)):
        yield record, key
        yield from places(record[key])
