"""The number formats that a model can be deployed in.

`uint8` is the papers' scheme: ranges are ours, of any calibrator, and every tensor has one scale.
All others are what TensorFlow's converter offers as post-training quantization.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scheme:
    """What a converted file holds.

    Attributes:
        activations: their dtype.
        weights: dtype of the kernels.
        per_channel: whether kernels have a scale for every output channel.
        calibrated: whether activations have fixed ranges, found on calibration images.
        meaning: in words.
    """

    activations: str
    weights: str
    per_channel: bool
    calibrated: bool
    meaning: str

    @property
    def integer(self) -> bool:
        """Whether all arithmetic is in integers."""
        return self.activations != "float32"


SCHEMES = {
    "uint8": Scheme("uint8", "uint8", False, True, "asymmetric, one scale a tensor"),
    "int8": Scheme(
        "int8", "int8", True, True, "TFLite's default: symmetric weights, one scale a channel"
    ),
    "int8_per_tensor": Scheme("int8", "int8", False, True, "symmetric weights, one scale a tensor"),
    "int16x8": Scheme("int16", "int8", True, True, "symmetric activations in 16 bits"),
    "dynamic": Scheme(
        "float32", "int8", True, False, "weights in 8 bits, activations rounded as they come"
    ),
    "float16": Scheme("float32", "float16", False, False, "weights in half precision"),
    "float32": Scheme("float32", "float32", False, False, "nothing quantized"),
}
OWN_RANGES = "uint8"
"""The scheme whose ranges are our calibrators'; the converter takes the extrema for the others."""
SIMULATED = "simulated"
"""No file: any bit widths, rounded in fp32 arithmetic (`simulation`) on our calibrators' ranges."""
