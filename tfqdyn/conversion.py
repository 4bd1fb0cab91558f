"""Folded graph + ranges -> a true uint8 .tflite file, its bytes checked.

The fake-quantized graph goes through TensorFlow's converter (the only use of it). Then the file
is read back: every row must have its tensor (`pairing`), every tensor the dtype that it must have,
and every kernel the codes that our own affine quantization gives.
"""

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfqdyn.affine import QuantParams, quantize
from tfqdyn.fakequant import INPUT, OUTPUT, cut_names, emit, kernel_of, quantization_of
from tfqdyn.graph import Graph, Node, layers_of
from tfqdyn.pairing import LayerPair, pair_layers
from tfqdyn.tflitefile import TfliteModel, parse

SCHEMES = ("uint8",)
TIE = 1e-3
"""How far from the middle between two codes, in steps, a weight still counts as an exact tie."""


class ConversionError(RuntimeError):
    """The converter failed, or what it wrote is not what was asked for."""


@dataclass(frozen=True, eq=False)
class Converted:
    """A converted model.

    Attributes:
        content: the .tflite file.
        model: the same, parsed.
        pairs: every row with its tensor.
        input_params: quantization of the input.
        ties: weights whose code differs from ours by one unit at an exact tie.
    """

    content: bytes
    model: TfliteModel
    pairs: tuple[LayerPair, ...]
    input_params: QuantParams
    ties: int

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.content)

    @property
    def output_params(self) -> QuantParams | None:
        """Quantization of the output; None for fp32."""
        return self.model.tensors[self.model.outputs[0]].params


def to_tflite(
    graph: Graph,
    ranges: Mapping[str, tuple[float, float]],
    float_layers: Collection[str] = (),
) -> Converted:
    """Converts a folded graph to true uint8 TFLite (per-tensor, asymmetric weights).

    Args:
        graph: a folded graph.
        ranges: calibrated (minimum, maximum) of the input and of every row, by name.
        float_layers: rows that stay in fp32 inside the same file.

    Raises:
        ValueError: a name in `float_layers` is not a row's.
        ConversionError: the converter failed, or a dtype or a weight in the file is wrong.
        PairingError: rows and tensors do not match.
    """
    rows = layers_of(graph)
    kept = frozenset(float_layers)
    check_layers(graph, kept)
    params = quantization_of(graph, ranges)
    input_params = params[graph.nodes[0].name]
    ends = {INPUT: (graph.input_shape, input_params)}
    content = _convert(emit(graph, params, kept), ends, [OUTPUT])
    model = parse(content)
    pairs = pair_layers(rows, model, params, kept)
    if not kept:
        _check_dtypes(model)
    ties = _check_kernels(graph, pairs, model)
    return Converted(content, model, pairs, input_params, ties)


@dataclass(frozen=True, eq=False)
class CutModel:
    """A converted model whose rows read inputs of the file in place of each other.

    Attributes:
        converted: the file; every row is an output of it.
        feeds: for every input of the file the row (or the graph's input) that it stands for, and
            its quantization, by the tensor's name.
    """

    converted: Converted
    feeds: Mapping[str, tuple[str, QuantParams]]


def to_cut_tflite(
    graph: Graph,
    ranges: Mapping[str, tuple[float, float]],
    float_layers: Collection[str] = (),
) -> CutModel:
    """`to_tflite` with every row cut off from the rows before it: one run, all rows on their own.

    Args and errors are those of `to_tflite`.
    """
    rows = layers_of(graph)
    kept = frozenset(float_layers)
    check_layers(graph, kept)
    params = quantization_of(graph, ranges)
    source = graph.nodes[0].name
    ends = {INPUT: (graph.input_shape, params[source])}
    feeds = {INPUT: (source, params[source])}
    for index, row in enumerate(rows):
        if graph.readers[row.output]:
            feed = cut_names(index)[1]
            ends[feed] = (row.output_shape, params[row.name])
            feeds[feed] = (row.name, params[row.name])
    outputs = [cut_names(index)[0] for index in range(len(rows))]
    content = _convert(emit(graph, params, kept, cut=True), ends, outputs)
    model = parse(content)
    pairs = pair_layers(rows, model, params, kept)
    return CutModel(Converted(content, model, pairs, params[source], 0), feeds)


def to_tflite_as_trained(model: Any) -> bytes:
    """The int8 file of a tf_keras model that tfmot trained with rounding; fp32 at both ends.

    Raises:
        ConversionError: the converter failed.
    """
    converter: Any = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    try:
        with warnings.catch_warnings():  # the ranges are in the model; both ends stay fp32
            warnings.filterwarnings("ignore", "Statistics for quantized inputs were expected")
            return bytes(converter.convert())
    except Exception as error:  # the converter's errors share no narrower type
        raise ConversionError(f"TensorFlow's converter refused the model: {error}") from error


def check_layers(graph: Graph, names: Collection[str]) -> None:
    """Raises ValueError, listing the layers, if a name is not a layer's."""
    layers = [row.name for row in layers_of(graph)]
    unknown = sorted(set(names) - set(layers))
    if unknown:
        raise ValueError(f"{unknown} are no layers; layers are: {', '.join(layers)}")


def _convert(
    emitted: tf.compat.v1.GraphDef,
    inputs: Mapping[str, tuple[tuple[int, ...], QuantParams]],
    outputs: Sequence[str],
) -> bytes:
    """The file with inputs of given shapes and quantization, and outputs by name."""
    with tf.Graph().as_default():  # stand-ins: the graph that was emitted need not stay in memory
        first = [
            tf.compat.v1.placeholder(tf.float32, (None, *shape), name)
            for name, (shape, _) in inputs.items()
        ]
        last = [tf.compat.v1.placeholder(tf.float32, None, name) for name in outputs]
    converter = tf.compat.v1.lite.TFLiteConverter(emitted, first, last)
    converter.inference_type = tf.uint8
    converter.quantized_input_stats = {
        name: (float(params.zero_point), 1.0 / float(params.scale))
        for name, (_, params) in inputs.items()
    }
    try:
        return bytes(converter.convert())
    except Exception as error:  # the converter's errors share no narrower type
        raise ConversionError(f"TensorFlow's converter refused the model: {error}") from error


def _check_dtypes(model: TfliteModel) -> None:
    """Activations and kernels uint8; int32 only for biases and shapes."""
    wrong = [
        f"{t.name!r} is {t.dtype}"
        for t in model.tensors
        if t.dtype not in ("uint8", "int32") or (t.dtype == "uint8" and t.params is None)
    ]
    if wrong:
        raise ConversionError("tensors that should be uint8 are not:\n" + "\n".join(wrong))


def _check_kernels(graph: Graph, pairs: tuple[LayerPair, ...], model: TfliteModel) -> int:
    """Counts codes that differ by one at exact ties; any other difference is an error."""
    ties = 0
    for pair in pairs:
        if pair.kernel is None or pair.params is None:
            continue
        stored = model.tensors[pair.kernel]
        if stored.data is None or stored.params is None or stored.dtype != "uint8":
            raise ConversionError(f"layer {pair.row.name!r}: its kernel is {stored.dtype}")
        values = in_tflite_layout(graph.by_name[pair.row.name]).reshape(-1)
        codes = quantize(values, stored.params)
        differing = np.flatnonzero(codes != stored.data.reshape(-1))
        distance = codes[differing].astype(int) - stored.data.reshape(-1)[differing]
        steps = values[differing] / stored.params.scale
        wrong = (abs(distance) > 1) | (np.abs(steps - np.floor(steps) - 0.5) > TIE)
        if wrong.any():
            raise ConversionError(
                f"layer {pair.row.name!r}: {int(wrong.sum())} of {values.size} weights in the file "
                "differ from their affine quantization"
            )
        ties += differing.size
    return ties


def in_tflite_layout(node: Node) -> NDArray[np.float32]:
    """A node's kernel in the axis order that TFLite stores: output channels first.

    Convolutions [K, H, W, C / G], depthwise ones [1, H, W, C * M], dense layers [K, C].
    """
    kernel = kernel_of(node)
    if node.op in ("depthwise", "affine"):
        return kernel.reshape(1, *kernel.shape[:2], -1) if node.op == "depthwise" else kernel
    if node.op == "conv":
        return kernel.transpose(3, 0, 1, 2)
    return kernel.transpose(2, 0, 1, 3) if node.op == "transposed_conv" else kernel.T
