"""Blocks of scored images: summed up apart, and merged in their order."""

import dataclasses

import keras
import numpy as np
import pytest
from conftest import images, residual_net

from tfqdyn.config import AnalysisConfig
from tfqdyn.measurement import sampling
from tfqdyn.pipeline import analyze
from tfqdyn.results import plain

CONFIG = AnalysisConfig(
    preprocessing="tf", trials=2, calibration_size=8, own_error=True, task="classification"
)


def test_blocks_cut_in_order_and_keep_every_image() -> None:
    scored = np.arange(0, 5003, 2)
    cut = sampling.blocks(scored)
    assert [len(block) for block in cut] == [1000, 1000, 502]
    np.testing.assert_array_equal(np.concatenate(cut), scored)
    assert [len(block) for block in sampling.blocks(scored[:1000])] == [1000]


def numbers(value: object, found: dict[str, float], path: str = "") -> dict[str, float]:
    """All numbers of a record, by where they are."""
    if isinstance(value, dict):
        for key, part in value.items():
            numbers(part, found, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for place, part in enumerate(value):
            numbers(part, found, f"{path}.{place}")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        found[path] = float(value)
    return found


@pytest.mark.parametrize("size", [7, 24])
def test_figures_do_not_depend_on_how_images_are_cut(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def analyzed(block: int) -> dict[str, float]:
        monkeypatch.setattr(sampling, "BLOCK", block)
        keras.utils.set_random_seed(1)
        result = analyze(residual_net(), images(48), CONFIG)
        layers = plain([dataclasses.asdict(layer) for layer in result.layers])
        return numbers({"layers": layers, "summary": plain(result.summary)}, {})

    whole, cut = analyzed(1000), analyzed(size)
    assert list(whole) == list(cut)
    assert len(whole) > 1000
    for place, value in whole.items():
        assert cut[place] == pytest.approx(value, rel=1e-9, abs=1e-15, nan_ok=True), place
