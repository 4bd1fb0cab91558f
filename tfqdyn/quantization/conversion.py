"""Folded graph -> a .tflite file of any scheme, its bytes checked; or somebody else's file, read.

uint8: the graph, fake-quantized on given ranges, goes through TensorFlow's converter. The other
schemes take the standard way: the folded Keras model, `TFLiteConverter`, and calibration images as
its representative dataset. Then the file is read back: every row must have its tensor (`pairing`),
every tensor the dtype that it must have, and every kernel the codes that our own affine
quantization gives (`filechecks`).
"""

import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from tfqdyn import console
from tfqdyn.network.graph import Graph
from tfqdyn.network.rebuild import to_keras
from tfqdyn.numerics.grid import QuantParams
from tfqdyn.quantization.checks import (
    ConversionError,
    check_dtypes,
    check_form,
    check_kernels,
    check_params,
    check_tensors,
    left_in_floats,
    listed,
)
from tfqdyn.quantization.converted import Converted
from tfqdyn.quantization.fakequant import INPUT, OUTPUT, cut_names, emit, quantization_of
from tfqdyn.schemes import OWN_RANGES, SCHEMES
from tfqdyn.tflite.file import TfliteModel, parse
from tfqdyn.tflite.pairing import Pairing, PairingError, mismatch, pair_layers
from tfqdyn.tflite.pairs import LayerPair
from tfqdyn.tflite.provenance import LAYOUT, origins, scope_of

ROUNDED = 0.501
"""By how many steps rounding may move a weight; more, and the file holds other weights."""
OUR_FAULT = (
    "tfqdyn cannot tell the layers of the .tflite file that it made itself; this is a defect of "
    "tfqdyn, not of your model, please report it with this message"
)
FLOATS = 2e-3
"""`kernels.distance` that half precision, and no more, may bring about."""


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
        ConversionError: the converter failed, or what it wrote does not hold: a dtype, a weight,
            or a row without a tensor.
    """
    floats = frozenset(float_layers)
    check_layers(graph, floats)
    params = quantization_of(graph, ranges)
    ends = {INPUT: (graph.input_shape, params[graph.nodes[0].name])}
    content = _convert(emit(graph, params, floats), ends, [OUTPUT])
    model = parse(content)
    pairs = _whole(_paired(graph, model))
    check_params(pairs, params, floats)
    if not floats:
        check_dtypes(model, pairs, SCHEMES[OWN_RANGES])
    return Converted(content, model, pairs, check_kernels(graph, pairs, model))


def to_scheme(
    graph: Graph, scheme: str, chunks: Callable[[], Iterable[Sequence[Any]]]
) -> Converted:
    """Converts a folded graph by TFLite's standard post-training quantization.

    Integer schemes take and give integers.

    Args:
        graph: a folded graph.
        scheme: any of `SCHEMES` but uint8.
        chunks: gives the calibration images, one in a chunk, as `datasets.chunks` yields them.

    Raises:
        ConversionError: see `to_tflite`.
    """
    wanted = SCHEMES[scheme]
    run = tf.function(_in_scopes(graph), autograph=False)
    traced = run.get_concrete_function(tf.TensorSpec((None, *graph.input_shape), tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced])
    if wanted.weights != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if wanted.weights == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if wanted.calibrated:
        converter.representative_dataset = lambda: ([chunk[0]] for chunk in chunks())
        operators = tf.lite.OpsSet.TFLITE_BUILTINS_INT8
        if wanted.activations == "int16":
            operators = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.target_spec.supported_ops = [operators]
        converter.inference_input_type = converter.inference_output_type = tf.as_dtype(
            wanted.activations
        )
        converter._experimental_disable_per_channel = not wanted.per_channel
    return _checked(graph, _run(converter), scheme)


def _in_scopes(graph: Graph) -> Callable[[Any], Any]:
    """A folded graph as a function of its input, every row in its name scope."""
    layers: dict[str, Any] = {}
    to_keras(graph, wrap=lambda node, layer: layers.setdefault(node.name, layer))
    scopes = {
        node: scope_of(index)
        for index, row in enumerate(graph.rows)
        for node in (row.name, row.output)
    }

    def run(x: Any) -> Any:
        values = {graph.nodes[0].name: x}
        for node in graph.nodes[1:]:
            inputs = [values[name] for name in node.inputs]
            with tf.name_scope(scopes.get(node.name, LAYOUT)):
                value = layers[node.name](inputs if len(inputs) > 1 else inputs[0])
            values[node.name] = value
        return values[graph.output.name]

    return run


def _paired(graph: Graph, model: TfliteModel, sources: Mapping[str, int] | None = None) -> Pairing:
    """The pairs of a file that was converted here.

    Raises:
        ConversionError: they cannot be told.
    """
    try:
        return pair_layers(graph, model, sources, origins(model, graph.rows))
    except PairingError as error:
        raise ConversionError(f"{OUR_FAULT}: {error}") from error


def _checked(graph: Graph, content: bytes, scheme: str) -> Converted:
    model = parse(content)
    paired = _paired(graph, model)
    in_floats, notes = left_in_floats(graph, model, SCHEMES[scheme])
    check_dtypes(model, paired.pairs, SCHEMES[scheme], in_floats)
    moved = [
        pair.row.name
        for pair in paired.pairs
        if not (pair.most_steps <= ROUNDED if pair.most_steps else pair.distance <= FLOATS)
    ]
    if moved:
        raise ConversionError(f"weights in the file differ from their rounded values: {moved}")
    return Converted(content, model, paired.pairs, 0, paired.unpaired, notes)


def adopt(graph: Graph, content: bytes) -> Converted:
    """Somebody else's file of the network that a folded graph holds.

    Raises:
        TfliteFileError: not a file that can be analyzed.
        PairingError: it is not this network's, or a layer with a kernel is missing.
    """
    model = parse(content)
    check_form(graph, model)
    try:
        paired = pair_layers(graph, model)
    except PairingError as error:
        raise PairingError(f"{error}\nGive the Keras model that the file was made from") from error
    check_tensors(graph, model, paired.pairs)
    notes = [
        *listed("layers without a tensor of their own in the file", paired.unpaired),
        *listed("operators of the file that no layer accounts for", paired.leftovers),
    ]
    moved = [
        p
        for p in paired.pairs
        if not p.most_steps <= ROUNDED or not (p.most_steps or p.distance <= FLOATS)
    ]
    if moved:
        worst = max(moved, key=lambda pair: pair.distance)
        notes.append(
            f"the weights of {len(moved)} layers differ from the Keras model's by more than "
            f"rounding, those of {worst.row.name!r} most (by up to {worst.most_steps:.3g} steps): "
            "the file was trained further, or made from another checkpoint"
        )
    return Converted(content, model, paired.pairs, 0, paired.unpaired, tuple(notes))


def _whole(paired: Pairing) -> tuple[LayerPair, ...]:
    """The pairs, if nothing is left over on either side."""
    problems = [f"layer {name!r}: {why}" for name, why in paired.unpaired.items()]
    problems += [f"{text} has no layer" for text in paired.leftovers]
    if problems:
        raise ConversionError(f"{OUR_FAULT}: {mismatch(problems)}")
    return paired.pairs


@dataclass(frozen=True, eq=False)
class CutModel:
    """A converted model whose rows read inputs of the file in place of each other.

    Attributes:
        converted: the file; every row is an output of it.
        feeds: for every input of the file the row (or the graph's input) that it stands for, by
            the tensor's name.
    """

    converted: Converted
    feeds: Mapping[str, str]

    @property
    def feed_params(self) -> dict[str, QuantParams]:
        """Quantization of what rows read, by the row (or the graph's input) that it stands for."""
        tensors = self.converted.model.tensors
        found = {}
        for index in self.converted.model.inputs:
            params = tensors[index].params
            assert params is not None, "inputs of a cut file are codes"
            found[self.feeds[tensors[index].name]] = params
        return found


def to_cut_tflite(
    graph: Graph,
    ranges: Mapping[str, tuple[float, float]],
    float_layers: Collection[str] = (),
) -> CutModel:
    """`to_tflite` with every row cut off from the rows before it: one run, all rows on their own.

    Args and errors are those of `to_tflite`.
    """
    rows = graph.rows
    floats = frozenset(float_layers)
    check_layers(graph, floats)
    params = quantization_of(graph, ranges)
    source = graph.nodes[0].name
    ends = {INPUT: (graph.input_shape, params[source])}
    feeds = {INPUT: source}
    for index, row in enumerate(rows):
        if graph.readers[row.output]:
            feed = cut_names(index)[1]
            ends[feed] = (row.output_shape, params[row.name])
            feeds[feed] = row.name
    outputs = [cut_names(index)[0] for index in range(len(rows))]
    content = _convert(emit(graph, params, floats, cut=True), ends, outputs)
    model = parse(content)
    tensors = {model.tensors[index].name: index for index in model.inputs}
    sources = {name: tensors[feed] for feed, name in feeds.items() if feed in tensors}
    pairs = _whole(_paired(graph, model, sources))
    check_params(pairs, params, floats)
    return CutModel(Converted(content, model, pairs), feeds)


def to_tflite_as_trained(model: Any) -> bytes:
    """The int8 file of a tf_keras model that tfmot trained with rounding; fp32 at both ends.

    Raises:
        ConversionError: the converter failed.
    """
    converter: Any = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return _run(converter)


def float_file(function: Any, owner: Any) -> bytes:
    """The float file of a concrete function of TensorFlow, and of the object that owns it.

    Raises:
        ConversionError: the converter failed.
    """
    return _run(tf.lite.TFLiteConverter.from_concrete_functions([function], owner))


def check_layers(graph: Graph, names: Collection[str]) -> None:
    """Raises ValueError, listing the layers, if a name is not a layer's."""
    layers = [row.name for row in graph.rows]
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
    return _run(converter)


def _run(converter: Any) -> bytes:
    """What a converter writes."""
    try:
        with console.stderr_dropped(), warnings.catch_warnings():  # errors come as exceptions
            # TensorFlow misses statistics of the input even where a representative dataset is given
            warnings.filterwarnings("ignore", "Statistics for quantized inputs")
            return bytes(converter.convert())
    except Exception as error:  # the converter's errors share no narrower type
        raise ConversionError(f"TensorFlow's converter refused the model: {error}") from error
