"""All remedies by name."""

from collections.abc import Callable, Sequence

from tfqdyn.network.folding import Folded
from tfqdyn.remedies.adaround import adaround
from tfqdyn.remedies.analytic import bias_correction_analytic
from tfqdyn.remedies.bias_correction import bias_correction
from tfqdyn.remedies.equalization import equalization, equalization_relu
from tfqdyn.remedies.images import CalibrationImages
from tfqdyn.remedies.mixed_precision import mixed_precision
from tfqdyn.remedies.record import Remedied
from tfqdyn.remedies.weight_clipping import weight_clipping
from tfqdyn.remedies.zero_variance import zero_variance

REMEDIES: dict[str, Callable[[Folded, CalibrationImages], Remedied]] = {
    "zero_variance": zero_variance,
    "equalization": equalization,
    "equalization_relu": equalization_relu,
    "weight_clipping": weight_clipping,
    "adaround": adaround,
    "mixed_precision": mixed_precision,
    "bias_correction": bias_correction,
    "bias_correction_analytic": bias_correction_analytic,
}
"""In the order in which they are best applied: first what keeps the fp32 function, then what suits
the codes or leaves them, last what corrects what is left."""
AUTO = "auto"
SUITING = ("weight_clipping", "adaround", "bias_correction", "bias_correction_analytic")
"""What suits weights to their codes; equalization would change the codes and must come before."""


def check_names(names: Sequence[str]) -> None:
    """Raises ValueError for a name that is no remedy's, twice there, or in an impossible order."""
    unknown = [name for name in names if name not in REMEDIES]
    if unknown or not names:
        raise ValueError(
            f"--remedies must be '{AUTO}' or some of {list(REMEDIES)}, received "
            f"{', '.join(names) or 'nothing'}"
        )
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise ValueError(f"each remedy once, received {', '.join(twice)} twice")
    for place, name in enumerate(names):
        if name.startswith("equalization") and set(names[:place]) & set(SUITING):
            raise ValueError(
                f"{name} must come before {', '.join(SUITING)}, received {', '.join(names)}"
            )
