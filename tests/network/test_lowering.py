import keras
import numpy as np
import pytest
from conftest import randomize, residual_net

from tfqdyn.network import rebuild
from tfqdyn.network.folding import fold_batchnorm
from tfqdyn.network.lowering import lower
from tfqdyn.network.ops import ACTIVATIONS, OPS
from tfqdyn.network.rebuild import to_keras
from tfqdyn.network.trace import UnsupportedModelError, trace
from tfqdyn.quantization import fakequant

k = keras.layers


def outputs_agree(model: keras.Model, rtol: float = 1e-4, scheme: str | None = "uint8") -> None:
    """The lowered and the folded network compute what the original does, on random input."""
    x = np.random.default_rng(0).uniform(-1, 1, (3, *model.input_shape[1:])).astype(np.float32)
    expected = np.asarray(model(x, training=False))
    graph = lower(model, scheme)
    for form in (graph, fold_batchnorm(graph).graph):
        found = np.asarray(to_keras(form)(x, training=False))
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol, 1e-5 * scale)


def image_model(*layers: keras.Layer, shape: tuple[int, ...] = (8, 8, 3)) -> keras.Model:
    return randomize(keras.Sequential([keras.Input(shape), *layers]))


LAYERS = {
    "conv": [k.Conv2D(4, 3, strides=2, padding="same", activation="relu")],
    "dilated": [k.Conv2D(4, 3, dilation_rate=2)],
    "grouped": [k.Conv2D(6, 3, groups=3)],
    "depthwise, multiplier": [k.DepthwiseConv2D(3, depth_multiplier=2), k.BatchNormalization()],
    "separable": [k.SeparableConv2D(5, 3, activation="relu6"), k.BatchNormalization()],
    "separable, multiplier": [k.SeparableConv2D(5, 3, depth_multiplier=2, use_bias=False)],
    "transposed": [k.Conv2DTranspose(4, 3, strides=2, padding="same"), k.BatchNormalization()],
    "batch norm first": [k.BatchNormalization(), k.Conv2D(4, 1)],
    "conv with activation, then batch norm": [
        k.Conv2D(4, 1, activation="relu"),
        k.BatchNormalization(),
    ],
    "two batch norms": [k.Conv2D(4, 1), k.BatchNormalization(), k.BatchNormalization()],
    "dropout between": [k.Conv2D(4, 1), k.Dropout(0.5), k.BatchNormalization(center=False)],
    "activations": [
        k.Conv2D(4, 1, activation="silu"),
        k.Conv2D(4, 1, activation="hard_silu"),
        k.Conv2D(4, 1, activation="hard_sigmoid"),
        k.Conv2D(4, 1, activation="tanh"),
        k.LeakyReLU(0.1),
        k.PReLU(shared_axes=[1, 2]),
        k.ReLU(max_value=1.5),
        k.Activation("linear"),
        k.Activation("sigmoid"),
    ],
    "pools": [
        k.MaxPooling2D(3, 2, padding="same"),
        k.AveragePooling2D(2, padding="same"),
        k.GlobalMaxPooling2D(keepdims=True),
    ],
    "layout": [
        k.ZeroPadding2D((1, 2)),
        k.Cropping2D(((1, 0), (0, 2))),
        k.UpSampling2D(2),
        k.UpSampling2D(2, interpolation="bilinear"),
        k.Permute((2, 1, 3)),
        k.Reshape((-1, 3)),
        k.Dense(4),
        k.Flatten(),
        k.Dense(3),
        k.BatchNormalization(),
        k.Softmax(),
    ],
    "preprocessing": [k.Rescaling(1 / 127.5, -1), k.RandomFlip(), k.Conv2D(4, 1)],
    "standardization": [k.Normalization(mean=[1.0, 2, 3], variance=[1.0, 4, 9]), k.Conv2D(4, 1)],
    "nested": [
        keras.Sequential([keras.Input((8, 8, 3)), k.Conv2D(4, 3), k.BatchNormalization()]),
        k.GlobalAveragePooling2D(),
    ],
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_compute_the_same(name: str) -> None:
    outputs_agree(image_model(*(layer.from_config(layer.get_config()) for layer in LAYERS[name])))


CONVERTED_ONLY = {
    "layer norms": [
        k.Conv2D(4, 1),
        k.LayerNormalization(epsilon=1e-6),
        k.LayerNormalization(axis=[1, 2, 3]),
        k.LayerNormalization(axis=[1], center=False, scale=False),
    ],
    "parameters of layers": [k.ELU(0.5), k.Activation("gelu"), k.Dense(4, activation="celu")],
    "parameters of functions": [k.Activation(keras.activations.gelu), k.Activation(keras.ops.gelu)],
    **{name: [k.Conv2D(4, 1, activation=name)] for name in ACTIVATIONS},
}


@pytest.mark.parametrize("name", CONVERTED_ONLY)
def test_layers_that_the_converter_alone_takes_compute_the_same(name: str) -> None:
    outputs_agree(image_model(*CONVERTED_ONLY[name]), scheme=None)


def test_operations_that_the_converter_alone_takes_compute_the_same() -> None:
    inputs = keras.Input((6, 6, 4))
    x = keras.ops.gelu(inputs)
    x = keras.ops.gelu(x, approximate=False)
    x = keras.ops.elu(x, 0.3)
    x = keras.ops.divide(x, keras.ops.softplus(inputs))
    outputs_agree(keras.Model(inputs, x), scheme=None)


def test_what_a_scheme_does_not_take_is_named_with_the_schemes_that_do() -> None:
    norm = k.LayerNormalization(name="a")
    both = image_model(norm, k.Conv2D(2, 1, activation="elu", name="b"))
    others = "int8, int8_per_tensor, int16x8, dynamic, float16, float32"
    simulations = f"{others}, simulated, graph_transform_tool"
    for model, scheme, named in (
        (both, "uint8", f"{others} may:\nlayer_norm: layers 'a'\nelu: layers 'b'"),
        (both, "simulated", f"{others} may:\nelu: layers 'b'"),
        (image_model(norm), "uint8", f"{simulations} may:\nlayer_norm: layers 'a'"),
    ):
        with pytest.raises(UnsupportedModelError) as error:
            lower(model, scheme)
        assert str(error.value) == f"scheme {scheme!r} does not take these layers; {named}"


def test_every_op_is_rounded_here_or_by_the_converter() -> None:
    own = {*fakequant._LINEAR, *fakequant._EMITTERS}
    assert own >= {name for name, op in OPS.items() if op.rounded} - {"batch_norm", "input"}
    assert {*OPS} == {*rebuild._LAYERS} | {"input"}


def test_maps_that_change_nothing_are_skipped_and_named() -> None:
    """A Normalization that was never adapted has mean 0 and variance 1."""
    model = image_model(k.Normalization(name="fresh"), k.Rescaling(1.0, name="one"), k.Flatten())
    graph = lower(model)
    assert [node.op for node in graph] == ["input", "reshape"]
    assert set(graph.skipped) == {"fresh", "one"}


def test_an_operation_is_not_taken_for_the_layer_of_its_name() -> None:
    """keras.layers.Average adds several values up, keras.ops.average those of an axis."""
    inputs = keras.Input((6, 6, 3))
    x = k.Dense(2)(k.Flatten()(keras.ops.average(inputs, axis=1)))
    with pytest.raises(UnsupportedModelError, match=r"keras\.ops\.average is not supported"):
        lower(keras.Model(inputs, x))


def test_the_mean_of_one_pixel_only_changes_the_shape() -> None:
    pools = [k.GlobalAveragePooling2D(keepdims=True), k.GlobalMaxPooling2D()]
    model = image_model(k.Conv2D(4, 3, strides=8, padding="same"), *pools, k.Dense(2))
    outputs_agree(model)
    assert [row.kind for row in lower(model).rows] == ["conv", "dense"]


def test_merges_and_arithmetic_compute_the_same() -> None:
    inputs = keras.Input((6, 6, 4))
    a, b, c = (k.Conv2D(4, 1)(inputs) for _ in range(3))
    x = k.Add()([a, b, c])
    x = k.Average()([x, b, c])
    x = k.Subtract()([x, a])
    x = k.Multiply()([x, b])
    x = k.Maximum()([x, c])
    x = k.Minimum()([x, a * 2.0])
    x = k.ReLU(6.0)(x + 3.0) * (1.0 / 6.0)
    x = (1.0 - x) / 2.0 - 0.25
    outputs_agree(randomize(keras.Model(inputs, k.Concatenate()([x, a, b]))))


def test_constants_of_places_and_channels_compute_the_same() -> None:
    """As positions that a transformer adds, in uint8 too."""
    rng = np.random.default_rng(0)
    inputs = keras.Input((5, 4))
    x = k.Dense(4, name="dense")(inputs) + rng.normal(size=(1, 5, 4)).astype(np.float32)
    x = k.Dense(4)(keras.ops.multiply(rng.normal(size=(5, 1)).astype(np.float32), x))
    model = randomize(keras.Model(inputs, x))
    outputs_agree(model)
    shapes = [(row.kind, row.output_shape) for row in lower(model).rows]
    assert shapes == [
        ("dense", (5, 4)),
        ("affine", (20,)),
        ("affine", (20,)),
        ("dense", (5, 4)),
    ]
    other = keras.Model(inputs, x + np.ones((2, 1, 1), np.float32))
    with pytest.raises(UnsupportedModelError, match=r"a constant of shape \(2, 1, 1\)"):
        lower(other)


def test_a_shared_layer_keeps_its_batch_norms_affine() -> None:
    inputs = keras.Input((6, 6, 3))
    conv, pool = k.Conv2D(4, 1, name="shared"), k.GlobalAveragePooling2D()
    a = k.BatchNormalization(name="bn_a")(conv(inputs))
    b = k.BatchNormalization(name="bn_b")(conv(k.ReLU()(inputs)))
    model = randomize(keras.Model(inputs, k.Add()([pool(a), pool(b)])))
    outputs_agree(model)
    folded = fold_batchnorm(lower(model))
    assert set(folded.affine) == {"bn_a", "bn_b"}
    assert "more than once" in folded.affine["bn_a"]


def test_a_layer_that_others_read_keeps_its_batch_norm_affine() -> None:
    inputs = keras.Input((6, 6, 3))
    x = k.Conv2D(3, 1, name="read_twice")(inputs)
    model = randomize(keras.Model(inputs, k.Add()([x, k.BatchNormalization(name="bn")(x)])))
    outputs_agree(model)
    assert "read by another" in fold_batchnorm(lower(model)).affine["bn"]


def test_numbers_follow_the_papers() -> None:
    """A residual block's projection comes after the block's convolutions, however created."""
    inputs = x = keras.Input((8, 8, 3))
    projection = k.Conv2D(4, 1, name="projection")(inputs)
    x = k.Conv2D(4, 3, padding="same", name="first")(x)
    x = k.Conv2D(4, 3, padding="same", name="second")(x)
    x = k.Add(name="add")([projection, x])
    model = keras.Model(inputs, k.Dense(2, name="dense")(k.Flatten()(x)))
    rows = lower(model).rows
    assert [(r.number, r.name) for r in rows] == [
        (1, "first"),
        (2, "second"),
        (3, "projection"),
        (None, "add"),
        (4, "dense"),
    ]


def test_rows_fuse_what_tflite_fuses() -> None:
    rows = {row.name: row for row in fold_batchnorm(lower(residual_net())).graph.rows}
    assert list(rows) == [
        "stem", "dw", "pw", "add", "grouped", "pool", "concat", "gap", "logits", "logits_softmax",
    ]  # fmt: skip
    assert rows["stem"].output == "stem_relu"
    assert rows["add"].output == "add_relu"
    assert rows["add"].producers == ("pw", "stem")
    assert rows["pool"].producers == ("add",)
    assert [rows[n].kind for n in ("dw", "pw", "grouped", "gap", "logits")] == [
        "depthwise", "pointwise", "group", "mean", "dense",
    ]  # fmt: skip
    assert rows["stem"].macs == 12 * 12 * 8 * 3 * 3 * 3
    assert rows["dw"].macs == 12 * 12 * 8 * 3 * 3
    assert rows["grouped"].macs == 6 * 6 * 8 * 3 * 3 * (8 // 2)
    assert rows["logits"].params == 16 * 4 + 4


def test_identical_layers_are_merged_and_named() -> None:
    inputs = keras.Input((4, 4, 2))
    x = k.Add()([k.ReLU(name="one")(inputs), k.ReLU(name="two")(inputs)])
    graph = lower(keras.Model(inputs, k.Flatten()(x)))
    assert graph.skipped["two"] == "computes the same as one"


def test_every_unsupported_layer_is_named_at_once() -> None:
    model = image_model(
        k.GroupNormalization(1, name="a"), k.Conv2D(2, 1, activation="sparsemax", name="b")
    )
    with pytest.raises(UnsupportedModelError) as error:
        lower(model)
    message = str(error.value)
    assert "'a' (GroupNormalization)" in message
    assert "'b': activation 'sparsemax'" in message
    assert "SeparableConv2D" in message


def test_models_of_other_forms_are_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="functional or sequential"):
        trace(object())
    with pytest.raises(UnsupportedModelError, match="not built"):
        trace(keras.Sequential([k.Dense(2)]))
    with pytest.raises(UnsupportedModelError, match="input size must be fixed"):
        lower(keras.Sequential([keras.Input((None, None, 3)), k.Conv2D(2, 1)]))
    with pytest.raises(UnsupportedModelError, match="last axis"):
        lower(image_model(k.Conv2D(4, 1), k.BatchNormalization(axis=1)))


@pytest.mark.parametrize(
    ("widths", "ops"),
    [
        (((0, 0), (1, 2), (0, 1), (0, 0)), ["pad"]),
        (((0, 0), (0, 0), (0, 0), (2, 3)), ["pad_channels"]),
        (((0, 0), (1, 0), (0, 1), (0, 2)), ["pad", "pad_channels"]),
    ],
)
def test_zeros_are_padded_around_images_and_behind_channels(
    widths: tuple[tuple[int, int], ...], ops: list[str]
) -> None:
    x = keras.Input((6, 5, 3))
    y = k.Conv2D(4, 1)(keras.ops.pad(x, widths))
    model = randomize(keras.Model(x, y))
    outputs_agree(model)
    assert [node.op for node in lower(model)][1:-1] == ops


@pytest.mark.parametrize("how", [{"mode": "reflect"}, {"constant_values": 1.0}])
def test_padding_with_something_else_is_refused(how: dict[str, object]) -> None:
    x = keras.Input((6, 5, 3))
    y = keras.ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), **how)
    with pytest.raises(UnsupportedModelError, match="something else than zeros"):
        lower(keras.Model(x, k.Flatten()(y)))


def test_inputs_and_outputs_keep_the_models_order_and_names() -> None:
    """Inputs come first, whatever the branch that reads them; unused ones are left out."""
    a, b, c = (keras.Input((4,), name=name) for name in "abc")
    left, right = k.Dense(2, name="left")(b), k.Dense(3, activation="relu", name="right")(a)
    k.Dense(1)(c)  # Keras 3.11 refuses an input that nothing reads at all
    graph = lower(keras.Model([a, c, b], [left, right]))
    assert graph.inputs == ("a", "b")
    assert [node.name for node in graph] == ["a", "b", "left", "right", "right_relu"]
    assert graph.outputs == ("left", "right_relu")
    assert graph.output_names == ("left", "right")
    assert graph.input_shapes == {"a": (4,), "b": (4,)}
    named = lower(keras.Model([a, b], {"one": right, "two": left}))
    assert dict(zip(named.output_names, named.outputs, strict=True)) == {
        "one": "right_relu",
        "two": "left",
    }


def test_a_batch_norm_does_not_fold_into_a_layer_that_is_returned() -> None:
    image = keras.Input((5, 5, 2))
    first = k.Conv2D(3, 1, name="first")(image)
    second = k.BatchNormalization(name="norm")(first)
    folded = fold_batchnorm(lower(keras.Model(image, [first, second])))
    assert folded.affine == {"norm": "the model returns 'first' itself too"}
    alone = fold_batchnorm(lower(keras.Model(image, [second, k.ReLU(name="relu")(second)])))
    assert alone.graph.outputs == ("first", "relu")
    assert [row.name for row in alone.graph.rows] == ["first", "relu"]  # not fused: it is returned
