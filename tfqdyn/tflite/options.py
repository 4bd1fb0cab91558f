"""What an operator of a .tflite file says about itself, besides what it reads and makes."""

from collections.abc import Mapping
from typing import Any

from tfqdyn.tflite.schemas import schema

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


_ACTIVATIONS = {
    value: name
    for name, value in vars(schema.ActivationFunctionType).items()
    if not name.startswith("_")
}
_OPTIONS = {
    value: name for name, value in vars(schema.BuiltinOptions).items() if not name.startswith("_")
}


def operator_options(raw: Any) -> tuple[str, tuple[int, ...], dict[str, Any]]:
    """(fused activation, a pool's window, all numbers of `READ`) of an operator.

    Numbers go by the schema's names; `Padding` is one of `PADDINGS`.

    Raises:
        ValueError: options, an activation or a padding that the schema does not have.
    """
    name = known(_OPTIONS, raw.BuiltinOptionsType(), "options")
    table = raw.BuiltinOptions()
    if name == "NONE" or table is None:
        return "NONE", (), {}
    options = getattr(schema, name)()
    options.Init(table.Bytes, table.Pos)
    activation = "NONE"
    if hasattr(options, "FusedActivationFunction"):
        activation = known(_ACTIVATIONS, options.FusedActivationFunction(), "activation")
    found = {key: getattr(options, key)() for key in READ.get(name, ()) if hasattr(options, key)}
    if "Padding" in found:
        found["Padding"] = known(dict(enumerate(PADDINGS)), found["Padding"], "padding")
    pool = ("FilterHeight", "FilterWidth", *_STEPS) if name == "Pool2DOptions" else ()
    return activation, tuple(found[key] for key in pool), found


def known(names: Mapping[int, str], number: int, what: str) -> str:
    """What a number of the schema stands for.

    Raises:
        ValueError: the schema does not have it.
    """
    if number not in names:
        raise ValueError(f"it has {what} {number}, or is newer than this")
    return names[number]
