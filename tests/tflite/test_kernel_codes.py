"""The benchmark that counts by how much other kernels' codes differ."""

import keras
import numpy as np
import pytest

from benchmarks import kernel_codes


def test_reference_kernels_are_a_step_away_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_codes, "OTHERS", {"reference": "BUILTIN_REF"})
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Conv2D(8, 1, activation="relu", name="first"),
              keras.layers.Conv2D(16, 1, name="linear"),
              keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(4)]  # fmt: skip
    model = keras.Sequential([keras.Input((16, 16, 3)), *layers])
    pixels = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype(np.uint8)
    found = {op: codes for op, _, codes in kernel_codes.compared(model, pixels, "tf")}
    assert list(found) == ["pointwise", "pointwise, linear", "mean", "dense, linear"]
    assert found["pointwise, linear"].shape == (4, 16, 16, 16)
    assert all(codes.max() <= 1 for codes in found.values())
    assert np.mean(found["pointwise, linear"] > 0) < 0.01
    assert not found["pointwise"].any()
