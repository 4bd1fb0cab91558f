"""What a file answers as a classifier: outputs -> one score per class."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tfqdyn.numerics.classification import two_classes
from tfqdyn.tflite.file import TfliteModel


def classes_of(model: TfliteModel) -> int | None:
    """How many scores the file's only output has, one a class; None where it is no such output."""
    shape = model.tensors[model.outputs[0]].shape[1:]
    if len(model.outputs) > 1 or not shape or max(shape) != np.prod(shape):
        return None
    return max(shape)


def scores_of(model: TfliteModel, outputs: Sequence[NDArray]) -> NDArray[np.float64]:
    """Scores of classes [N, K], K >= 2, of the only output's values in several runs.

    A single score becomes two: what it is at 0.5 (of a sigmoid) or 0, and itself.
    """
    output = model.tensors[model.outputs[0]]
    last = next((o.kind for o in model.operators if output.index in o.outputs), "")
    threshold = 0.5 if last == "LOGISTIC" else 0.0
    if output.params is not None:
        threshold = float(threshold / output.params.scale + output.params.zero_point)
    classes = classes_of(model) or 1
    scores = np.concatenate([np.asarray(o, np.float64).reshape(-1, classes) for o in outputs])
    return two_classes(scores, threshold)
