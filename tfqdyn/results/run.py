"""One analysis, whole: what commands return, write and read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from tfqdyn.results import shown
from tfqdyn.results.jsonvalues import plain
from tfqdyn.results.records import SCHEMA, DataRecord, LayerResult, ModelRecord
from tfqdyn.results.summaries import Summary


@dataclass(frozen=True, eq=False, repr=False)
class RunResult:
    """Everything about one analysis.

    `tflite` holds every trial's converted model, `warnings` what forbids conclusions from the run,
    and `paths` the "model", "data", "out" and, if given, "import" of the command line that asked
    for it, if one did.
    """

    config: Mapping[str, Any]
    seed: int
    versions: Mapping[str, str]
    model: ModelRecord
    data: DataRecord
    summary: Summary
    layers: tuple[LayerResult, ...]
    skipped: Mapping[str, str]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    paths: Mapping[str, str] = field(default_factory=dict)
    tflite: tuple[bytes, ...] = ()

    @property
    def trials(self) -> int:
        """How many trials it has."""
        return len(self.layers[0].qmse.trials) if self.layers else 0

    def named(self, name: str) -> "RunResult":
        """The same, with another name for the network."""
        return replace(self, model=replace(self.model, name=name))

    def to_json(self) -> str:
        """The text of `results.json`."""
        record = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "tflite"}
        return json.dumps(plain({"schema": SCHEMA, **record}), indent=1, allow_nan=False)

    def to_dataframe(self) -> Any:
        """A pandas data frame with one row per layer, and the columns of `layers.csv`.

        Raises:
            ImportError: pandas is not installed.
        """
        return shown.to_dataframe(self.layers)

    def __repr__(self) -> str:
        return shown.to_line(self)

    def _repr_html_(self) -> str:
        """What a notebook shows of it."""
        return shown.to_html(self)
