"""What a converted file must hold: dtypes, quantization parameters, and every single weight."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from tfqdyn.affine import QuantParams, quantize
from tfqdyn.fakequant import INHERITING
from tfqdyn.filekernels import kernel_of_layer, layout
from tfqdyn.graph import Graph
from tfqdyn.pairs import LayerPair
from tfqdyn.schemes import Scheme
from tfqdyn.tflitefile import TfliteModel

TIE = 1e-3
"""How far from the middle between two codes, in steps, a weight still counts as an exact tie."""
SMALLEST_DYNAMIC = 1024
"""TFLite leaves kernels of fewer numbers in floats where only weights are quantized."""
ULP = 2.0**-23
"""Distance of neighbouring float32 numbers over their size, at most."""
_INDICES = ("int32", "int64", "bool")


class ConversionError(RuntimeError):
    """The converter failed, or what it wrote is not what was asked for."""


def check_dtypes(model: TfliteModel, pairs: Sequence[LayerPair], scheme: Scheme) -> None:
    """Every activation and every kernel has the scheme's dtype, and integers their scales.

    Raises:
        ConversionError: lists what differs.
    """
    problems = []
    if scheme.integer:
        whole = {scheme.activations, scheme.weights}
        problems += [
            f"{t.name!r} is {t.dtype}"
            for t in model.tensors
            if t.dtype not in (*_INDICES, *whole) or (t.dtype in whole and t.params is None)
        ]
    for pair in pairs:
        found = model.tensors[pair.tensor].dtype
        if found != scheme.activations:
            problems.append(f"layer {pair.row.name!r}: activations are {found}")
        if pair.kernel is not None:
            problems += _kernel_problems(model, pair, scheme)
    if problems:
        raise ConversionError(
            f"expected {scheme.activations} activations and {scheme.weights} weights:\n"
            + "\n".join(dict.fromkeys(problems))
        )


def _kernel_problems(model: TfliteModel, pair: LayerPair, scheme: Scheme) -> list[str]:
    assert pair.kernel is not None
    kernel = model.tensors[pair.kernel]
    small = np.prod(kernel.shape) < SMALLEST_DYNAMIC and not scheme.calibrated
    if kernel.dtype != scheme.weights and not (small and kernel.dtype == "float32"):
        return [f"layer {pair.row.name!r}: weights are {kernel.dtype}"]
    if kernel.params is None:
        return []
    problems = []
    if scheme.calibrated and not scheme.per_channel and kernel.params.axis is not None:
        problems.append(f"layer {pair.row.name!r}: weights have a scale a channel")
    if scheme.per_channel and (kernel.params.zero_point != 0).any():
        problems.append(f"layer {pair.row.name!r}: weights are not symmetric")
    return problems


def check_params(
    pairs: Sequence[LayerPair], params: Mapping[str, QuantParams], float_layers: Collection[str]
) -> None:
    """Every row's tensor has the quantization that was asked for.

    A pool's scale is TFLite's to choose: it moves requantization across pools that feed a
    concatenation.

    Raises:
        ConversionError: lists what differs.
    """
    problems = []
    for pair in pairs:
        name = pair.row.name
        expected = None if name in float_layers else params[name]
        settled_by_tflite = pair.row.kind in INHERITING and expected and pair.params
        if not settled_by_tflite and not _agree(pair.params, expected):
            problems.append(f"layer {name!r}: quantization {expected} became {pair.params}")
    if problems:
        raise ConversionError("quantization is not what was asked for:\n" + "\n".join(problems))


def _agree(found: QuantParams | None, expected: QuantParams | None) -> bool:
    if found is None or expected is None:
        return found is expected
    same_scale = np.allclose(found.scale, expected.scale, rtol=2 * ULP, atol=0)
    return same_scale and np.array_equal(found.zero_point, expected.zero_point)


def check_kernels(graph: Graph, pairs: Sequence[LayerPair], model: TfliteModel) -> int:
    """Counts codes that differ from our quantization of the weights by one, at exact ties.

    Raises:
        ConversionError: any other code differs.
    """
    ties = 0
    for pair in pairs:
        stored = None if pair.kernel is None else model.tensors[pair.kernel]
        if stored is None or stored.params is None or stored.data is None:
            continue
        values = kernel_of_layer(graph.by_name[pair.row.name]).astype(np.float64)
        channel = None if stored.params.axis is None else 3
        params = QuantParams(
            stored.params.scale, stored.params.zero_point, stored.params.dtype, channel
        )
        codes = layout(pair.operator, stored.data).astype(int)
        differing = np.nonzero(quantize(values, params) != codes)
        steps = (values / params.scale)[differing]
        distance = abs(quantize(values, params)[differing] - codes[differing])
        wrong = ~((distance <= 1) & (np.abs(steps - np.floor(steps) - 0.5) <= TIE))
        if wrong.any():
            raise ConversionError(
                f"layer {pair.row.name!r}: {int(wrong.sum())} of {values.size} weights in the file "
                "differ from their affine quantization"
            )
        ties += len(steps)
    return ties
