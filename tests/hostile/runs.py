"""`results.json`: other types, missing keys, other versions, and what is no JSON."""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile import damage
from hostile.attempts import command, compare_runs
from hostile.material import Material

Attempt = Callable[[], Any]


def opened(folder: Path, rng: random.Random) -> Attempt:
    """Compared with the sound run, in either order; one in twenty by the command."""
    runs = [folder / "bad", folder / "good"]
    rng.shuffle(runs)
    if rng.random() < 0.05:
        return lambda: command("compare", *map(str, runs), f"--out={folder}/out")
    return lambda: compare_runs(runs, folder / "out")


def _folders(folder: Path, material: Material) -> Path:
    for name in ("bad", "good"):
        (folder / name).mkdir()
    (folder / "good" / "results.json").write_bytes(material.content("run/results.json"))
    return folder / "bad" / "results.json"


def trees(rng: random.Random, number: int, folder: Path, material: Material) -> Attempt:
    """Values gone, doubled, moved or replaced."""
    path = _folders(folder, material)
    path.write_text(json.dumps(damage.tree(rng, material.record())))
    return opened(folder, rng)


def keys(rng: random.Random, number: int, folder: Path, material: Material) -> Attempt:
    """The keys near the top: versions, sections, the first layers' fields."""
    path, record = _folders(folder, material), material.record()
    holder = rng.choice([
        record, record, record["model"], record["data"], record["summary"], record["layers"][0],
        record["layers"][0]["qmse"], rng.choice(record["layers"]),
        rng.choice(record["layers"])["channels"],
    ])  # fmt: skip
    if not isinstance(holder, dict):
        holder = record
    name = rng.choice(list(holder))
    if rng.random() < 0.4:
        del holder[name]
    else:
        holder[name] = rng.choice(damage.WORDS)
    if rng.random() < 0.1:
        record["schema"] = rng.choice([0, 2, "1", 1.5, None, [1], True])
    path.write_text(json.dumps(record))
    return opened(folder, rng)


def names(rng: random.Random, number: int, folder: Path, material: Material) -> Attempt:
    """Names and remarks that terminals, Rich or HTML would obey; shown by the command."""
    path, record = _folders(folder, material), material.record()
    for _ in range(rng.choice([1, 4])):
        layer, odd = rng.choice(record["layers"]), rng.choice(damage.NAMES)
        kind = rng.randrange(4)
        if kind == 0:
            layer["name"] = odd
        elif kind == 1:
            layer["kind"] = odd
        elif kind == 2:
            record["model"]["name"] = record["data"]["name"] = odd
        else:
            layer["flags"] = record["notes"] = [odd]
    path.write_text(json.dumps(record))
    runs = [str(folder / "bad"), str(folder / "good")]
    return lambda: command("compare", *runs, f"--out={folder}/out")


def file_bytes(rng: random.Random, number: int, folder: Path, material: Material) -> Attempt:
    """Bytes changed, cut or added."""
    path = _folders(folder, material)
    path.write_bytes(damage.bytes_of(rng, material.content("run/results.json")))
    return opened(folder, rng)


def others(rng: random.Random, number: int, folder: Path, material: Material) -> Attempt:
    """What is no record at all, and no file."""
    path = _folders(folder, material)
    kind = rng.randrange(8)
    if kind == 0:
        path.write_text(rng.choice(["", "{", "[]", "3", "null", '"x"', '{"schema": 1}', "{}"]))
    elif kind == 1:
        path.write_text(rng.choice(["[", '{"schema":']) * rng.choice([999, 100_000]))
    elif kind == 2:
        digits = "9" * rng.choice([20, 5000, 100_000])
        path.write_text('{"schema": ' + digits + "}")
    elif kind == 3:
        path.write_bytes(
            rng.choice([b"\xff\xfe{}", b"\xef\xbb\xbf{}", b"\x00", rng.randbytes(500)])
        )
    elif kind == 4:
        os.mkfifo(path)
    elif kind == 5:
        path.mkdir()
    elif kind == 6:
        path.symlink_to(rng.choice(["/dev/zero", str(path), "nowhere", "/proc/self/mem"]))
    else:
        text = material.content("run/results.json").decode()
        path.write_text(
            text.replace('"mean": ', rng.choice(['"mean": 1e999', '"mean": NaN, "m": ']))
        )
    return opened(folder, rng)
