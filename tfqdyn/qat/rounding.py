"""How quantization-aware training rounds: the only module that imports tfmot.

Gradients pass rounding unchanged and stop where values are clipped (Jacob et al. 2018, section 3).
"""

import os
from typing import Any

import tensorflow as tf

from tfqdyn.numerics.grid import spanning

_KEY = "TF_USE_LEGACY_KERAS"
_before = os.environ.get(_KEY)
import tensorflow_model_optimization as tfmot  # noqa: E402
import tf_keras  # noqa: E402, F401 (others take it from here, behind tfmot)

if _before is None:  # tfmot sets it for its own imports; nothing else must see it
    os.environ.pop(_KEY, None)

quantization = tfmot.quantization.keras


class KernelExtrema(quantization.quantizers.Quantizer):
    """Rounds a kernel by its own raw extrema, 0 included, as files hold it."""

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """No state."""
        return {}

    def __call__(self, inputs: Any, training: Any, weights: Any, **kwargs: Any) -> Any:
        """The kernel on its 8-bit grid."""
        fixed = tf.stop_gradient(inputs)
        low, high = spanning(tf.reduce_min(fixed), tf.reduce_max(fixed), tf)
        return tf.quantization.fake_quant_with_min_max_vars(inputs, low, high)

    def get_config(self) -> dict[str, Any]:
        """No arguments."""
        return {}


class FixedRange(quantization.quantizers.Quantizer):
    """Rounds to the 8-bit grid of a range that stays."""

    def __init__(self, low: float, high: float) -> None:
        self._range = (low, high)

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """No state."""
        return {}

    def __call__(self, inputs: Any, training: Any, weights: Any, **kwargs: Any) -> Any:
        """The values on their 8-bit grid."""
        ends = (tf.constant(end, tf.float32) for end in self._range)
        low, high = spanning(*ends, library=tf)
        return tf.quantization.fake_quant_with_min_max_vars(inputs, low, high)

    def get_config(self) -> dict[str, Any]:
        """Arguments of a quantizer like this."""
        return dict(zip(("low", "high"), self._range))


class MovingRange(quantization.quantizers.Quantizer):
    """Rounds to the 8-bit grid of a range that follows the training batches exponentially."""

    low: tf.Variable
    high: tf.Variable

    def __init__(self, low: float, high: float, decay: float, share: float) -> None:
        self._first, self._decay, self._share = (low, high), decay, share

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """The range, kept by the layer."""
        self.low, self.high = (
            layer.add_weight(
                f"{name}_{end}",
                initializer=lambda shape, dtype, value=value: tf.constant(value, dtype),
                trainable=False,
            )
            for end, value in zip(("low", "high"), self._first)
        )
        return {"low": self.low, "high": self.high}

    def __call__(self, inputs: Any, training: Any, weights: Any, **kwargs: Any) -> Any:
        """The values on their 8-bit grid; in training the range moves first."""
        low, high = weights["low"], weights["high"]
        if training:
            found = batch_range(tf.stop_gradient(inputs), self._share)
            low, high = (
                end.assign(self._decay * end + (1 - self._decay) * value)
                for end, value in zip((low, high), found)
            )
        low, high = spanning(tf.convert_to_tensor(low), tf.convert_to_tensor(high), tf)
        return tf.quantization.fake_quant_with_min_max_vars(inputs, low, high)

    def get_config(self) -> dict[str, Any]:
        """Arguments of a quantizer like this."""
        low, high = self._first
        return {"low": low, "high": high, "decay": self._decay, "share": self._share}


def batch_range(values: tf.Tensor, share: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Range of a batch [N, ...]: its images' extrema without `share` of them at each end."""
    flat = tf.reshape(values, (tf.shape(values)[0], -1))
    lows = tf.sort(tf.reduce_min(flat, axis=1))
    highs = tf.sort(tf.reduce_max(flat, axis=1))
    dropped = tf.cast(tf.floor(share * tf.cast(tf.size(lows), tf.float32) + 0.5), tf.int32)
    dropped = tf.minimum(dropped, (tf.size(lows) - 1) // 2)
    return lows[dropped], highs[tf.size(highs) - 1 - dropped]


class AsymmetricConfig(quantization.QuantizeConfig):
    """Which tensors of one layer are rounded: its kernel, its output, both or neither."""

    def __init__(self, kernel: Any, output: Any) -> None:
        self._kernel, self._output = kernel, output

    def get_weights_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:
        """The kernel, if the layer has one."""
        return [] if self._kernel is None else [(self._kernel, KernelExtrema())]

    def get_activations_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:
        """None: activation functions are layers of their own."""
        return []

    def set_quantize_weights(self, layer: Any, quantize_weights: list[Any]) -> None:
        """Puts the rounded kernel in the kernel's place."""
        name = "depthwise_kernel" if hasattr(layer, "depthwise_kernel") else "kernel"
        for kernel in quantize_weights:
            setattr(layer, name, kernel)

    def set_quantize_activations(self, layer: Any, quantize_activations: list[Any]) -> None:
        """Nothing to set."""
        return None  # AutoGraph cannot read a function that is a docstring alone

    def get_output_quantizers(self, layer: Any) -> list[Any]:
        """What rounds the output, if it is rounded here."""
        return [] if self._output is None else [self._output]

    def get_config(self) -> dict[str, Any]:
        """Trained networks are saved as folded graphs, not in this form."""
        raise NotImplementedError("save `Uint8Network.trained_graph()` instead")
