"""Files of a run: its record, its tables, and the state that it goes on from; see `wholefiles`."""

import contextlib
import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfqdyn.files import wholefiles


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Writes a record as indented JSON."""
    wholefiles.write(path, (json.dumps(record, indent=2, default=str) + "\n").encode())


def read_table(path: Path) -> list[dict[str, Any]]:
    """The rows of a run's `history.csv`, `dynamics.csv` or `speed.csv`; numbers as numbers.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    with path.open(newline="") as file:
        return [{key: _number(text) for key, text in row.items()} for row in csv.DictReader(file)]


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


class Table:
    """A CSV file that grows by epochs and can be cut back to one.

    Attributes:
        rows: Rows as text, so that what was read is written again unchanged.
    """

    def __init__(self, path: Path, until_epoch: int = 0) -> None:
        """Opens a table; rows of later epochs than `until_epoch` are dropped."""
        self._path = path
        self.rows: list[dict[str, str]] = []
        if path.exists() and until_epoch:
            rows = csv.DictReader(io.StringIO(path.read_text()))
            self.rows = [row for row in rows if int(row["epoch"]) <= until_epoch]

    def extend(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Adds rows, all of the same columns, and writes the file."""
        self.rows += [{key: str(value) for key, value in row.items()} for row in rows]
        text = io.StringIO()
        writer = csv.DictWriter(text, list(self.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        wholefiles.write(self._path, text.getvalue().encode())


class State:
    """The resumable state of a run: all variables of model and optimizer, and the epochs done.

    Variables include batch statistics, momentum and the states of all seed generators (dropout,
    augmentation); the order of images follows from seed and epoch (`inputs.Batches`). Together
    they decide the rest of the run.
    """

    def __init__(self, path: Path, model: keras.Model) -> None:
        """Binds a file to a compiled model whose optimizer is built."""
        self._path = path
        measured = {id(variable) for variable in model.metrics_variables}
        own = [variable for variable in model.variables if id(variable) not in measured]
        self._variables = [*own, *model.optimizer.variables]

    def save(self, epochs_done: int) -> None:
        """Writes the state after `epochs_done` epochs."""
        arrays: dict[str, Any] = {
            f"v{place}": np.asarray(keras.ops.convert_to_numpy(variable))
            for place, variable in enumerate(self._variables)
        }
        with wholefiles.replacing(self._path) as temporary, temporary.open("wb") as file:
            np.savez(file, epochs_done=np.int64(epochs_done), **arrays)

    def restore(self) -> int:
        """Restores the variables if there is a file.

        Returns:
            The number of epochs done; 0 without a file.

        Raises:
            ValueError: If the file is of another network or optimizer.
        """
        if not self._path.exists():
            return 0
        with np.load(self._path) as arrays:
            stored = [arrays[f"v{place}"] for place in range(len(arrays.files) - 1)]
            epochs_done = int(arrays["epochs_done"])
        expected = [tuple(variable.shape) for variable in self._variables]
        found = [array.shape for array in stored]
        if expected != found:
            raise ValueError(
                f"{self._path} holds the state of another network or optimizer: expected "
                f"{len(expected)} variables, found {len(found)}, or their shapes differ. "
                "Choose another workdir, or delete this one."
            )
        for variable, array in zip(self._variables, stored, strict=True):
            variable.assign(array)
        return epochs_done
