"""Learning dynamics: what the thesis asks to watch while a network learns (4.6 and 6.2.4)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tfqdyn.numerics import metrics
from tfqdyn.training.optimizers import MeasuringRMSprop, MeasuringSGD

_FUSED = (
    keras.layers.BatchNormalization,
    keras.layers.ReLU,
    keras.layers.Activation,
)


@dataclass(frozen=True)
class LayerDynamics:
    """One layer that owns a kernel, after one epoch, or before the first.

    Attributes:
        epoch: Epochs done; 0 as training begins.
        number: The papers' layer number, from 1.
        name: Name of the layer.
        weight_range: Largest minus smallest value of the kernel (not batch-norm folded).
        weight_average_precision: Mean over output channels of channel range / kernel range.
        gradient_norm: Root mean square over the epoch's steps of the kernel gradient's L2 norm; NaN
            at epoch 0.
        activation_min: Smallest value, on a fixed sample, after batch norm and activation.
        activation_max: Largest value there.
    """

    epoch: int
    number: int
    name: str
    weight_range: float
    weight_average_precision: float
    gradient_norm: float
    activation_min: float
    activation_max: float


class Dynamics:
    """Measures every layer of a network; costs one forward pass over a small fixed sample."""

    def __init__(
        self,
        network: keras.Model,
        optimizer: MeasuringSGD | MeasuringRMSprop,
        sample: NDArray[np.float32],  # [N, H, W, C]
        batch_size: int = 128,
    ) -> None:
        """Prepares the measurement.

        Args:
            network: Functional model of one input.
            optimizer: The optimizer that trains it.
            sample: Preprocessed images, the same at every epoch.
            batch_size: Images a forward step.
        """
        self._layers = [layer for layer in network.layers if hasattr(layer, "kernel")]
        self._optimizer, self._sample, self._batch_size = optimizer, sample, batch_size
        ends = _fused_outputs(network)
        outputs = [ends[layer.name] for layer in self._layers]
        bounds = [ops.stack([ops.min(output), ops.max(output)]) for output in outputs]
        self._bounds: Any = keras.Model(network.inputs, ops.expand_dims(ops.stack(bounds), 0))

    def measure(self, epochs_done: int) -> list[dict[str, object]]:
        """A row a layer, with the fields of `LayerDynamics`."""
        bounds = self._bounds.predict(self._sample, batch_size=self._batch_size, verbose=0)
        # [batches, layers, 2]
        low, high = bounds[..., 0].min(axis=0), bounds[..., 1].max(axis=0)
        rows = []
        for place, layer in enumerate(self._layers):
            kernel = np.asarray(ops.convert_to_numpy(layer.kernel))
            rows.append(
                asdict(
                    LayerDynamics(
                        epoch=epochs_done,
                        number=place + 1,
                        name=layer.name,
                        weight_range=metrics.dynamic_range(kernel),
                        weight_average_precision=metrics.average_precision(
                            kernel, _channel_axes(layer)
                        ),
                        gradient_norm=self._optimizer.gradient_norm(layer.kernel),
                        activation_min=float(low[place]),
                        activation_max=float(high[place]),
                    )
                )
            )
        return rows


def _channel_axes(layer: keras.layers.Layer) -> int | tuple[int, ...]:
    """The axes of a kernel that count output channels: a depthwise kernel is (k, k, C, M)."""
    return (2, 3) if isinstance(layer, keras.layers.DepthwiseConv2D) else -1


def _fused_outputs(network: keras.Model) -> Mapping[str, keras.KerasTensor]:
    """The output of each layer after the batch norm and activation that follow it alone."""
    readers: dict[int, list[keras.layers.Layer]] = {}
    for layer in network.layers[1:]:
        for tensor in keras.tree.flatten(layer.input):
            readers.setdefault(id(tensor), []).append(layer)
    ends = {}
    for layer in network.layers:
        end = layer.output
        while len(following := readers.get(id(end), [])) == 1:
            if not isinstance(following[0], _FUSED):
                break
            end = following[0].output
        ends[layer.name] = end
    return ends
