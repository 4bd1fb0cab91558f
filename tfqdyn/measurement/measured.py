"""What one pass over images is given and what it comes to; see `streaming`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.measurement.gauges import Gauge
from tfqdyn.measurement.layerstats import PairSums, ValueSums
from tfqdyn.measurement.outputs import OutputSums
from tfqdyn.measurement.tasks import Plan
from tfqdyn.network.folding import Folded
from tfqdyn.quantization.calibration import SiteRange
from tfqdyn.quantization.deployed import Deployed


@dataclass(frozen=True, eq=False)
class Fp32:
    """fp32 values of a chunk of images.

    Attributes:
        rows: of every row [N, ...], what its quantized values are held against.
        outputs: of the network that the user gave, [N, ...] each.
        logits: what class scores among them are made of, else the outputs themselves.
        changed_logits: of the plan's main output in the network as remedies or training left it
            [N, ...]; None where that is still the one given.
    """

    rows: list[NDArray[np.float32]]
    outputs: list[NDArray[np.float32]]
    logits: list[NDArray[np.float32]]
    changed_logits: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class Trial:
    """One calibration draw: the network, ranges of its sites, and what is deployed of it.

    Attributes:
        folded: the network in fp32.
        sites: the range of every deployed row.
        deployed: the network with these ranges.
    """

    folded: Folded
    sites: Sequence[SiteRange]
    deployed: Deployed


@dataclass(frozen=True, eq=False)
class Measured:
    """What the pass came to: trials that score the same images.

    Attributes:
        trials: what was run.
        scored: positions of the images in their source, [N].
        values: for every row the description of its fp32 activations.
        pairs: for every trial and row the comparison.
        plan: what was measured of the outputs.
        outputs: for every trial and output the comparison.
        logits: fp32 logits [N, K], float32, of the main output of the network that the user gave;
            None, like the next three, where no output is one.
        changed_logits: of the network as remedies or training left it [N, K]; None also where that
            is still the one given.
        quantized_logits: for every trial the dequantized logits [N, K].
        scores: for every trial the deployed model's output codes [N, K].
        gauges: of the fp32 network, then of every trial's, what `Plan.gauges` makes.
        powers: for every input the mean square of every preprocessed image [N].
        digests: SHA-256 of every image.
    """

    trials: Sequence[Trial]
    scored: NDArray[np.int64]
    values: Sequence[ValueSums]
    pairs: Sequence[Sequence[PairSums]]
    plan: Plan
    outputs: Sequence[Sequence[OutputSums]]
    logits: NDArray[np.float32] | None
    changed_logits: NDArray[np.float32] | None
    quantized_logits: Sequence[NDArray[np.float64]]
    scores: Sequence[NDArray]
    gauges: Sequence[Sequence[Gauge]]
    powers: Sequence[NDArray[np.float64]]
    digests: Sequence[bytes]

    def merge(self, other: "Measured") -> "Measured":
        """What both came to: the same trials on the images of one, then of the other."""
        return Measured(
            trials=self.trials,
            scored=np.concatenate([self.scored, other.scored]),
            values=_merged(self.values, other.values),
            pairs=_each(_merged, self.pairs, other.pairs),
            plan=self.plan,
            outputs=_each(_merged, self.outputs, other.outputs),
            logits=_joined(self.logits, other.logits),
            changed_logits=_joined(self.changed_logits, other.changed_logits),
            quantized_logits=_each(_joined, self.quantized_logits, other.quantized_logits),
            scores=_each(_joined, self.scores, other.scores),
            gauges=_each(_merged, self.gauges, other.gauges),
            powers=_each(_joined, self.powers, other.powers),
            digests=[*self.digests, *other.digests],
        )


def _each(join: Callable[[Any, Any], Any], own: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    return [join(a, b) for a, b in zip(own, others, strict=True)]


def _merged(own: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    """Sums of the same things, each with its counterpart."""
    return [a.merge(b) for a, b in zip(own, others, strict=True)]


def _joined(own: NDArray | None, others: NDArray | None) -> Any:
    return None if own is None or others is None else np.concatenate([own, others])
