"""What an analysis comes to: records, and the text of `results.json` (`jsonvalues`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tfqdyn.network.folding import ORIGINAL
from tfqdyn.results.jsonvalues import ONE_ALONE, beside
from tfqdyn.results.spreads import Spread

SCHEMA = 1
SOURCES = ("input", "weights", "accumulator", "requantization", "clipping")
"""The keys of `OwnError.source_sqnr_db`; what they mean says `ownerror`."""


@dataclass(frozen=True)
class WeightRow:
    """A kernel's statistics; see `layerstats.WeightStats`."""

    range: float
    average_precision: float
    sparsity: float
    kurtosis: float
    kl_to_uniform: float


@dataclass(frozen=True)
class ActivationRow:
    """Calibrated range of a layer's fp32 output, and the mean of its channels' over it."""

    range: Spread
    average_precision: Spread


@dataclass(frozen=True)
class ChannelRow:
    """Figures per output channel, each [C]; weights are None for layers without a kernel.

    `batch_norm_variance` and `batch_norm_epsilon` are those of the batch norm that was folded in;
    a channel's folded weights lie in [low, low + range], `low` being `folded_weight_low`.
    """

    weight_range: tuple[float, ...] | None
    folded_weight_range: tuple[float, ...] | None
    folded_weight_precision: tuple[float, ...] | None
    activation_range: tuple[float, ...]
    activation_precision: tuple[float, ...]
    sqnr_db: tuple[float, ...]
    batch_norm_variance: tuple[float, ...] | None = None
    batch_norm_epsilon: float | None = None
    folded_weight_low: tuple[float, ...] | None = None


@dataclass(frozen=True)
class HistogramRow:
    """Counts of a layer's fp32 and dequantized values in equal bins over [low, high], one trial's.

    Values beyond the edges are counted in the end bins.
    """

    low: float
    high: float
    fp32: tuple[int, ...]
    quantized: tuple[int, ...]


@dataclass(frozen=True)
class KernelGrid:
    """How a kernel is stored: one scale and zero point a tensor, or [C] of them, one a channel.

    Both are empty where it is stored in floats, and not rounded by a simulation either.
    """

    dtype: str
    scale: tuple[float, ...]
    zero_point: tuple[int, ...]


@dataclass(frozen=True)
class OwnError:
    """What a layer makes itself: its quantized op, fed with fp32 input.

    Errors are those of the op as it is quantized, so what a remedy changed before it is inherited.

    Attributes:
        qmse: mean squared error.
        sqnr_db: mean of the images' SQNR, without the `sqnr_infinite` images where it is none or
            infinite.
        inherited_qmse: the rest of the layer's QMSE; below 0 where errors cancel.
        bias_share: share of `qmse` that is a constant shift of channels, in [0, 1].
        source_sqnr_db: pooled SQNR with one of `SOURCES` alone (Sheng et al., slide 5).
        saturated_share: share of values that a bounded ReLU cuts off in fp32 already.
        sqnr_pooled_db: SQNR of the sums over all images; None in runs written before it was, like
            `sqnr_infinite`.
    """

    qmse: Spread
    sqnr_db: Spread
    inherited_qmse: Spread
    bias_share: Spread
    source_sqnr_db: Mapping[str, Spread]
    saturated_share: float
    sqnr_pooled_db: Spread | None = None
    sqnr_infinite: Spread | None = None

    @property
    def sqnr(self) -> Spread:
        """The SQNR to decide on: pooled, or the mean in runs that have no other."""
        return self.sqnr_pooled_db or self.sqnr_db


@dataclass(frozen=True)
class LayerResult:
    """One row of the layer table; see the docs, "How to read each metric".

    `quantization` lists (scale, zero point) per trial, None where the layer runs in fp32; `dtype`
    is that of the codes, and `kernel_grid` how the kernel is stored, in the first trial. `flags`
    are remarks in words. `rms` is the root mean square of the fp32 activations, like `sparsity` and
    `kurtosis`. Per-channel values of activations are means over the trials; per-channel
    SQNR is that of the sums over all trials; `histogram` is the first trial's.

    `own` is what the layer makes itself, None unless asked for.

    `reference` is whose fp32 values the row is held against: "original", the network that the user
    gave, or "remedied" where a remedy put the row's values on another scale or added the row.

    `sqnr_db` is the mean of the images' SQNR, without the `sqnr_infinite` images where it is none
    or infinite; `sqnr_pooled_db` that of the sums over all images, which diagnosis and tables
    decide on. Runs written before `sqnr_infinite` was have None.

    `operator` is the index of what writes the row's output in the first trial's .tflite file; None
    where no file ran.

    `weight_bits` and `activation_bits` are those of a simulation; None where a .tflite file ran,
    or the row stays in fp32 (`weight_bits` also without a kernel).
    """

    number: int | None
    name: str
    kind: str
    output_shape: tuple[int, ...]
    producers: tuple[str, ...]
    macs: int
    params: int
    weights: WeightRow | None
    folded_weights: WeightRow | None
    activations: ActivationRow
    qmse: Spread
    qce: Spread
    qkl_div: Spread
    entropy: Spread
    sqnr_db: Spread
    sqnr_pooled_db: Spread
    outside_share: Spread
    clipped_share: Spread
    rms: float
    sparsity: float
    kurtosis: float
    kl_to_uniform: Spread
    quantization: tuple[tuple[float, int] | None, ...]
    channels: ChannelRow
    flags: tuple[str, ...] = ()
    own: OwnError | None = field(
        default=None,
        metadata=beside(
            qmse="own_qmse",
            sqnr_db="own_sqnr_db",
            inherited_qmse="inherited_qmse",
            bias_share="own_bias_share",
            source_sqnr_db="source_sqnr_db",
            saturated_share="saturated_share",
            sqnr_pooled_db="own_sqnr_pooled_db",
            sqnr_infinite="own_sqnr_infinite",
        ),
    )
    sqnr_infinite: Spread | None = None
    weight_bits: int | None = None
    activation_bits: int | None = None
    histogram: HistogramRow | None = None
    dtype: str = "uint8"
    kernel_grid: KernelGrid | None = None
    reference: str = ORIGINAL
    operator: int | None = None


@dataclass(frozen=True)
class ModelRecord:
    """The network: its name, numbers and sizes, and codes at exact ties in every trial's file.

    Parameters are those of the folded network; multiply-accumulates are for one image.
    """

    name: str
    parameters: int
    macs: int
    bytes_fp32: int
    bytes_quantized: int
    weight_ties: tuple[int, ...] = ()


@dataclass(frozen=True)
class InputRecord:
    """An input's name, and the root mean square of the preprocessed images that were scored."""

    name: str
    rms: float


@dataclass(frozen=True)
class DataRecord:
    """The images that are scored, and those that calibrate.

    Attributes:
        name: of the dataset.
        images: how many are scored; rounded mean where trials score different ones.
        sha256: of the scored images and their labels, for each set of trials that score the same.
        input: of the network, the first of several; None in runs written before it was recorded.
        scored: positions in `x_test`, for each of these sets.
        calibration_split: "x_train", or "x_test" where that is all there is.
        calibration_images: for every trial the positions of its calibration images.
        inputs: all inputs of the network; () in runs written before there were several.
    """

    name: str
    images: int
    sha256: tuple[str, ...] = field(metadata=ONE_ALONE)
    input: InputRecord | None = None
    scored: tuple[tuple[int, ...], ...] = field(default=(), metadata=ONE_ALONE)
    calibration_split: str = ""
    calibration_images: tuple[tuple[int, ...], ...] = ()
    inputs: tuple[InputRecord, ...] = ()
