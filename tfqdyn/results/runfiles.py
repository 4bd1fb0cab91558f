"""The files of a run: `results.json`, `layers.csv`, and the network of every trial."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tfqdyn.files import wholefiles
from tfqdyn.files.wholefiles import replacing
from tfqdyn.results import layercsv, modelexplorer
from tfqdyn.results.jsonvalues import with_infinities
from tfqdyn.results.records import SCHEMA
from tfqdyn.results.run import RunResult

DRAWN = ("report.html", "layers.png")
"""What commands draw from results; the report comes last."""


def write(result: RunResult, folder: Path) -> None:
    """Writes results.json, layers.csv, every trial's `trial_K.tflite` and, where one ran, the
    files of `modelexplorer` into a folder.

    They take the place of an earlier run's files, and of what was drawn from these, once all are on
    the disk; `results.json` comes last. So a folder that has one holds one run, whole.

    Raises:
        WriteError: the disk is full, or refuses a file; the earlier run is still there.
    """
    files = {f"trial_{trial}.tflite": content for trial, content in enumerate(result.tflite)}
    files |= modelexplorer.files(result)
    files |= {
        "layers.csv": layercsv.text(result.layers).encode(),
        "results.json": result.to_json().encode(),
    }
    wholefiles.prepare(folder)
    with ExitStack() as renamed_in_order:
        for name, content in reversed(files.items()):
            renamed_in_order.enter_context(replacing(folder / name)).write_bytes(content)
        earlier = [*folder.glob("trial_*.tflite"), *folder.glob("model_explorer*.json")]
        for path in (folder / "results.json", *(folder / name for name in DRAWN), *earlier):
            path.unlink(missing_ok=True)


def read(folder: Path) -> dict[str, Any]:
    """The record in a run folder that we wrote; "inf" and "-inf" come back as floats.

    Nothing but its version is checked; `restore.load` reads folders that others made.

    Raises:
        FileNotFoundError: no results.json there.
        ValueError: another schema version.
    """
    record = json.loads((folder / "results.json").read_text())
    if record.get("schema") != SCHEMA:
        raise ValueError(f"expected results of schema {SCHEMA}, received {record.get('schema')}")
    return with_infinities(record)
