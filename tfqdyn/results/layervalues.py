"""The values of a layer: title, unit, which way is good, and how to read each off a row.

The names are those of `layers.csv`, where a value over trials has the columns NAME_mean and
NAME_std. Files, figures, tables, reports and experiments show these values and no others; what they
mean says "How to read each metric" in the docs.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from tfqdyn.results.records import SOURCES, LayerResult, Spread, WeightRow

Value = float | Spread | None
"""A number, one for each trial, or None where a layer has none or it was not measured."""

Better = Literal["higher", "lower", ""]

DECADES = 1.5
"""From how many decades between smallest and largest value on an axis is logarithmic."""


@dataclass(frozen=True)
class LayerValue:
    """One value of a layer.

    Attributes:
        title: what it is, in words.
        unit: of the value; "" for pure numbers and for values in a tensor's own unit.
        better: which direction is good; "" where a value is good or bad by others alone.
        read: from a row of the layer table.
        log: whether values may span decades, so that an axis may be logarithmic.
    """

    title: str
    unit: str
    better: Better
    read: Callable[[LayerResult], Value]
    log: bool = True

    @property
    def label(self) -> str:
        """The title with the unit."""
        return f"{self.title} in {self.unit}" if self.unit else self.title


def mean_of(value: Value) -> float | None:
    """The mean over trials; None for NaN, too."""
    number = value.mean if isinstance(value, Spread) else value
    return None if number is None or math.isnan(number) else number


def spans_decades(values: Iterable[float]) -> bool:
    """Whether finite positive values span `DECADES`."""
    positive = [value for value in values if 0 < value < math.inf]
    return bool(positive) and math.log10(max(positive) / min(positive)) >= DECADES


def _of_kernel(
    tensor: str, title: str, row: Callable[[LayerResult], WeightRow | None]
) -> dict[str, LayerValue]:
    def read(field: str) -> Callable[[LayerResult], Value]:
        return lambda layer: None if row(layer) is None else getattr(row(layer), field)

    fields: tuple[tuple[str, str, str, Better, bool], ...] = (
        ("range", "range", "", "lower", True),
        ("average_precision", "average precision", "", "higher", False),
        ("sparsity", "sparsity", "", "", False),
        ("kurtosis", "excess kurtosis", "", "lower", False),
        ("kl_to_uniform", "divergence from uniform", "nats", "lower", False),
    )
    return {
        f"{tensor}_{field}": LayerValue(f"{title} {what}", unit, better, read(field), log)
        for field, what, unit, better, log in fields
    }


def _source(name: str) -> Callable[[LayerResult], Value]:
    return lambda layer: layer.own and layer.own.source_sqnr_db.get(name)


_KERNEL = _of_kernel("weight", "weights", lambda layer: layer.weights)
_FOLDED = _of_kernel("folded_weight", "BN-folded weights", lambda layer: layer.folded_weights)
_SHAPE = ("range", "average_precision")
"""What `layers.csv` tells of kernels before anything else."""

LAYER_VALUES: Mapping[str, LayerValue] = MappingProxyType(
    {
        **{f"weight_{name}": _KERNEL[f"weight_{name}"] for name in _SHAPE},
        **{f"folded_weight_{name}": _FOLDED[f"folded_weight_{name}"] for name in _SHAPE},
        "activation_range": LayerValue(
            "activations range", "", "lower", lambda layer: layer.activations.range
        ),
        "activation_average_precision": LayerValue(
            "activations average precision",
            "",
            "higher",
            lambda layer: layer.activations.average_precision,
            log=False,
        ),
        "qmse": LayerValue("QMSE", "", "lower", lambda layer: layer.qmse),
        "qce": LayerValue("QCE", "nats", "", lambda layer: layer.qce, log=False),
        "qkl_div": LayerValue("QKL-Div", "nats", "lower", lambda layer: layer.qkl_div),
        "sqnr_db": LayerValue(
            "mean SQNR of images", "dB", "higher", lambda layer: layer.sqnr_db, log=False
        ),
        "macs": LayerValue("multiply-accumulates", "", "lower", lambda layer: layer.macs),
        "params": LayerValue("parameters", "", "lower", lambda layer: layer.params),
        **_KERNEL,
        **_FOLDED,
        "entropy": LayerValue("entropy", "nats", "", lambda layer: layer.entropy, log=False),
        "sqnr_pooled_db": LayerValue(
            "SQNR", "dB", "higher", lambda layer: layer.sqnr_pooled_db, log=False
        ),
        "outside_share": LayerValue(
            "share beyond the histogram", "", "lower", lambda layer: layer.outside_share, log=False
        ),
        "clipped_share": LayerValue(
            "share clipped", "", "lower", lambda layer: layer.clipped_share, log=False
        ),
        "rms": LayerValue("activations RMS", "", "", lambda layer: layer.rms),
        "sparsity": LayerValue(
            "activations sparsity", "", "", lambda layer: layer.sparsity, log=False
        ),
        "kurtosis": LayerValue(
            "activations excess kurtosis", "", "lower", lambda layer: layer.kurtosis, log=False
        ),
        "kl_to_uniform": LayerValue(
            "activations divergence from uniform",
            "nats",
            "lower",
            lambda layer: layer.kl_to_uniform,
            log=False,
        ),
        "own_qmse": LayerValue("own QMSE", "", "lower", lambda layer: layer.own and layer.own.qmse),
        "own_sqnr_db": LayerValue(
            "mean own SQNR of images",
            "dB",
            "higher",
            lambda layer: layer.own and layer.own.sqnr_db,
            log=False,
        ),
        "inherited_qmse": LayerValue(
            "inherited QMSE", "", "lower", lambda layer: layer.own and layer.own.inherited_qmse
        ),
        "own_bias_share": LayerValue(
            "share of bias in own QMSE",
            "",
            "lower",
            lambda layer: layer.own and layer.own.bias_share,
            log=False,
        ),
        **{
            f"source_sqnr_db_{name}": LayerValue(
                f"SQNR with {name} alone", "dB", "higher", _source(name), log=False
            )
            for name in SOURCES
        },
        "saturated_share": LayerValue(
            "share cut off by a bounded ReLU",
            "",
            "lower",
            lambda layer: layer.own and layer.own.saturated_share,
            log=False,
        ),
        "own_sqnr_pooled_db": LayerValue(
            "own SQNR", "dB", "higher", lambda layer: layer.own and layer.own.sqnr, log=False
        ),
        "own_sqnr_infinite": LayerValue(
            "images without own SQNR",
            "",
            "",
            lambda layer: layer.own and layer.own.sqnr_infinite,
            log=False,
        ),
        "sqnr_infinite": LayerValue(
            "images without SQNR", "", "", lambda layer: layer.sqnr_infinite, log=False
        ),
        "weight_bits": LayerValue(
            "weights width", "bits", "", lambda layer: layer.weight_bits, log=False
        ),
        "activation_bits": LayerValue(
            "activations width", "bits", "", lambda layer: layer.activation_bits, log=False
        ),
    }
)
"""All values, in the order of `layers.csv`."""
