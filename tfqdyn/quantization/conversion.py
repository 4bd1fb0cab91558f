"""Folded graph -> a .tflite file of any scheme, its bytes checked; or somebody else's file, read.

uint8, and int8 on ranges of ours: the graph, fake-quantized on given ranges, goes through
TensorFlow's converter. All schemes but uint8 may take the standard way: the folded Keras model,
`TFLiteConverter`, and calibration images as its representative dataset. Then the file is read back:
every row must have its tensor (`pairing`), every tensor the dtype that it must have, and every
kernel the codes that our own affine quantization gives (`checks`).
"""

import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfqdyn import console
from tfqdyn.datasets import by_input
from tfqdyn.network.graph import Graph
from tfqdyn.network.rebuild import to_keras
from tfqdyn.numerics.grid import QuantParams
from tfqdyn.quantization.checks import (
    ConversionError,
    check_channels,
    check_dtypes,
    check_form,
    check_kernels,
    check_params,
    check_tensors,
    left_in_floats,
    listed,
)
from tfqdyn.quantization.converted import Converted
from tfqdyn.quantization.fakequant import (
    emit,
    input_name,
    output_name,
    quantization_of,
)
from tfqdyn.schemes import SCHEMES, UINT8
from tfqdyn.tflite.file import TfliteModel, parse
from tfqdyn.tflite.pairing import Pairing, PairingError, mismatch, pair_layers
from tfqdyn.tflite.pairs import LayerPair
from tfqdyn.tflite.ports import assignments, called, output_tensors
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
    scheme: str = UINT8,
) -> Converted:
    """Converts a folded graph to true 8-bit TFLite on given ranges.

    Args:
        graph: a folded graph.
        ranges: calibrated (minimum, maximum) of the inputs and of every row, by name.
        float_layers: rows that stay in fp32 inside the same file.
        scheme: "uint8" (asymmetric weights, one scale for each tensor) or "int8" (symmetric
            weights, one scale for each output channel).

    Raises:
        ValueError: a name in `float_layers` is not a row's.
        ConversionError: the converter failed, or what it wrote does not hold: a dtype, a weight, a
            scale, or a row without a tensor.
    """
    floats = frozenset(float_layers)
    check_layers(graph, floats)
    params = quantization_of(graph, ranges, SCHEMES[scheme].activations)
    outputs = [output_name(index) for index in range(len(graph.outputs))]
    content = convert(emit(graph, params, floats), ends_of(graph, params), outputs)
    model = parse(content)
    paired, inputs = paired_here(graph, model)
    pairs = whole(paired)
    check_params(pairs, params, floats)
    if not floats:
        check_dtypes(model, pairs, SCHEMES[scheme])
    if SCHEMES[scheme].per_channel:
        check_channels(graph, pairs, model)
    ties = check_kernels(graph, pairs, model)
    return Converted(content, model, pairs, inputs, output_tensors(graph, model, pairs), ties)


def ends_of(
    graph: Graph, params: Mapping[str, QuantParams]
) -> dict[str, tuple[tuple[int, ...], QuantParams]]:
    """Shape and quantization of every input, by the name of its placeholder."""
    return {
        input_name(index): (shape, params[name])
        for index, (name, shape) in enumerate(graph.input_shapes.items())
    }


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
    shapes = enumerate(graph.input_shapes.values())
    traced = run.get_concrete_function(
        *(tf.TensorSpec((None, *shape), tf.float32, input_name(k)) for k, shape in shapes)
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced])
    if wanted.weights != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if wanted.weights == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if wanted.calibrated:
        converter.representative_dataset = lambda: (
            list(by_input(graph.inputs, chunk[0]).values()) for chunk in chunks()
        )
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
    """A folded graph as a function of its inputs, every row in its name scope."""
    layers: dict[str, Any] = {}
    to_keras(graph, wrap=lambda node, layer: layers.setdefault(node.name, layer))
    scopes = {
        node: scope_of(index)
        for index, row in enumerate(graph.rows)
        for node in (row.name, row.output)
    }

    def run(*tensors: Any) -> Any:
        values = dict(zip(graph.inputs, tensors, strict=True))
        for node in graph.computing:
            inputs = [values[name] for name in node.inputs]
            with tf.name_scope(scopes.get(node.name, LAYOUT)):
                value = layers[node.name](inputs if len(inputs) > 1 else inputs[0])
            values[node.name] = value
        outputs = [values[name] for name in graph.outputs]
        return outputs if len(outputs) > 1 else outputs[0]

    return run


def paired_here(
    graph: Graph, model: TfliteModel, sources: Mapping[str, int] | None = None
) -> tuple[Pairing, Mapping[str, int]]:
    """The pairs of a file that was converted here, and its inputs by the network's names.

    Args:
        graph: the folded network.
        model: the file.
        sources: see `pair_layers`; by default the file's inputs, by the names of `input_name`.

    Raises:
        ConversionError: they cannot be told.
    """
    placeholders = {input_name(index): name for index, name in enumerate(graph.inputs)}
    given = {called(model, tensor): tensor for tensor in model.inputs}
    inputs = {n: given[p] for p, n in placeholders.items() if p in given}
    if len(inputs) < len(placeholders):
        inputs = dict(zip(graph.inputs, model.inputs))
    made_of = origins(model, graph.rows, [graph.makers[name] for name in graph.outputs])
    try:
        return pair_layers(graph, model, sources or inputs, made_of), inputs
    except PairingError as error:
        raise ConversionError(f"{OUR_FAULT}: {error}") from error


def _checked(graph: Graph, content: bytes, scheme: str) -> Converted:
    model = parse(content)
    paired, inputs = paired_here(graph, model)
    in_floats, notes = left_in_floats(graph, model, SCHEMES[scheme])
    check_dtypes(model, paired.pairs, SCHEMES[scheme], in_floats)
    moved = [
        pair.row.name
        for pair in paired.pairs
        if not (pair.most_steps <= ROUNDED if pair.most_steps else pair.distance <= FLOATS)
    ]
    if moved:
        raise ConversionError(f"weights in the file differ from their rounded values: {moved}")
    outputs = output_tensors(graph, model, paired.pairs)
    return Converted(content, model, paired.pairs, inputs, outputs, 0, paired.unpaired, notes)


def adopt(graph: Graph, content: bytes) -> Converted:
    """Somebody else's file of the network that a folded graph holds.

    Raises:
        TfliteFileError: not a file that can be analyzed.
        PairingError: it is not this network's, or a layer with a kernel is missing.
    """
    model = parse(content)
    check_form(graph, model)
    paired, inputs = _adopted(graph, model)
    check_tensors(graph, model, paired.pairs, inputs)
    outputs = output_tensors(graph, model, paired.pairs)
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
    return Converted(
        content, model, paired.pairs, inputs, outputs, 0, paired.unpaired, tuple(notes)
    )


def _adopted(graph: Graph, model: TfliteModel) -> tuple[Pairing, Mapping[str, int]]:
    """The pairs of a file from elsewhere, and its inputs by the network's names.

    Raises:
        PairingError: it is not this network's, whichever of its inputs is which.
    """
    first: PairingError | None = None
    for inputs in assignments(graph, model):
        try:
            return pair_layers(graph, model, inputs), inputs
        except PairingError as error:
            first = first or error
    raise PairingError(f"{first}\nGive the Keras model that the file was made from") from first


def whole(paired: Pairing) -> tuple[LayerPair, ...]:
    """The pairs, if nothing is left over on either side."""
    problems = [f"layer {name!r}: {why}" for name, why in paired.unpaired.items()]
    problems += [f"{text} has no layer" for text in paired.leftovers]
    if problems:
        raise ConversionError(f"{OUR_FAULT}: {mismatch(problems)}")
    return paired.pairs


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


def convert(
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
    (dtype,) = {params.dtype for _, params in inputs.values()}
    converter.inference_type = tf.as_dtype(dtype)
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
