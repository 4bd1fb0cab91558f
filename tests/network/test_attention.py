"""Products of two values, and attention, as the parts that compute it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from conftest import randomize
from test_lowering import outputs_agree

from tfqdyn.network import modelfile
from tfqdyn.network.folding import fold_batchnorm
from tfqdyn.network.lowering import lower
from tfqdyn.network.rebuild import to_keras
from tfqdyn.network.trace import UnsupportedModelError

k = keras.layers
ops = keras.ops


def of(build: Callable[[Any], Any], *shape: int) -> keras.Model:
    inputs = keras.Input(shape or (7, 6))
    return randomize(keras.Model(inputs, build(inputs)))


def heads(x: keras.KerasTensor) -> keras.KerasTensor:
    return ops.transpose(k.Reshape((7, 2, 4))(k.Dense(8)(x)), (0, 2, 1, 3))


MODELS: dict[str, keras.Model] = {
    "matmul": of(lambda x: ops.matmul(ops.softmax(ops.matmul(x, ops.swapaxes(x, 1, 2))), x)),
    "matmul of heads": of(lambda x: ops.matmul(heads(x), ops.swapaxes(heads(x), -1, -2))),
    "matmul with a matrix": of(lambda x: ops.matmul(x, np.eye(6, 3, 1, dtype=np.float32))),
    "at sign": of(lambda x: ops.squeeze(ops.expand_dims(x, 1), 1) @ ops.transpose(x, (0, 2, 1))),
    "einsum": of(lambda x: ops.einsum("abc,adc->abd", x, k.Dense(6)(x))),
    "einsum of heads": of(
        lambda x: ops.einsum("aecd,abcd->acbe", *(k.Reshape((7, 2, 4))(k.Dense(8)(x)),) * 2)
    ),
    "einsum, outer": of(lambda x: ops.einsum("ab,ac->acb", x, k.Dense(2)(x)), 6),
    "dot": of(lambda x: k.Dot(axes=2)([x, k.Dense(6)(x)])),
    "dot of other axes": of(lambda x: k.Dot(axes=(1, -1))([x, k.Permute((2, 1))(k.Dense(3)(x))])),
    "dot of vectors": of(lambda x: k.Dot(axes=1)([k.Flatten()(x), k.Flatten()(k.Dense(6)(x))])),
    "einsum dense": of(lambda x: k.EinsumDense("abc,cd->abd", (7, 5), bias_axes="d")(x)),
    "einsum dense, new axes": of(
        lambda x: k.EinsumDense("abc,cde->abde", (7, 2, 5), bias_axes="de", activation="relu")(x)
    ),
    "einsum dense, softmax": of(
        lambda x: k.EinsumDense("abc,cde->abde", (7, 2, 5), bias_axes="d", activation="softmax")(x)
    ),
    "einsum dense, two axes": of(lambda x: k.EinsumDense("abc,bcd->ad", 5)(x)),
    "einsum dense, dots": of(lambda x: k.EinsumDense("...x,xy->...y", 5)(x)),
    "attention": of(lambda x: k.Attention(use_scale=True)([x, k.Dense(6)(x)])),
    "attention, own keys": of(lambda x: k.Attention()([x, k.Dense(3)(x), k.Dense(6)(x)])),
    "heads": of(lambda x: k.MultiHeadAttention(2, 4)(x, x)),
    "heads, no bias": of(lambda x: k.MultiHeadAttention(3, 2, use_bias=False, dropout=0.2)(x, x)),
    "heads, of others": of(
        lambda x: k.MultiHeadAttention(2, 4, value_dim=3, output_shape=5)(
            key=k.Conv1D(5, 2)(x), query=x, value=k.Conv1D(4, 2)(x)
        )
    ),
    "heads, an image out": of(lambda x: k.MultiHeadAttention(2, 4, output_shape=(2, 3))(x, x)),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_products_and_attention_compute_the_same(name: str) -> None:
    outputs_agree(MODELS[name], scheme=None)


def test_attention_has_a_row_for_each_of_its_parts() -> None:
    model = of(lambda x: k.MultiHeadAttention(2, 4, name="mha")(x, x))
    rows = fold_batchnorm(lower(model, None)).graph.rows
    assert [(row.number, row.name, row.kind, row.output_shape) for row in rows] == [
        (1, "mha_query", "dense", (7, 8)),
        (2, "mha_key", "dense", (7, 8)),
        (3, "mha_value", "dense", (7, 8)),
        (None, "mha_scores", "matmul", (2, 7, 7)),
        (None, "mha_scale", "affine", (2, 7, 7)),
        (None, "mha_softmax", "softmax", (2, 7, 7)),
        (None, "mha_context", "matmul", (2, 7, 4)),
        (4, "mha", "dense", (7, 6)),
    ]
    by_name = {row.name: row for row in rows}
    assert by_name["mha_scores"].producers == ("mha_query", "mha_key")
    assert by_name["mha_context"].producers == ("mha_softmax", "mha_value")


def test_the_query_is_scaled_where_keras_does() -> None:
    """Keras scales the query, not the scores, where a dropout lies between softmax and context."""
    model = of(lambda x: k.MultiHeadAttention(2, 4, dropout=0.1, name="mha")(x, x))
    rows = [row.name for row in lower(model, None).rows]
    assert rows[:3] == ["mha_query", "mha_scale", "mha_key"]


def test_the_parts_have_the_values_of_keras() -> None:
    layer = k.MultiHeadAttention(2, 4, name="mha")
    x = np.random.default_rng(0).normal(size=(3, 7, 6)).astype(np.float32)
    inputs = keras.Input((7, 6))
    model = randomize(keras.Model(inputs, layer(inputs, inputs)))
    wanted, scores = layer(x, x, return_attention_scores=True)
    query = layer.query_dense(x) if hasattr(layer, "query_dense") else layer._query_dense(x)
    graph = lower(model, None)
    found = to_keras(graph, ["mha_query", "mha_softmax", "mha"])(x)
    for value, expected in zip(found, (query, scores, wanted), strict=True):
        expected = np.asarray(expected).reshape(value.shape)
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-6)


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a causal mask": (
        lambda x: k.MultiHeadAttention(2, 4, name="mha")(x, x, use_causal_mask=True),
        r"'mha' \(MultiHeadAttention\) with use_causal_mask",
    ),
    "images": (
        lambda x: k.MultiHeadAttention(2, 4, name="mha")(*(k.Reshape((7, 2, 3))(x),) * 2),
        "'mha': attention of sequences",
    ),
    "scores that are no products": (
        lambda x: k.Attention(score_mode="concat", name="add")([x, x]), "'add': score_mode 'dot'",
    ),
    "normalized": (lambda x: k.Dot(2, normalize=True, name="cos")([x, x]), "'cos': Dot with norm"),
    "unlike batches": (
        lambda x: ops.matmul(heads(x), ops.expand_dims(ops.swapaxes(x, 1, 2)[:, :4], 1)),
        "multiplies matrices",
    ),
    "sums of one operand": (lambda x: ops.einsum("abc,abd->ad", x, x), "supported are products"),
    "three operands": (lambda x: ops.einsum("abc,abc,abc->abc", x, x, x), "of two values only"),
    "another axis": (
        lambda x: k.EinsumDense("abc,bd->adc", (5, 6), name="over")(x), "'over': equation 'abc,bd",
    ),
    "images moved": (lambda x: ops.transpose(x, (1, 0, 2)), "moves the axis of images"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_covered_is_refused_by_name(name: str) -> None:
    build, message = REFUSED[name]
    with pytest.raises(UnsupportedModelError, match=message):
        lower(of(build), None)


def test_attention_comes_back_from_a_file(tmp_path: Path) -> None:
    x: Any = keras.Input((7, 6))
    inputs = x
    x = k.Add()([x, k.MultiHeadAttention(2, 4)(x, x)])
    x = k.EinsumDense("abc,cde->abde", (7, 2, 5), bias_axes="de", activation="gelu")(x)
    x = ops.einsum("abcd,aecd->abe", x, x)
    x = ops.matmul(ops.transpose(x, (0, 2, 1)), x)
    model = randomize(keras.Model(inputs, x))
    model.save(tmp_path / "m.keras")
    found = modelfile.load(tmp_path / "m.keras")
    values = np.random.default_rng(0).normal(size=(2, 7, 6)).astype(np.float32)
    np.testing.assert_array_equal(found(values), model(values))
    outputs_agree(found, scheme=None)


def test_a_rebuilt_network_comes_back_from_a_file(tmp_path: Path) -> None:
    """As remedies write it; activations with parameters of their own, too."""
    x: Any = keras.Input((7, 6))
    inputs = x
    x = k.Add()([x, k.MultiHeadAttention(2, 4)(x, x)])
    x = ops.gelu(k.Dense(6, activation="gelu")(ops.gelu(x, approximate=True)), approximate=False)
    model = randomize(keras.Model(inputs, k.Conv1D(3, 2, padding="causal")(k.ELU(0.5)(x))))
    to_keras(lower(model, None)).save(tmp_path / "m.keras")
    found = modelfile.load(tmp_path / "m.keras")
    values = np.random.default_rng(0).normal(size=(2, 7, 6)).astype(np.float32)
    np.testing.assert_allclose(found(values), model(values), rtol=1e-4, atol=1e-5)
