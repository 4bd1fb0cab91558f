"""Thesis, Table 4.1: the twelve initializations with the values that were chosen for them.

    python -m experiments.run --artifact=weight_init/table_4_1 --scale=reduced

Beside the table's values what Keras draws from them here: deviation and largest size of a kernel of
3 x 3 x 64 x 64, and the deviation that Equations 4.6 to 4.10 ask for (fans of 576 both; Glorot and
He normal are truncated at two deviations and rescaled, so that theirs stays).

Cost: a second.
"""

import math
from collections.abc import Mapping, Sequence

from experiments.engine.artifact import Artifact, Row, Scope
from experiments.engine.store import Store
from models import initializers

KERNEL = (3, 3, 64, 64)
FAN = 3 * 3 * 64
"""Of the kernel, in and out."""
PUBLISHED: Mapping[str, tuple[float | None, float | None, float | None]] = {
    "RandNorm_Large": (1.0, None, None),
    "RandNorm_Med": (0.5, None, None),
    "RandNorm_Small": (0.1, None, None),
    "RandUni_Large": (None, 1.0, None),
    "RandUni_Med": (None, 0.5, None),
    "RandUni_Small": (None, 0.25, None),
    "ModGlorotUni_Large": (None, None, 1296.0),
    "ModGlorotUni_Med": (None, None, 36.0),
    "GlorotUni": (None, None, None),
    "GlorotNorm": (None, None, None),
    "HeUni": (None, None, None),
    "HeNorm": (None, None, None),
}
"""Standard deviation, largest size, and C."""


def asked_for(name: str) -> float:
    """The standard deviation that table and equations give the kernel."""
    deviation, bound, constant = PUBLISHED[name]
    if deviation is not None:
        return deviation
    if bound is not None:
        return bound / math.sqrt(3)
    if constant is not None:
        return math.sqrt(constant / (2 * FAN) / 3)  # Eq. 4.10
    return math.sqrt(2 / FAN) if name.startswith("He") else math.sqrt(2 / (2 * FAN))


def rows(scope: Scope, store: Store) -> Sequence[Row]:
    """A row an initialization."""
    import keras
    import numpy as np

    found: list[Row] = []
    for name, (deviation, bound, constant) in PUBLISHED.items():
        keras.utils.set_random_seed(scope.seed)
        kernel = np.asarray(keras.ops.convert_to_numpy(initializers.make(name)(KERNEL)), float)
        found.append(
            {
                "initialization": name,
                "published_std": deviation,
                "published_bound": bound,
                "published_c": constant,
                "std_of_equations": asked_for(name),
                "std": float(kernel.std()),
                "largest": float(np.abs(kernel).max()),
            }
        )
    return found


ARTIFACT = Artifact(
    "weight_init/table_4_1",
    "Thesis, Table 4.1",
    "The twelve initializations, and what they draw for a kernel of 3 x 3 x 64 x 64",
    lambda scope: [],
    rows,
)
