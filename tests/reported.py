"""Runs for the tests of the report: one small network, analyzed once with its own errors."""

from dataclasses import replace
from functools import cache

import keras
from conftest import images, residual_net

from tfqdyn import pipeline
from tfqdyn.config import AnalysisConfig
from tfqdyn.results import RunResult

HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='hacked()'>\"&amp;"
"""A layer's name that does harm wherever it is taken for HTML."""


@cache
def analyzed() -> RunResult:
    """Two trials on 12 images, own errors measured; labels are random, but that is no matter."""
    keras.utils.set_random_seed(1)
    config = AnalysisConfig(trials=2, calibration_size=6, max_images=12, own_error=True)
    return replace(pipeline.analyze(residual_net(), images(24), config), warnings=())


def renamed(result: RunResult, before: str, after: str) -> RunResult:
    """The run with one layer called otherwise, there and where its output is read."""
    layers = tuple(
        replace(
            layer,
            name=after if layer.name == before else layer.name,
            producers=tuple(after if name == before else name for name in layer.producers),
        )
        for layer in result.layers
    )
    return replace(result, layers=layers)


def without_histograms(result: RunResult) -> RunResult:
    """The run as it was saved before histograms and channels' least weights were kept."""
    layers = tuple(
        replace(layer, histogram=None, channels=replace(layer.channels, folded_weight_low=None))
        for layer in result.layers
    )
    return replace(result, layers=layers)
