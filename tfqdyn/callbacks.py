"""Watches, while a network trains, what 8 bits would do to it.

    monitor = QuantizationMonitor((x_val, y_val), "runs/watched", every=5, tensorboard="runs/logs")
    model.fit(x, y, epochs=100, callbacks=[monitor])

Every so many epochs the network is analyzed as it is (`tfqdyn.pipeline.analyze`), by default with
8 bits simulated on a few hundred images. `fit` gets the accuracies as `logs` too, so that
`EarlyStopping(monitor="quantized_accuracy")` works behind this callback.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from tfqdyn import pipeline
from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import Dataset
from tfqdyn.files import wholefiles
from tfqdyn.results import LayerResult, RunResult
from tfqdyn.results.layervalues import LAYER_VALUES, mean_of
from tfqdyn.schemes import SIMULATED
from tfqdyn.training.files import Table

WATCHED = AnalysisConfig(scheme=SIMULATED, trials=1, calibration_size=64, max_images=500)
"""What is done by default: 8 bits, simulated, one calibration draw."""
VALUES = (
    "weight_range",
    "weight_average_precision",
    "folded_weight_range",
    "folded_weight_average_precision",
    "activation_range",
    "activation_average_precision",
    "sqnr_pooled_db",
)
"""Columns of `layers.csv`, names of `results.layervalues.LAYER_VALUES`."""
NETWORK = "network.csv"
LAYERS = "layers.csv"


class QuantizationMonitor(keras.callbacks.Callback):
    """Ranges, average precision and 8-bit accuracy every so many epochs, to CSV and TensorBoard.

    FOLDER/network.csv has one row per watched epoch: `epoch` (1 is the first), `fp32_accuracy` and
    `quantized_accuracy` (fractions of 1), `points_lost`, `qkl_div` (nats); empty where the network
    is no classifier or the images have no labels. FOLDER/layers.csv has one row per watched epoch
    and layer: `epoch`, `number`, `name`, `kind`, and `VALUES`. A `fit` with `initial_epoch` above 0
    keeps the rows until then.

    Args:
        data: a `Dataset`, or (images [N, H, W, C], labels [N]); as the model takes them, or as
            `config.preprocessing` makes them. Calibration draws from `x_train` where there is one,
            else from the same images.
        folder: where the files go; made if it is missing.
        every: epochs from one analysis to the next; the last epoch is always analyzed.
        config: what an analysis does; any scheme.
        tensorboard: folder for TensorBoard's events; None for none.

    Raises:
        ValueError: `every` is below 1, or the data are neither of the two.
        UnsupportedModelError, DataError: from `fit`, before the first epoch: the network or the
            images cannot be analyzed.
    """

    def __init__(
        self,
        data: Dataset | tuple[Any, Any],
        folder: str | Path,
        every: int = 1,
        config: AnalysisConfig = WATCHED,
        tensorboard: str | Path | None = None,
    ) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(f"every must be at least 1 epoch, received {every}")
        self._data = _dataset(data)
        self._folder, self._every, self._config = Path(folder), every, config
        self._tensorboard = None if tensorboard is None else Path(tensorboard)
        self._tables: tuple[Table, Table] | None = None
        self._writer: Any = None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Refuses what cannot be analyzed before the first epoch; nothing is measured yet."""
        from tfqdyn.measurement.assembly import checked

        checked(self.model, self._data, self._config, self._config.rounding)
        wholefiles.prepare(self._folder)
        if self._tensorboard is not None:
            import tensorflow as tf

            self._writer = tf.summary.create_file_writer(str(self._tensorboard))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Analyzes the network if it is time, and writes what it came to."""
        done = epoch + 1
        if done % self._every and done != (self.params or {}).get("epochs"):
            return
        if self._tables is None:
            paths = (self._folder / NETWORK, self._folder / LAYERS)
            self._tables = (Table(paths[0], epoch), Table(paths[1], epoch))
        result = pipeline.analyze(self.model, self._data, self._config)
        network, layers = network_row(result), [layer_row(layer) for layer in result.layers]
        for table, rows in zip(self._tables, ([network], layers), strict=True):
            table.extend([{"epoch": done, **_written(row)} for row in rows])
        if logs is not None:
            logs.update({name: network[name] for name in ("fp32_accuracy", "quantized_accuracy")})
        if self._writer is not None:
            self._to_tensorboard(done, network, layers)

    def _to_tensorboard(
        self, done: int, network: Mapping[str, Any], layers: Sequence[Mapping[str, Any]]
    ) -> None:
        import tensorflow as tf

        scalars = {f"quantization/{name}": value for name, value in network.items()}
        for row in layers:
            scalars |= {f"quantization/{name}/{row['name']}": row[name] for name in VALUES}
        # what `tf.summary.scalar` writes; that function itself needs TensorBoard installed
        plugin: Any = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
        metadata = tf.compat.v1.SummaryMetadata(plugin_data=plugin)
        with self._writer.as_default(step=done):
            for tag, value in scalars.items():
                if value is not None and math.isfinite(value):
                    tf.summary.write(tag, tf.constant(value, tf.float32), metadata=metadata)
        self._writer.flush()


def network_row(result: RunResult) -> dict[str, float | None]:
    """What a watched epoch's network came to; None where it is no classifier, or without labels."""
    summary = result.summary
    quantized, loss = summary.quantized_accuracy, summary.loss
    return {
        "fp32_accuracy": summary.fp32_accuracy,
        "quantized_accuracy": None if quantized is None else quantized.mean,
        "points_lost": None if loss is None else loss.points.mean,
        "qkl_div": None if summary.qkl_div is None else summary.qkl_div.mean,
    }


def layer_row(layer: LayerResult) -> dict[str, Any]:
    """A layer's columns."""
    return {"number": layer.number, "name": layer.name, "kind": layer.kind} | {
        name: mean_of(LAYER_VALUES[name].read(layer)) for name in VALUES
    }


def _written(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: "" if value is None else value for name, value in row.items()}


def _dataset(data: Dataset | tuple[Any, Any]) -> Dataset:
    if isinstance(data, Dataset):
        return data
    if isinstance(data, tuple) and len(data) == 2:
        return Dataset("monitored", *data)
    raise ValueError(
        f"expected a tfqdyn Dataset or (images, labels), received {type(data).__name__}"
    )
