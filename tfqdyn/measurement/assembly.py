"""What was measured -> the records of `results`: one row per layer, the model, the versions."""

import hashlib
import platform
from collections.abc import Sequence
from functools import reduce
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tfqdyn
from tfqdyn import datasets
from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import Dataset
from tfqdyn.measurement import tasks
from tfqdyn.measurement.layerrows import Kernels, RowTrials, layer_result, scale_and_zero
from tfqdyn.measurement.layerstats import ValueSums, weight_stats
from tfqdyn.measurement.measured import Measured, Trial
from tfqdyn.network.folding import Folded
from tfqdyn.network.graph import Graph, LayerNode
from tfqdyn.results import (
    InputRecord,
    LayerResult,
    ModelRecord,
)
from tfqdyn.schemes import UINT8
from tfqdyn.tflite import interpreter
from tfqdyn.tflite.floatfile import graph_of


def data_of(data: Any, model: Any) -> Dataset:
    """Data as people have them, as a data set for a model; see `datasets.given`.

    Raises:
        DataError: they are nothing that is taken, or do not fit the model's inputs.
    """
    shapes = datasets.shapes_of(model)
    if shapes is None:
        if isinstance(data, Dataset):
            return datasets.with_class_numbers(data)
        shapes = graph_of(model, None).input_shapes
    return datasets.given(data, shapes)


def checked(
    model: Any, dataset: Dataset, config: AnalysisConfig, scheme: str | None = UINT8
) -> tuple[Graph, Dataset, AnalysisConfig]:
    """A model, lowered, with data in the form of its inputs, and what labels are to be.

    Args:
        model: of Keras, or a float file.
        dataset: with or without labels.
        config: of the analysis.
        scheme: whose rounding of ours must take it (`config.rounding`); None for any.

    Raises:
        UnsupportedModelError, DataError: the scheme does not take the model, the data are not its,
            or the labels fit no output.
    """
    graph = graph_of(model, scheme)
    fitted = datasets.fitted(dataset, graph.input_shapes)
    return graph, fitted, tasks.settled(graph, fitted, config)


def layer_results(parts: Sequence[Measured], bins: int) -> tuple[LayerResult, ...]:
    """The rows of the layer table, in graph order.

    Args:
        parts: what was measured, of networks with the same rows.
        bins: of the kernels' histograms.
    """
    trials = [trial for part in parts for trial in part.trials]
    pairs = [sums for part in parts for sums in part.pairs]
    folded = trials[0].folded
    return tuple(
        layer_result(
            row,
            folded.held_against[row.name],
            RowTrials(
                [trial.sites[i] for trial in trials],
                [sums[i] for sums in pairs],
                [scale_and_zero(trial.deployed.grid(row.name)) for trial in trials],
            ),
            reduce(ValueSums.merge, [part.values[i] for part in parts]),
            _kernels(folded, row, bins),
            trials[0].deployed.format(row.name),
        )
        for i, row in enumerate(trials[0].deployed.rows)
    )


def _kernels(folded: Folded, row: LayerNode, bins: int) -> Kernels | None:
    """Statistics of a layer's kernel before folding, and as it is quantized."""
    if not row.has_kernel:
        return None
    node = folded.deployed.by_name[row.name]
    axes = node.layout.channel_axes
    before = weight_stats(folded.kernels[row.name], axes, bins)
    deployed = weight_stats(node.weights["kernel"], axes, bins)
    return Kernels(before, deployed, folded.batch_norms.get(row.name))


def model_record(graph: Graph, trials: Sequence[Trial]) -> ModelRecord:
    """Name and sizes of a folded network."""
    parameters = sum(w.size for node in graph for w in node.weights.values())
    return ModelRecord(
        name=graph.name,
        parameters=parameters,
        macs=sum(node.macs for node in graph),
        bytes_fp32=4 * parameters,
        bytes_quantized=trials[0].deployed.size,
        weight_ties=tuple(trial.deployed.ties for trial in trials),
    )


def input_records(parts: Sequence[Measured]) -> tuple[InputRecord, ...]:
    """The inputs' names, and root mean squares of the preprocessed images that were scored."""
    found = []
    for place, name in enumerate(parts[0].trials[0].folded.graph.inputs):
        powers = np.concatenate([part.powers[place] for part in parts])
        found.append(InputRecord(name, float(np.sqrt(powers.mean()))))
    return tuple(found)


def versions() -> dict[str, str]:
    """Versions of what the figures depend on."""
    return {
        "python": platform.python_version(),
        "tensorflow": version("tensorflow"),
        "keras": version("keras"),
        "numpy": version("numpy"),
        "tfqdyn": tfqdyn.__version__,
        "interpreter": interpreter.name(),
    }


def digest_of(digests: Sequence[bytes], labels: NDArray | None) -> str:
    """SHA-256 over the images' digests, in order, and the labels, if there are any."""
    told = b""
    if labels is not None:
        told = labels.astype("<i8" if labels.dtype.kind in "ui" else "<f8").tobytes()
    return hashlib.sha256(b"".join(digests) + told).hexdigest()
