"""What an operator of a .tflite file says about itself, besides what it reads and makes."""

from collections.abc import Mapping
from typing import Any

_STEPS = ("StrideH", "StrideW")
_DILATION = ("DilationHFactor", "DilationWFactor")
_CENTERS = ("AlignCorners", "HalfPixelCenters")
READ: Mapping[str, tuple[str, ...]] = {
    "BatchMatMulOptions": ("AdjX", "AdjY"),
    "ConcatenationOptions": ("Axis",),
    "Conv2DOptions": ("Padding", *_STEPS, *_DILATION),
    "DepthToSpaceOptions": ("BlockSize",),
    "DepthwiseConv2DOptions": ("Padding", *_STEPS, *_DILATION, "DepthMultiplier"),
    "FullyConnectedOptions": ("WeightsFormat", "KeepNumDims"),
    "GatherOptions": ("Axis", "BatchDims"),
    "GeluOptions": ("Approximate",),
    "LeakyReluOptions": ("Alpha",),
    "MirrorPadOptions": ("Mode",),
    "PackOptions": ("Axis", "ValuesCount"),
    "Pool2DOptions": ("Padding", *_STEPS, "FilterHeight", "FilterWidth"),
    "ReducerOptions": ("KeepDims",),
    "ResizeBilinearOptions": _CENTERS,
    "ResizeNearestNeighborOptions": _CENTERS,
    "SoftmaxOptions": ("Beta",),
    "SpaceToDepthOptions": ("BlockSize",),
    "SplitOptions": ("NumSplits",),
    "SplitVOptions": ("NumSplits",),
    "StridedSliceOptions": (
        "BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask", "Offset",
    ),
    "TransposeConvOptions": ("Padding", *_STEPS),
    "UnpackOptions": ("Num", "Axis"),
}  # fmt: skip
"""Of each kind of options the numbers that are read, by the schema's names."""
PADDINGS = ("same", "valid")
"""The schema's paddings, in its order."""


def options_of(name: str, options: Any) -> dict[str, Any]:
    """The numbers of an operator's options, by the schema's names; `Padding` is one of `PADDINGS`.

    Args:
        name: of the kind of options.
        options: the schema's reader of them.

    Raises:
        ValueError: a padding that the schema does not have.
    """
    found = {key: getattr(options, key)() for key in READ.get(name, ()) if hasattr(options, key)}
    if "Padding" in found:
        if not 0 <= found["Padding"] < len(PADDINGS):
            raise ValueError(f"padding {found['Padding']}")
        found["Padding"] = PADDINGS[found["Padding"]]
    return found
