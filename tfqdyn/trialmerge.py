"""Several one-trial runs as one run of several trials.

Where calibration and scoring share one set of images, every trial scores the images that its own
calibration left out, so each is a run of its own. Figures over trials are joined; figures that a
run has once (fp32 accuracy, sparsity, ...) become their mean over the runs; histograms are those of
the first run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from tfqdyn.results import RunResult, Spread, spread

_PER_TRIAL = ("quantization",)
_FIRST = ("histogram",)
"""Fields whose edges differ from trial to trial: the first trial's are kept."""


def merge(runs: Sequence[RunResult]) -> RunResult:
    """One run of all trials, in order; all runs are of one network and configuration.

    `data.scored` lists the scored images of every trial.

    Raises:
        ValueError: no runs.
    """
    if not runs:
        raise ValueError("expected at least one run, received none")
    if len(runs) == 1:
        return runs[0]
    first = runs[0]
    data = dict(first.data)
    data["scored"] = [run.data["scored"] for run in runs]
    data["sha256"] = [run.data["sha256"] for run in runs]
    data["images"] = round(float(np.mean([run.data["images"] for run in runs])))
    data["calibration_images"] = [d for run in runs for d in run.data["calibration_images"]]
    return replace(
        first,
        config={**first.config, "trials": len(runs)},
        model={**first.model, "weight_ties": [t for r in runs for t in r.model["weight_ties"]]},
        data=data,
        summary=_merged([run.summary for run in runs]),
        layers=tuple(
            _merged(list(rows)) for rows in zip(*(run.layers for run in runs), strict=True)
        ),
        notes=tuple(dict.fromkeys(note for run in runs for note in run.notes)),
        tflite=tuple(content for run in runs for content in run.tflite),
    )


def _merged(values: Sequence[Any], name: str = "") -> Any:
    first = values[0]
    if name in _FIRST:
        return first
    if isinstance(first, Spread):
        return spread([trial for value in values for trial in value.trials])
    if is_dataclass(first) and not isinstance(first, type):
        joined = {
            f.name: _merged([getattr(v, f.name) for v in values], f.name) for f in fields(first)
        }
        return replace(first, **joined)
    if isinstance(first, Mapping):
        return {key: _merged([value[key] for value in values]) for key in first}
    if name in _PER_TRIAL:
        return tuple(item for value in values for item in value)
    if isinstance(first, float):
        return float(np.mean(values))
    if isinstance(first, tuple) and first and isinstance(first[0], float):
        with np.errstate(invalid="ignore"):  # channels of infinite SQNR
            return tuple(float(x) for x in np.mean(values, axis=0))
    return first
