"""Figures of the whole network: accuracies and their loss, outputs, metrics of the task."""

from collections.abc import Sequence
from dataclasses import dataclass

from tfqdyn.results.spreads import Spread


@dataclass(frozen=True)
class Loss:
    """What quantization costs: fp32 and quantized network on the same images, in every trial.

    Attributes:
        points: fp32 minus quantized accuracy in percentage points; below 0 where it gains.
        interval: 95 % confidence interval of the mean, in points, over images and (from two trials
            up) calibration draws; see `paired.interval`.
        lost: for every trial the images, by position in `x_test`, that only fp32 gets right.
        gained: those that only the quantized network gets right.
        mcnemar_p: for every trial McNemar's exact two-sided p, in [0, 1].
        wrong: the scored images, by position in `x_test`, that the fp32 network gets wrong; with
            `lost` and `gained` it says what every network answers right. None in older runs.
    """

    points: Spread
    interval: tuple[float, float]
    lost: tuple[tuple[int, ...], ...]
    gained: tuple[tuple[int, ...], ...]
    mcnemar_p: tuple[float, ...]
    wrong: tuple[int, ...] | None = None


@dataclass(frozen=True)
class OutputResult:
    """One output of the network, held against the same output in fp32; every figure over trials.

    Attributes:
        name: of the node whose value the model returns.
        shape: without the batch axis.
        qmse: mean over all values of (fp32 - quantized)^2, of the values that the model returns.
        sqnr_db: SQNR in dB of the sums over all images; +inf where there is no error, -inf where
            the fp32 output is 0 throughout and the quantized one is not.
        largest_error: the largest |fp32 - quantized|.
        qkl_div: of outputs that are scores of classes the output QKL-Div in nats; else None.
        changed_answers: of these the share of answers (images, or places of an image) whose best
            class is another one, in [0, 1]; else None.
    """

    name: str
    shape: tuple[int, ...]
    qmse: Spread
    sqnr_db: Spread
    largest_error: Spread
    qkl_div: Spread | None = None
    changed_answers: Spread | None = None


@dataclass(frozen=True)
class MetricResult:
    """A figure of the task, or the user's own: of the fp32 network and of every trial's."""

    name: str
    fp32: float
    quantized: Spread


@dataclass(frozen=True)
class DeployedKernels:
    """The same files on the kernels that applications get, where all else is of the built-in ones.

    Attributes:
        kernels: which ones: the package with its version, and TFLite's op resolver.
        accuracy: top-1, a fraction of 1; None without labels.
        changed_answers: share of images whose best class is another one than on the built-in
            kernels, in [0, 1].
    """

    kernels: str
    accuracy: Spread | None
    changed_answers: Spread


@dataclass(frozen=True)
class Summary:
    """Figures of the whole network; accuracies are fractions of 1 (top-5 from 20 classes up).

    `fp32_accuracy`, `loss` and the distances of outputs are against the network that the user gave;
    `changed_fp32_accuracy` is that of the network as remedies or training left it, None where that
    is still the one given. Where trials score different images, both are over those of all trials.
    `percent_accuracy_decrease` is an absolute value, the works' figure; `loss` has the sign.

    What speaks of classes is None where there are none: `qmse`, `qce` and `qkl_div` (of softmax
    outputs) where the network does not end in one score per class, accuracies and `loss` also where
    there are no labels. `outputs` has every output of the network; runs written before there were
    any have (). `task` is what the labels are held against the outputs as, and `metrics` its
    figures and the user's own. `deployed` is None where no file that classifies was run.
    """

    fp32_accuracy: float | None
    quantized_accuracy: Spread | None
    percent_accuracy_decrease: Spread | None
    qmse: Spread | None
    qce: Spread | None
    qkl_div: Spread | None
    fp32_top5_accuracy: float | None = None
    quantized_top5_accuracy: Spread | None = None
    loss: Loss | None = None
    changed_fp32_accuracy: float | None = None
    outputs: tuple[OutputResult, ...] = ()
    task: str | None = None
    metrics: tuple[MetricResult, ...] = ()
    deployed: DeployedKernels | None = None

    @property
    def distance(self) -> float:
        """How far the outputs are from fp32, over all trials; 0 is best.

        The output QKL-Div in nats where there is one, else the mean over the outputs of noise over
        signal, the inverse of their SQNR.
        """
        if self.qkl_div is not None:
            return self.qkl_div.mean
        return mean_noise([trial for output in self.outputs for trial in output.sqnr_db.trials])


def mean_noise(decibels: Sequence[float]) -> float:
    """Mean of noise over signal, of SQNRs in dB."""
    return sum(10.0 ** (-value / 10.0) for value in decibels) / len(decibels)
