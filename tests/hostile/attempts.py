"""What is done with a damaged file: what the commands do, on few and small images."""

import math
import random
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from hostile.material import CONFIG, SIZE, Material

from tfqdyn import datasets, filepair, modelsource, pipeline
from tfqdyn.commands import compare
from tfqdyn.datasets import Dataset
from tfqdyn.measurement import sampling
from tfqdyn.network import modelfile
from tfqdyn.network.lowering import lower
from tfqdyn.tflite import file

MOST_VALUES = 2_000_000
"""Activations of an image beyond which a network is not run: that would only take long."""
SCHEMES = ("uint8", "uint8", "uint8", "int8", "float32", "dynamic", "simulated")


def analyze_model(path: Path, rng: random.Random) -> Any:
    """Loads a model, and analyzes it where it is small."""
    model = modelfile.load(path)
    scheme = rng.choice(SCHEMES)
    graph = lower(model, scheme)
    if sum(math.prod(row.output_shape) for row in graph.rows) > MOST_VALUES:
        return sampling.chunking(graph, graph.rows, CONFIG)
    x = np.random.default_rng(0).uniform(-2, 2, (4, *graph.input_shape)).astype(np.float32)
    data = Dataset("random", x, np.zeros(4, np.int64))
    return pipeline.analyze(model, data, replace(CONFIG, scheme=scheme))


def analyze_data(path: Path, material: Material) -> Any:
    """Loads a data set, and analyzes the sound network on it."""
    data = datasets.load(str(path), SIZE)
    return pipeline.analyze(material.network, data, replace(CONFIG, max_images=6))


def analyze_tflite(path: Path, material: Material) -> Any:
    """Analyzes a `.tflite` file against the sound network."""
    return pipeline.analyze_file(material.network, file.read(path), material.data, CONFIG)


def analyze_files(reference: Path, quantized: Path, material: Material) -> Any:
    """Holds a quantized `.tflite` file against a float one; either may be damaged."""
    contents = file.read(reference), file.read(quantized)
    return filepair.analyze(*contents, material.data, CONFIG)


def analyze_float(path: Path, material: Material) -> Any:
    """Analyzes a `.tflite` file as a model, where it is small."""
    model = modelsource.load(path)
    graph = model.graph
    if sum(math.prod(row.output_shape) for row in graph.rows) > MOST_VALUES:
        return sampling.chunking(graph, graph.rows, CONFIG)
    return pipeline.analyze(model, material.data, CONFIG)


def compare_runs(folders: list[Path], out: Path) -> Any:
    """Compares runs, and draws the tables of it."""
    return compare.tables_of(compare.compare(folders, out))


class CommandError(ValueError):
    """What a command printed as its error."""


def command(*arguments: str) -> None:
    """A whole command, as the shell would start it.

    Raises:
        CommandError: it ended with status 1 or 2 and one message.
        AssertionError: it ended otherwise.
    """
    from tfqdyn import cli

    small = ["--trials=1", "--calibration_size=3", "--batch_size=4", "--threads=1"]
    taken = small if arguments[0] != "compare" else []
    errors, output = StringIO(), StringIO()
    with redirect_stderr(errors), redirect_stdout(output):
        status = cli.run([*arguments, *taken])
    lines = errors.getvalue().splitlines(True)
    ours = (line for line in lines if line.startswith("tfqdyn: ") or not line.endswith(" ...\n"))
    message = "".join(ours)  # no stages
    expected = ((0, False), (1, True), (2, True))
    assert (status, bool(message)) in expected, f"status {status}: {message}"
    obeyed = {c for c in message + output.getvalue() if not c.isprintable()} - {"\n"}
    assert not obeyed, f"terminals obey {obeyed}"
    if status:
        assert message.startswith("tfqdyn: "), message
        assert "Traceback" not in message, message
        raise CommandError(message)
