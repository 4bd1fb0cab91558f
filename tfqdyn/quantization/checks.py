"""What a converted file must hold: dtypes, quantization parameters, and every single weight."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfqdyn.network.graph import Graph
from tfqdyn.network.ops import OPS, takes
from tfqdyn.numerics.grid import QuantParams, quantize, symmetric
from tfqdyn.numerics.layouts import STORED
from tfqdyn.schemes import INT8, Scheme
from tfqdyn.tflite.dataflow import real_values
from tfqdyn.tflite.file import INDICES, Tensor, TfliteFileError, TfliteModel
from tfqdyn.tflite.pairs import LayerPair
from tfqdyn.tflite.provenance import origins

TIE = 1e-3
"""How far from the middle between two codes, in steps, a weight still counts as an exact tie."""
SMALLEST_DYNAMIC = 1024
"""TFLite leaves kernels of fewer numbers in floats where only weights are quantized."""
MOST_BIAS = 2**30
"""Largest code of a bias for which TFLite's converter raises no scale."""
ULP = 2.0**-23
"""Distance of neighbouring float32 numbers over their size, at most."""
MOST_OPERATORS = 100
"""Operators that a file may have for each node of the network; group convolutions are split."""
_CODES = ("uint8", "int8", "int16")


class ConversionError(RuntimeError):
    """The converter failed, or what it wrote is not what was asked for."""


def check_form(graph: Graph, model: TfliteModel) -> None:
    """A file from elsewhere is one that can be paired with the network at all.

    Raises:
        TfliteFileError: several inputs or outputs, or far too many operators.
    """
    numbers = (len(graph.inputs), len(graph.outputs))
    if (len(model.inputs), len(model.outputs)) != numbers:
        raise TfliteFileError(
            f"expected a .tflite file with {_counted(numbers)} as the model has, received "
            f"{_counted((len(model.inputs), len(model.outputs)))}"
        )
    if len(model.operators) > MOST_OPERATORS * len(graph.nodes):
        raise TfliteFileError(
            f"the .tflite file has {len(model.operators)} operators, the model {len(graph.nodes)}: "
            "it is not this model's"
        )


def _counted(numbers: tuple[int, int]) -> str:
    words = [f"{n} {what}{'s' * (n != 1)}" for n, what in zip(numbers, ("input", "output"))]
    return " and ".join(words)


def check_tensors(
    graph: Graph, model: TfliteModel, pairs: Sequence[LayerPair], inputs: Mapping[str, int]
) -> None:
    """A file from elsewhere takes the network's images, and its tensors can be read as numbers.

    Raises:
        TfliteFileError: names the tensor.
    """
    counts = set()
    for name, tensor in inputs.items():
        found, shape = model.tensors[tensor].shape, graph.by_name[name].output_shape
        if found[1:] != shape or found[0] < 1:
            raise TfliteFileError(f"the model expects images {shape}, the .tflite file has {found}")
        counts.add(found[0])
    if len(counts) > 1:
        raise TfliteFileError(
            f"the inputs of the .tflite file take different numbers of images: {sorted(counts)}"
        )
    for index in (*model.inputs, *model.outputs, *(pair.tensor for pair in pairs)):
        _check_codes(model.tensors[index])


def _check_codes(tensor: Tensor) -> None:
    """A tensor is in floats, or in codes with one scale."""
    quantized = tensor.dtype in _CODES and tensor.params is not None and tensor.params.axis is None
    if not quantized and not (tensor.dtype == "float32" and tensor.params is None):
        raise TfliteFileError(
            f"tensor {tensor.name!r} is {tensor.dtype} "
            f"with {0 if tensor.params is None else tensor.params.scale.size} scales; expected "
            f"float32, or one of {', '.join(_CODES)} with one scale"
        )


def check_dtypes(
    model: TfliteModel,
    pairs: Sequence[LayerPair],
    scheme: Scheme,
    in_floats: Collection[int] = (),
) -> None:
    """Every activation and every kernel has the scheme's dtype, and integers their scales.

    Args:
        model: the file.
        pairs: its rows.
        scheme: what was asked for.
        in_floats: tensors that may be float32 in an integer scheme.

    Raises:
        ConversionError: lists what differs.
    """
    problems = []
    if scheme.integer:
        whole = {scheme.activations, scheme.weights}
        problems += [
            f"{t.name!r} is {t.dtype}"
            for t in model.tensors
            if (t.dtype not in (*INDICES, *whole) or (t.dtype in whole and t.params is None))
            and not (t.index in in_floats and t.dtype == "float32")
        ]
    for pair in pairs:
        found = model.tensors[pair.tensor].dtype
        if found != scheme.activations and not (pair.tensor in in_floats and found == "float32"):
            problems.append(f"layer {pair.row.name!r}: activations are {found}")
        if pair.kernel is not None:
            problems += _kernel_problems(model, pair, scheme)
    if problems:
        raise ConversionError(
            f"expected {scheme.activations} activations and {scheme.weights} weights:\n"
            + "\n".join(dict.fromkeys(problems))
        )


def left_in_floats(
    graph: Graph, model: TfliteModel, scheme: Scheme
) -> tuple[set[int], tuple[str, ...]]:
    """Tensors that an integer file holds in fp32 for want of a kernel, and the remark on that."""
    made_of = origins(model, graph.rows, [graph.makers[name] for name in graph.outputs])
    tensors: set[int] = set()
    kinds: set[str] = set()
    layers: dict[str, None] = {}
    for op in model.operators:
        rows = [r for r in made_of.get(op.index, ()) if not takes(INT8, graph.by_name[r].op)]
        floats = {t for t in (*op.inputs, *op.outputs) if model.tensors[t].dtype == "float32"}
        if scheme.integer and rows and floats:
            tensors |= floats
            kinds.add(op.kind)
            layers |= dict.fromkeys(rows)
    if not tensors:
        return tensors, ()
    what = f"layers run in fp32 in part, for TFLite has no integer {', '.join(sorted(kinds))}"
    return tensors, tuple(listed(what, layers))


def listed(what: str, names: Collection[str]) -> list[str]:
    """One remark about several things, the first five by name."""
    shown = ", ".join(list(names)[:5])
    return [f"{len(names)} {what}: {shown}{', ...' if len(names) > 5 else ''}"] if names else []


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
        problems.append(f"layer {pair.row.name!r}: weights have one scale per channel")
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
        op = OPS.get(pair.row.kind)  # kinds of convolutions are no ops' names
        settled_by_tflite = op and op.inherits and expected and pair.params
        if not settled_by_tflite and not _agree(pair.params, expected):
            problems.append(f"layer {name!r}: quantization {expected} became {pair.params}")
    if problems:
        raise ConversionError("quantization is not what was asked for:\n" + "\n".join(problems))


def _agree(found: QuantParams | None, expected: QuantParams | None) -> bool:
    if found is None or expected is None:
        return found is expected
    same_scale = np.allclose(found.scale, expected.scale, rtol=2 * ULP, atol=0)
    return same_scale and np.array_equal(found.zero_point, expected.zero_point)


def check_channels(graph: Graph, pairs: Sequence[LayerPair], model: TfliteModel) -> None:
    """Every channel of an int8 kernel has its scale, and its bias is in the file.

    The scale is the largest weight over 127. The converter raises it where the bias would not fit
    into 31 of its 32 bits otherwise, just so far that it does.

    Raises:
        ConversionError: lists the layers where a scale or a bias differs.
    """
    problems = []
    for pair in pairs:
        stored = None if pair.kernel is None else model.tensors[pair.kernel]
        if stored is None or stored.params is None:
            continue
        node = graph.by_name[pair.row.name]
        own = symmetric(np.abs(node.kernel).max(axis=(0, 1, 2)), axis=3).scale
        raised, wanted = np.zeros(own.shape, bool), node.weights["bias"].astype(np.float64)
        for bias in _biases(model, pair):
            half = (0.5 + TIE) * (0.0 if bias is None else bias.scale) + ULP * np.abs(wanted)
            if not (np.abs((0.0 if bias is None else bias.values) - wanted) <= half).all():
                problems.append(f"layer {node.name!r}: biases are not those of the network")
            if bias is not None:
                raised |= np.abs(bias.values) >= (1 - TIE) * MOST_BIAS * bias.scale
        same = np.abs(stored.params.scale - own) <= 2 * ULP * own
        if not (same | (raised & (stored.params.scale > own))).all():
            problems.append(f"layer {node.name!r}: scales {own} became {stored.params.scale}")
    if problems:
        raise ConversionError("channels are not what was asked for:\n" + "\n".join(problems))


@dataclass(frozen=True, eq=False)
class _Bias:
    """Real values of a stored bias [K], and the steps of its codes."""

    values: NDArray[np.float64]
    scale: NDArray[np.float64]


def _biases(model: TfliteModel, pair: LayerPair) -> Iterator[_Bias | None]:
    """The bias of every operator that computes a layer; None for zeros left out.

    Layers with the same kernel have it once in a file, each with a bias of its own.
    """
    users = [op for op in model.operators if pair.kernel in op.inputs]
    for op in [op for op in users if pair.tensor in op.outputs] or users:
        place = 3 if op.kind == "TRANSPOSE_CONV" else 2
        index = op.inputs[place] if len(op.inputs) > place else -1
        if index < 0:
            yield None
            continue
        tensor = model.tensors[index]
        if tensor.params is None or tensor.data is None:
            raise ConversionError(f"bias {tensor.name!r} is stored as {tensor.dtype}")
        yield _Bias(real_values(tensor), tensor.params.scale)


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
        values = graph.by_name[pair.row.name].kernel.astype(np.float64)
        channel = None if stored.params.axis is None else 3
        params = QuantParams(
            stored.params.scale, stored.params.zero_point, stored.params.dtype, channel
        )
        codes = STORED[pair.operator].common(stored.data).astype(int)
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
