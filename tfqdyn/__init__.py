"""tfqdyn: why a Keras network loses accuracy in 8 bits, in which layer, and what brings it back.

    result = tfqdyn.load("runs/net")      a run that `tfqdyn analyze` wrote
    tfqdyn.pipeline.analyze(...)          the same analysis in Python
    tfqdyn.remedies.remedy(...)           the cure

Importing `tfqdyn` loads neither TensorFlow nor matplotlib.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfqdyn.results import RunResult

__version__ = "0.2.0"


def load(folder: str | os.PathLike[str]) -> RunResult:
    """The run in a folder that `tfqdyn analyze`, or another command, wrote.

    Raises:
        ValueError: it is not a run folder, or its `results.json` is not of the format.
    """
    from pathlib import Path

    from tfqdyn.results import restore

    return restore.load(Path(folder))
