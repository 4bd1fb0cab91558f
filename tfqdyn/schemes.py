"""The number formats that a model can be deployed in.

`uint8` is the papers' scheme: ranges are ours, of any calibrator, and every tensor has one scale.
All others are what TensorFlow's converter offers as post-training quantization; `int8` takes ranges
of ours too, where something is asked for that needs them (`config.AnalysisConfig.own_ranges`).
"""

from collections.abc import Mapping
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
    "uint8": Scheme("uint8", "uint8", False, True, "asymmetric, one scale per tensor"),
    "int8": Scheme(
        "int8", "int8", True, True, "TFLite's default: symmetric weights, one scale per channel"
    ),
    "int8_per_tensor": Scheme(
        "int8", "int8", False, True, "symmetric weights, one scale per tensor"
    ),
    "int16x8": Scheme("int16", "int8", True, True, "symmetric activations in 16 bits"),
    "dynamic": Scheme(
        "float32", "int8", True, False, "weights in 8 bits, activations rounded as they come"
    ),
    "float16": Scheme("float32", "float16", False, False, "weights in half precision"),
    "float32": Scheme("float32", "float32", False, False, "nothing quantized"),
}
UINT8 = "uint8"
"""The scheme whose ranges are our calibrators' in any case."""
INT8 = "int8"
"""The scheme whose ranges are our calibrators' or those that TensorFlow's converter finds."""
OWN_RANGES = (UINT8, INT8)
"""The schemes that take ranges of our calibrators'; the others take the converter's alone."""
SIMULATED = "simulated"
"""No file: any bit widths, rounded in fp32 arithmetic (`simulation`) on our calibrators' ranges."""
GRAPH_TRANSFORM_TOOL = "graph_transform_tool"
"""No file: the engine of the works, simulated on our calibrators' ranges."""
DEVIATIONS: Mapping[str, str] = {
    "bias_8bit": "biases in 8 bits",
    "ranges_before_relu": "ranges of outputs are those before the ReLU",
    "requantize_before_bias": "8 bits between a layer's sums and its bias, too",
    "bias_add_offset": "one bias addition in seven is 1/64 of its range too low",
    "unnudged_zero": "codes are rounded as if 0 needed none of its own",
    "float_depthwise": "depthwise convolutions in floats, on 8-bit kernels",
    "float_others": "additions, means, concatenations, softmax in floats",
    "minimum_size": "arrays of fewer than 1,024 numbers stay in floats",
}
"""In what the Graph Transform Tool differs from TFLite, each a switch."""
WITHOUT_FILE = (SIMULATED, GRAPH_TRANSFORM_TOOL)
NARROWEST_BITS, WIDEST_BITS = 2, 16
TENSORS = ("weights", "activations")


@dataclass(frozen=True)
class BitWidths:
    """How finely to round.

    Attributes:
        weights: bits of kernels, 2 to 16.
        activations: bits of row outputs, 2 to 16.
        per_channel: which of `TENSORS` have a grid for every output channel.
        extra: bits that a depthwise layer gains, at least 0; `WIDEST_BITS` is the most.
    """

    weights: int = 8
    activations: int = 8
    per_channel: tuple[str, ...] = ()
    extra: int = 0

    def __post_init__(self) -> None:
        for name in TENSORS:
            bits = getattr(self, name)
            if not NARROWEST_BITS <= bits <= WIDEST_BITS:
                raise ValueError(
                    f"{name} take {NARROWEST_BITS} to {WIDEST_BITS} bits, received {bits}"
                )
        unknown = sorted(set(self.per_channel) - set(TENSORS))
        if unknown or self.extra < 0:
            raise ValueError(
                f"per_channel takes {list(TENSORS)} and mixed bits are at least 0, received "
                f"{list(self.per_channel)} and {self.extra}"
            )
