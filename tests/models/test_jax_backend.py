"""Builders and a training step on Keras' JAX backend, in a process of their own."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import dataclasses, sys, tempfile
from tfqdyn.console import quiet_keras

quiet_keras()  # as experiments.train begins
import keras, numpy as np
import models
from tfqdyn import datasets, training

assert keras.backend.backend() == "jax"
small = {
    "dws_convnet": {"width": 0.125, "dense_units": (8,)},
    "toynet": {"width": 0.125, "dense_units": (8,)},
    "mobilenet_v1": {"width": 0.125},
    "mobilenet_v2": {"width": 0.25},
    "resnet34": {"width": 0.125},
}
for name, options in small.items():
    assert models.BUILDERS[name](**options).output_shape == (None, 10), name
rng = np.random.default_rng(0)
x, y = rng.integers(0, 256, (8, 32, 32, 3)).astype("uint8"), np.arange(8)
dataset = datasets.Dataset("noise", x, y, x, y)
recipe = dataclasses.replace(
    training.RECIPES["thesis"].with_epochs(1),
    batch_size=8,
    augmentation=training.Augmentation(shift=0, zoom=0, flips=False),
)
with tempfile.TemporaryDirectory() as workdir:
    config = training.TrainingConfig(workdir, dynamics_images=8)
    build = lambda: models.BUILDERS["factorizenet"](
        width=0.125, dense_units=(8,), factorization="finit2"
    )
    result = training.train(build, dataset, recipe, config)
    assert result.epochs_done == 1 and np.isfinite(result.test_loss), result
assert "tensorflow" not in sys.modules
print("passed")
"""


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_builders_and_training_run_on_jax():
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env=os.environ
        | {
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # compiling is what takes long here
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip().endswith("passed")
