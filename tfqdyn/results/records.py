"""What an analysis comes to: records, and their files `results.json` and `layers.csv`.

JSON holds +-infinity as the strings "inf" and "-inf" and an undefined number as null.
"""

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfqdyn.files import wholefiles
from tfqdyn.files.wholefiles import replacing
from tfqdyn.network.folding import ORIGINAL
from tfqdyn.results import layercsv

SCHEMA = 1
SOURCES = ("input", "weights", "accumulator", "requantization", "clipping")
"""The keys of `source_sqnr_db`; what they mean says `ownerror`."""


@dataclass(frozen=True)
class Spread:
    """A figure over trials: mean, standard deviation (ddof = 1; None for one trial), and each."""

    mean: float
    std: float | None
    trials: tuple[float, ...]


def spread(trials: Sequence[float]) -> Spread:
    """Mean and standard deviation of a figure over trials.

    Raises:
        ValueError: no trials.
    """
    if not trials:
        raise ValueError("a spread needs at least one trial, received none")
    values = np.array(trials, np.float64)
    with np.errstate(invalid="ignore"):  # infinite SQNRs: their mean is infinite, their std nan
        std = float(values.std(ddof=1)) if len(values) > 1 else None
        return Spread(float(values.mean()), std, tuple(map(float, values)))


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
class LayerResult:
    """One row of the layer table; see the docs, "How to read each metric".

    `quantization` lists (scale, zero point) per trial, None where the layer runs in fp32; `dtype`
    is that of the codes, and `kernel_grid` how the kernel is stored, in the first trial. `flags`
    are remarks in words. `rms` is the root mean square of the fp32 activations, like `sparsity` and
    `kurtosis`. Per-channel activation figures are means over the trials; per-channel
    SQNR is that of the sums over all trials; `histogram` is the first trial's.

    What is made and what is inherited (None unless asked for): `own_qmse` and `own_sqnr_db` are
    those of the layer's quantized op fed with fp32 input, `inherited_qmse` is the rest of `qmse`
    (below 0 where errors cancel), `own_bias_share` the share of `own_qmse` that is a constant
    shift of channels, `source_sqnr_db` the pooled SQNR with one source of error alone (Sheng et
    al., slide 5; `SOURCES`), `saturated_share` the share of values that a bounded ReLU
    cuts off in fp32 already.

    `reference` is whose fp32 values the row is held against: "original", the network that the user
    gave, or "remedied" where a remedy put the row's values on another scale or added the row. Own
    errors are those of the op as it is quantized, so what a remedy changed before it is inherited.

    `sqnr_db` is the mean of the images' SQNR, without the `sqnr_infinite` images where it is none
    or infinite; `sqnr_pooled_db` that of the sums over all images, which diagnosis and tables
    decide on; the same for `own_sqnr_db`. Runs written before these columns have None.

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
    own_qmse: Spread | None = None
    own_sqnr_db: Spread | None = None
    inherited_qmse: Spread | None = None
    own_bias_share: Spread | None = None
    source_sqnr_db: Mapping[str, Spread] | None = None
    saturated_share: float | None = None
    own_sqnr_pooled_db: Spread | None = None
    own_sqnr_infinite: Spread | None = None
    sqnr_infinite: Spread | None = None
    weight_bits: int | None = None
    activation_bits: int | None = None
    histogram: HistogramRow | None = None
    dtype: str = "uint8"
    kernel_grid: KernelGrid | None = None
    reference: str = ORIGINAL

    @property
    def own_sqnr(self) -> Spread | None:
        """The own SQNR to decide on: pooled, or the mean in runs that have no other."""
        return self.own_sqnr_pooled_db or self.own_sqnr_db


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
    """

    points: Spread
    interval: tuple[float, float]
    lost: tuple[tuple[int, ...], ...]
    gained: tuple[tuple[int, ...], ...]
    mcnemar_p: tuple[float, ...]


@dataclass(frozen=True)
class Summary:
    """Figures of the whole network; accuracies are fractions of 1 (top-5 from 20 classes up).

    `fp32_accuracy`, `loss` and the distances of outputs are against the network that the user gave;
    `changed_fp32_accuracy` is that of the network as remedies or training left it, None where that
    is still the one given. Where trials score different images, both are over those of all trials.
    `percent_accuracy_decrease` is an absolute value, the works' figure; `loss` has the sign.
    """

    fp32_accuracy: float
    quantized_accuracy: Spread
    percent_accuracy_decrease: Spread
    qmse: Spread
    qce: Spread
    qkl_div: Spread
    fp32_top5_accuracy: float | None = None
    quantized_top5_accuracy: Spread | None = None
    loss: Loss | None = None
    changed_fp32_accuracy: float | None = None


@dataclass(frozen=True, eq=False)
class RunResult:
    """Everything about one analysis. `tflite` holds every trial's converted model."""

    config: Mapping[str, Any]
    seed: int
    versions: Mapping[str, str]
    model: Mapping[str, Any]
    data: Mapping[str, Any]
    summary: Summary
    layers: tuple[LayerResult, ...]
    skipped: Mapping[str, str]
    notes: tuple[str, ...] = ()
    tflite: tuple[bytes, ...] = field(default=(), repr=False)

    def to_json(self) -> str:
        """The text of `results.json`."""
        record = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "tflite"}
        return json.dumps(plain({"schema": SCHEMA, **record}), indent=1, allow_nan=False)

    def to_csv(self) -> str:
        """The text of `layers.csv`: a line a layer, without channels and single trials."""
        return layercsv.text(self.layers)


DRAWN = ("report.html", "layers.png")
"""What commands draw from results; the report comes last."""


def write(result: RunResult, folder: Path) -> None:
    """Writes results.json, layers.csv and every trial's `trial_K.tflite` into a folder.

    They take the place of an earlier run's files, and of what was drawn from these, once all are on
    the disk; `results.json` comes last. So a folder that has one holds one run, whole.

    Raises:
        WriteError: the disk is full, or refuses a file; the earlier run is still there.
    """
    files = {f"trial_{trial}.tflite": content for trial, content in enumerate(result.tflite)}
    files |= {"layers.csv": result.to_csv().encode(), "results.json": result.to_json().encode()}
    wholefiles.prepare(folder)
    with ExitStack() as renamed_in_order:
        for name, content in reversed(files.items()):
            renamed_in_order.enter_context(replacing(folder / name)).write_bytes(content)
        earlier = folder.glob("trial_*.tflite")
        for path in (folder / "results.json", *(folder / name for name in DRAWN), *earlier):
            path.unlink(missing_ok=True)


def read(folder: Path) -> dict[str, Any]:
    """The record in a run folder that we wrote; "inf" and "-inf" come back as floats.

    Nothing but its version is checked; `restore.load` reads folders that others made.

    Raises:
        FileNotFoundError: no results.json there.
        ValueError: another schema version.
    """
    record = json.loads((folder / "results.json").read_text())
    if record.get("schema") != SCHEMA:
        raise ValueError(f"expected results of schema {SCHEMA}, received {record.get('schema')}")
    return with_infinities(record)


def plain(value: Any) -> Any:
    """Only what JSON knows."""
    if is_dataclass(value) and not isinstance(value, type):
        value = {f.name: getattr(value, f.name) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        number = float(value)
        if math.isnan(number):
            return None
        return number if math.isfinite(number) else ("inf" if number > 0 else "-inf")
    return int(value) if isinstance(value, np.integer) else value


def with_infinities(record: Any) -> Any:
    """A record with "inf" and "-inf" as floats; names and remarks stay as they are."""
    if isinstance(record, dict):
        return {k: v if k in _WORDS else with_infinities(v) for k, v in record.items()}
    if isinstance(record, list):
        return [with_infinities(item) for item in record]
    return float(record) if record in ("inf", "-inf") else record


_WORDS = {
    "calibration_split", "config", "dtype", "flags", "kind", "name", "notes", "producers",
    "reference", "sha256", "skipped", "versions",
}  # fmt: skip
"""Keys whose values may be any text."""
