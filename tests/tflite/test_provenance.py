"""Operators of a file of our own making belong to the rows that they were made of."""

import keras

from tfqdyn.network.graph import Graph
from tfqdyn.network.lowering import lower
from tfqdyn.tflite.file import Operator, Tensor, TfliteModel
from tfqdyn.tflite.pairing import pair_layers
from tfqdyn.tflite.provenance import origins, scope_of

k = keras.layers


def slopes() -> Graph:
    """Two leaky ReLUs of one value: by kind and inputs, nothing tells them apart."""
    inputs = keras.Input((4, 4, 2), name="images")
    both = [k.LeakyReLU(0.1, name="low")(inputs), k.LeakyReLU(0.3, name="high")(inputs)]
    return lower(keras.Model(inputs, k.Concatenate(name="both")(both)))


def file_of(names: tuple[str, str, str]) -> TfliteModel:
    """Two leaky ReLUs and their concatenation, tensors 1 to 3, by their names in the file."""
    shapes = ((1, 4, 4, 2), (1, 4, 4, 2), (1, 4, 4, 2), (1, 4, 4, 4))
    tensors = [
        Tensor(i, name, shape, "float32", None, None)
        for i, (name, shape) in enumerate(zip(("input", *names), shapes, strict=True))
    ]
    operators = (
        Operator(0, "LEAKY_RELU", (0,), (1,)),
        Operator(1, "LEAKY_RELU", (0,), (2,)),
        Operator(2, "CONCATENATION", (2, 1), (3,)),
    )
    return TfliteModel(tuple(tensors), operators, (0,), (3,))


def test_rows_are_found_where_their_names_say() -> None:
    graph = slopes()
    rows = graph.rows
    model = file_of((f"{scope_of(1)}high/LeakyRelu", f"{scope_of(0)}low/LeakyRelu", "Identity"))
    made_of = origins(model, rows)
    assert made_of == {0: ("high",), 1: ("low",), 2: ("both",)}
    found = pair_layers(graph, model, origins=made_of)
    assert {pair.row.name: pair.tensor for pair in found.pairs} == {"low": 2, "high": 1, "both": 3}


def test_the_row_whose_value_an_operator_gives_comes_first() -> None:
    rows = slopes().rows
    names = ("row0001/Relu;row0000/BiasAdd;row0001/Conv;layout/Pad;Const", "tfl.quantize", "out")
    assert origins(file_of(names), rows) == {0: ("high", "low"), 2: ("both",)}


def test_operators_of_other_rows_are_no_candidates() -> None:
    """Both claim to be the second row's: the first one has none, and nothing is searched."""
    graph = slopes()
    model = file_of((f"{scope_of(1)}a", f"{scope_of(1)}b", f"{scope_of(2)}c"))
    found = pair_layers(graph, model, origins=origins(model, graph.rows))
    assert "low" in found.unpaired
    assert [pair.row.name for pair in found.pairs] == ["high"]
