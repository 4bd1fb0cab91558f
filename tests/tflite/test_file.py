"""Damaged and hostile .tflite files: what parsing refuses, and what only the interpreter sees."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from conftest import images
from numpy.typing import NDArray
from test_foreign import CONFIG, graph_of, net, plain_int8

from tfqdyn.pipeline import analyze_file
from tfqdyn.quantization.conversion import adopt
from tfqdyn.tflite import file
from tfqdyn.tflite.dataflow import Dataflow
from tfqdyn.tflite.file import TfliteFileError, parse, read, schema


def changed(change: Callable[[Any, Any], Any]) -> bytes:
    """The int8 file of the residual net with its model and subgraph changed."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(plain_int8(), 0))
    change(model, model.subgraphs[0])
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@cache
def kinds() -> tuple[str, ...]:
    return tuple(op.kind for op in parse(plain_int8()).operators)


def integers(*values: int) -> NDArray[np.int32]:
    return np.array(values, np.int32)


def computed(graph: Any) -> list[Any]:
    """The tensors with one scale that operators make."""
    made = [graph.tensors[i] for op in graph.operators for i in op.outputs]
    return [t for t in made if t.quantization.scale is not None]


def circle(_: Any, graph: Any) -> None:
    """The carrier in front of the network reads what it writes."""
    carrier = graph.operators[kinds().index("PAD")]
    carrier.inputs = integers(carrier.outputs[0], *carrier.inputs[1:])


def replaced(field: str, position: int, value: int) -> Callable[[Any, Any], None]:
    def change(_: Any, graph: Any) -> None:
        values = list(getattr(graph.operators[1], field))
        values[position] = value
        setattr(graph.operators[1], field, integers(*values))

    return change


def on_tensor(**fields: Any) -> Callable[[Any, Any], None]:
    return lambda model, graph: [setattr(graph.tensors[3], k, v) for k, v in fields.items()]


def many_views(model: Any, graph: Any) -> None:
    """Sixteen kilobytes that 400 tensors share."""
    like = graph.tensors[3]
    like.type, like.shape, like.quantization = schema.TensorType.UINT8, integers(2**14), None
    model.buffers[like.buffer].data = np.zeros(2**14, np.uint8)
    graph.tensors += [like] * 400


def unknown_buffer(_: Any, graph: Any) -> None:
    graph.tensors[3].buffer = 10**6


def unknown_operator(_: Any, graph: Any) -> None:
    graph.operators[2].opcodeIndex = 77


def scales(*values: float, zero_point: int = 0, axis: int = 0) -> Callable[[Any, Any], None]:
    def change(_: Any, graph: Any) -> None:
        quantization = computed(graph)[2].quantization
        quantization.scale = np.array(values, np.float32)
        quantization.zeroPoint = np.array([zero_point], np.int64)
        quantization.quantizedDimension = axis

    return change


DAMAGED: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "an operator that reads its own output": (circle, r"\(PAD\) reads tensor \d+, which nothing"),
    "operators in another order": (
        lambda m, g: g.operators.reverse(), r"operator 0 \(.*reads tensor \d+, which nothing before"
    ),
    "a tensor that is not there": (replaced("inputs", 0, 10**6), "tensors that the file does not"),
    "an output that is not there": (replaced("outputs", 0, 10**6), "tensors that the file does"),
    "a negative tensor": (replaced("inputs", 1, -7), "tensors that the file does not have"),
    "a negative output": (replaced("outputs", 0, -1), "makes a tensor that is there already"),
    "the first input left out": (replaced("inputs", 0, -1), "has no input, or no output"),
    "a constant that is written": (replaced("outputs", 0, 3), "makes a tensor that is there"),
    "an operator without inputs": (
        lambda m, g: setattr(g.operators[1], "inputs", integers()), "has no input, or no output"
    ),
    "an operator without outputs": (
        lambda m, g: setattr(g.operators[1], "outputs", integers()), "has no input, or no output"
    ),
    "an output that nothing makes": (
        lambda m, g: (g.operators.pop(), None), "no input, no output, or one that nothing makes"
    ),
    "an input that is a constant": (
        lambda m, g: setattr(g, "inputs", integers(3)), "an input that is a constant, twice, or now"
    ),
    "an input that is nowhere": (
        lambda m, g: setattr(g, "inputs", integers(999)), "an input that is a constant, twice, or"
    ),
    "no buffer": (unknown_buffer, "it has no buffer 1000000"),
    "no such operator": (unknown_operator, "operator 2 has a kind that the file does not list"),
    "a negative size": (on_tensor(shape=integers(3, -3)), r"tensor 3 has the shape \(3, -3\)"),
    "many axes": (on_tensor(shape=integers(*[1] * 9)), "tensor 3 has the shape"),
    "a huge tensor": (on_tensor(shape=integers(2**20, 2**20)), r"tensor 3 has the shape \(1048576"),
    "a type that is none": (on_tensor(type=120), "tensor type 120"),
    "scales for other channels": (scales(1, 1, axis=1), "has 2 scales along axis 1"),
    "an axis that is not there": (scales(1, 1, axis=9), "has 2 scales along axis 9"),
    "a zero point that is no code": (scales(1, zero_point=200), "zero points that are no codes"),
    "much out of little": (many_views, "its parts overlap, and come to more than 16 times"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_parsing_refuses_what_is_no_network(name: str) -> None:
    change, message = DAMAGED[name]
    with pytest.raises(TfliteFileError, match=message):
        parse(changed(change))


def resized(_: Any, graph: Any) -> None:
    graph.tensors[graph.inputs[0]].shape = integers(1, 13, 13, 3)


def without_scale(_: Any, graph: Any) -> None:
    graph.tensors[graph.inputs[0]].type = schema.TensorType.UINT8


def other_type(_: Any, graph: Any) -> None:
    for tensor in computed(graph):
        tensor.type = schema.TensorType.INT32


def idle_operators(_: Any, graph: Any) -> None:
    """2,000 copies of the first operator, each with an output of its own."""
    first = graph.operators[0]
    for _ in range(2000):
        graph.tensors.append(graph.tensors[first.outputs[0]])
        copy: Any = schema.OperatorT()
        vars(copy).update(vars(first))
        copy.outputs = integers(len(graph.tensors) - 1)
        graph.operators.append(copy)


OTHERS: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "other images": (resized, r"the model expects images \(12, 12, 3\), the .* \(1, 13, 13, 3\)"),
    "codes without a scale": (without_scale, "is uint8 with 0 scales; expected float32, or one of"),
    "codes of another type": (other_type, "is int32 with 1 scales; expected float32, or one of"),
    "far too many operators": (idle_operators, r"has 2,?0\d\d operators, the model \d+"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_files_that_do_not_fit_the_model_are_refused(name: str) -> None:
    change, message = OTHERS[name]
    with pytest.raises(TfliteFileError, match=message):
        adopt(graph_of(net()), changed(change))


def overflowing(_: Any, graph: Any) -> None:
    add = graph.operators[kinds().index("ADD")]
    for index in add.inputs:
        graph.tensors[index].quantization.scale = np.array([1e30], np.float32)


def test_what_aborts_the_interpreter_is_an_error_here() -> None:
    with pytest.raises(TfliteFileError, match=r"cannot run the file: it crashed \(SIGABRT\)"):
        analyze_file(net(), changed(overflowing), images(12), CONFIG)


def test_what_the_interpreter_refuses_is_told() -> None:
    """A reshape to another number of values: shapes that the file states agree with the model."""

    def change(model: Any, graph: Any) -> None:
        mean = graph.operators[kinds().index("MEAN")]
        axes = graph.tensors[mean.inputs[1]]
        model.buffers[axes.buffer].data = np.array([1, 99], "<i4").view(np.uint8)

    with pytest.raises(TfliteFileError, match=r"interpreter refuses the \.tflite file"):
        analyze_file(net(), changed(change), images(12), CONFIG)


def test_tensors_have_the_size_that_the_file_states() -> None:
    """With a stride of 2 the layers have a quarter of the values that the loops over them read."""

    def change(_: Any, graph: Any) -> None:
        options = graph.operators[kinds().index("CONV_2D")].builtinOptions
        options.strideH = options.strideW = 2

    with pytest.raises(TfliteFileError, match=r"should be int8 \(1, 12, 12, 8\); with \d+ images"):
        analyze_file(net(), changed(change), images(12), CONFIG)


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, message in (("pipe", "is no file"), ("", "is no file"), ("x", "does not exist")):
        with pytest.raises(TfliteFileError, match=message):
            read(tmp_path / name)
    with (tmp_path / "huge").open("wb") as stream:
        stream.truncate(2**31)
    with pytest.raises(TfliteFileError, match=r"has 2,147,483,648 bytes; \.tflite"):
        read(tmp_path / "huge")


def test_long_chains_of_carriers_are_followed_at_once() -> None:
    """20,000 reshapes in a row: following each from its end would take 200 million steps."""
    tensors = [file.Tensor(i, "", (1, 4), "float32", None, None) for i in range(20001)]
    chain = [file.Operator(i, "RESHAPE", (i,), (i + 1,)) for i in range(20000)]
    flow = Dataflow(file.TfliteModel(tuple(tensors), tuple(chain), (0,), (20000,)))
    assert flow.source(20000) == 0
    assert flow.sized(0, 5) == 0
