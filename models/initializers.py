"""The twelve weight initializations of the thesis, as Keras initializers.

Source: thesis Table 4.1 with Equations 4.6 to 4.10. Fans are Keras' own:

* convolution kernel (k, k, Ci, Co): fan_in = k k Ci, fan_out = k k Co;
* depthwise kernel (k, k, C, 1): fan_in = k k C, fan_out = k k. The true fan-in of a depthwise
  channel is k k, so Glorot and He draw weights about sqrt(C) too small there: these are the
  vanishing activations of the thesis' depthwise networks without batch normalization;
* group kernel (k, k, Ci/g, Co): fan_in = k k Ci/g, fan_out = k k Co.

Glorot and He normal are truncated at two standard deviations and rescaled, as Keras does it.

Every call of `make` returns a fresh object: a Keras initializer draws the same values each time it
is used, so sharing one between two layers of equal shape would make them equal.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, get_args

import keras

InitScope = Literal["depthwise", "pointwise", "both"]

INIT_SCOPES: tuple[str, ...] = get_args(InitScope)

DEFAULT = "GlorotUni"

_Strategy = tuple[type[keras.initializers.Initializer], dict[str, Any]]

# ModGlorotUni(C) draws from U(+-sqrt(C / (fan_in + fan_out))) (Eq. 4.10); Keras' VarianceScaling
# with fan_avg draws from U(+-sqrt(6 scale / (fan_in + fan_out))), hence scale = C / 6.
STRATEGIES: Mapping[str, _Strategy] = MappingProxyType(
    {
        "RandNorm_Large": (keras.initializers.RandomNormal, {"stddev": 1.0}),
        "RandNorm_Med": (keras.initializers.RandomNormal, {"stddev": 0.5}),
        "RandNorm_Small": (keras.initializers.RandomNormal, {"stddev": 0.1}),
        "RandUni_Large": (keras.initializers.RandomUniform, {"minval": -1.0, "maxval": 1.0}),
        "RandUni_Med": (keras.initializers.RandomUniform, {"minval": -0.5, "maxval": 0.5}),
        "RandUni_Small": (keras.initializers.RandomUniform, {"minval": -0.25, "maxval": 0.25}),
        "ModGlorotUni_Large": (
            keras.initializers.VarianceScaling,
            {"scale": 1296 / 6, "mode": "fan_avg", "distribution": "uniform"},
        ),
        "ModGlorotUni_Med": (
            keras.initializers.VarianceScaling,
            {"scale": 36 / 6, "mode": "fan_avg", "distribution": "uniform"},
        ),
        "GlorotUni": (keras.initializers.GlorotUniform, {}),
        "GlorotNorm": (keras.initializers.GlorotNormal, {}),
        "HeUni": (keras.initializers.HeUniform, {}),
        "HeNorm": (keras.initializers.HeNormal, {}),
    }
)


def make(name: str) -> Any:
    """Makes a fresh initializer of thesis Table 4.1.

    Its values follow the global seed (`keras.utils.set_random_seed`).

    Args:
        name: A key of `STRATEGIES`, for instance `"HeNorm"`.

    Returns:
        A new `keras.initializers.Initializer` (Keras annotates its layers' arguments as text).

    Raises:
        ValueError: If the name is none of the twelve; the message lists them.
    """
    if name not in STRATEGIES:
        raise ValueError(f"Unknown initializer {name!r}. Valid choices: {', '.join(STRATEGIES)}.")
    cls, arguments = STRATEGIES[name]
    return cls(**arguments)
