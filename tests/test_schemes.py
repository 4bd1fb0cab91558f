"""Every scheme on one network: dtypes, scales and weights as TFLite specifies them."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import task_networks
import tensorflow as tf
from conftest import images, randomize, residual_net

from tfqdyn import console, pipeline, results
from tfqdyn.commands import schemetable
from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import Dataset
from tfqdyn.measurement.outputs import logits_node, outputs_of
from tfqdyn.network.folding import fold_batchnorm
from tfqdyn.network.lowering import lower
from tfqdyn.network.rebuild import to_keras
from tfqdyn.network.trace import UnsupportedModelError
from tfqdyn.results import RunResult, estimates, restore
from tfqdyn.schemes import SCHEMES
from tfqdyn.tflite.file import parse
from tfqdyn.tflite.floatfile import FloatFile

CONFIG = AnalysisConfig(preprocessing="tf", trials=1, calibration_size=8)


@functools.cache
def analyzed(scheme: str) -> RunResult:
    keras.utils.set_random_seed(1)
    return pipeline.analyze(residual_net(), images(12), dataclasses.replace(CONFIG, scheme=scheme))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_dtypes_are_the_schemes(scheme: str) -> None:
    found = analyzed(scheme)
    rows = {row.name: row for row in found.layers}
    assert list(rows) == [
        "stem", "dw", "pw", "add", "grouped", "pool", "concat", "gap", "logits", "logits_softmax",
    ]  # fmt: skip
    expected = SCHEMES[scheme]
    assert {row.dtype for row in found.layers} == {expected.activations}
    weights = "float32" if scheme == "dynamic" else expected.weights  # all below 1,024 numbers
    assert {r.kernel_grid.dtype for r in found.layers if r.kernel_grid} == {weights}
    model = parse(found.tflite[0])
    ends = {model.tensors[i].dtype for i in (*model.inputs, *model.outputs)}
    assert ends == {expected.activations}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_results_are_of_the_format_and_come_back(scheme: str, tmp_path: Path) -> None:
    results.write(analyzed(scheme), tmp_path)
    assert restore.load(tmp_path).to_json() == analyzed(scheme).to_json()


def test_int8_weights_are_symmetric_with_a_scale_a_channel() -> None:
    """Scale = max |w| / 127 of every output channel (TFLite's quantization specification)."""
    for name, channels in (("dw", 8), ("grouped", 8), ("logits", 4)):
        row = next(r for r in analyzed("int8").layers if r.name == name)
        keras.utils.set_random_seed(1)
        layer = residual_net().get_layer(name)
        kernel = np.asarray(layer.kernel)
        if name == "dw":
            gamma, _, _, variance = residual_net().get_layer("dw_bn").get_weights()
            kernel = kernel[:, :, :, 0] * (gamma / np.sqrt(variance + 1e-3))
        largest = np.abs(kernel).reshape(-1, channels).max(axis=0)
        assert row.kernel_grid.scale == pytest.approx(largest / 127, rel=1e-5)
        assert row.kernel_grid.zero_point == (0,) * channels


def test_one_scale_a_tensor() -> None:
    rows = [r for r in analyzed("int8_per_tensor").layers if r.kernel_grid]
    assert [len(r.kernel_grid.scale) for r in rows] == [1] * 5


def test_finer_schemes_make_less_error() -> None:
    rank = ["float32", "float16", "int16x8", "int8"]
    sqnr = [analyzed(scheme).layers[-2].sqnr_db.mean for scheme in rank]
    assert sqnr == sorted(sqnr, reverse=True)
    assert sqnr[0] > 100 > sqnr[1] > 50
    assert sqnr[-1] > 20


def test_int16_activations_are_symmetric() -> None:
    for row in analyzed("int16x8").layers:
        scale, zero = row.quantization[0] or (0.0, 1)
        assert zero == 0
        assert row.clipped_share.mean < 0.05
        if row.name == "stem":  # from 0 to its calibrated maximum, on 32,767 steps
            assert scale * 32767 == pytest.approx(row.activations.range.mean, rel=1e-3)


def test_histograms_count_every_value() -> None:
    for scheme in ("int8", "int16x8", "float16"):
        for row in analyzed(scheme).layers:
            values = 12 * np.prod(row.output_shape)
            assert sum(row.histogram.quantized) == sum(row.histogram.fp32) == values


def test_ranges_are_the_extrema_and_the_record_says_so() -> None:
    config = analyzed("int8").config
    assert (config["calibrator"], config["percentile"]) == ("minmax", 0.0)
    assert analyzed("float16").config["trials"] == 1


def test_reasons_know_the_weights_grid() -> None:
    assert len(estimates.worst_layers(analyzed("int8"), 20)) == 9
    assert "rounded channel by channel" in " ".join(
        reason.text for reason in estimates.worst_layers(analyzed("int8"), 20)
    )
    assert estimates.worst_layers(analyzed("float32")) == []


@pytest.mark.parametrize(
    "change", [{"float_layers": ("pw",)}, {"own_error": True}, {"calibrator": "mse"}]
)
def test_what_the_converter_decides_cannot_be_asked_for(change: dict) -> None:
    with pytest.raises(ValueError, match="only schemes uint8 and int8 take that"):
        dataclasses.replace(CONFIG, scheme="int16x8", **change)


@functools.cache
def converted_only() -> keras.Model:
    """What uint8 does not take: normalizations, ELU, an activation of several operators."""
    k = keras.layers
    keras.utils.set_random_seed(1)
    x = inputs = keras.Input((12, 12, 3), name="images")
    x = skip = k.Conv2D(8, 4, strides=4, name="stem")(x)
    x = k.LayerNormalization(epsilon=1e-6, name="norm")(x)
    x = k.Dense(16, activation="gelu", name="wide")(x)
    x = k.Dense(8, activation="elu", name="narrow")(x)
    x = k.Add(name="add")([k.Activation("softplus", name="plus")(x), skip])
    x = k.LayerNormalization(name="last_norm")(k.GlobalAveragePooling2D(name="gap")(x))
    return randomize(keras.Model(inputs, k.Dense(4, activation="softmax", name="logits")(x)))


ROWS = ["stem", "norm", "wide", "wide_gelu", "narrow", "narrow_elu", "plus", "add", "gap",
        "last_norm", "logits", "logits_softmax"]  # fmt: skip


@pytest.mark.parametrize("scheme", ["int8", "int8_per_tensor", "dynamic", "float16", "float32"])
def test_converter_schemes_take_what_the_converter_takes(scheme: str) -> None:
    config = dataclasses.replace(CONFIG, scheme=scheme)
    found = pipeline.analyze(converted_only(), images(12), config)
    assert [row.name for row in found.layers] == ROWS
    assert not any(text.startswith("no tensor") for text in found.skipped.values())
    finest = {"int8": 20, "int8_per_tensor": 20, "dynamic": 25, "float16": 55, "float32": 100}
    assert min(row.sqnr_db.mean for row in found.layers) > finest[scheme]
    notes = ("3 layers run in fp32 in part, for TFLite has no integer ELU, NEG: "
             "norm, narrow_elu, last_norm",)  # fmt: skip
    assert found.notes == (() if scheme in ("dynamic", "float16", "float32") else notes)
    if SCHEMES[scheme].integer:
        assert {row.name for row in found.layers if row.dtype == "float32"} == {"narrow_elu"}


def sequences() -> Dataset:
    """Data of `task_networks.listener`."""
    x = np.random.default_rng(0).normal(size=(24, 20, 6)).astype(np.float32)
    return Dataset("sequences", x[:12], np.arange(12) % 5, x[12:])


@pytest.mark.parametrize("scheme", ["uint8", "int8", "int16x8", "float16", "simulated"])
def test_layers_of_sequences_are_taken_by_every_scheme(scheme: str) -> None:
    config = dataclasses.replace(CONFIG, preprocessing="none", scheme=scheme)
    found = pipeline.analyze(task_networks.listener(), sequences(), config)
    assert [(row.number, row.name, row.kind) for row in found.layers] == [
        (1, "stem", "conv"), (2, "dilated", "conv"), (3, "dw", "depthwise"), (None, "add", "add"),
        (None, "pool", "max_pool"), (4, "sep_depthwise", "depthwise"), (5, "sep", "pointwise"),
        (None, "gap", "mean"), (6, "words", "dense"), (None, "words_softmax", "softmax"),
    ]  # fmt: skip
    assert not found.skipped
    assert not found.notes or config.simulated
    assert min(row.sqnr_db.mean for row in found.layers) > 20
    if scheme == "uint8":
        kinds = [op.kind for op in parse(found.tflite[0]).operators]
        assert kinds.count("RESHAPE") == 1  # the image out of the sequence


def test_a_float_file_of_sequences_has_the_rows_of_the_keras_model() -> None:
    """ReLUs of dilated convolutions too, which such a file holds as three operators."""
    model: Any = task_networks.listener()
    with console.stderr_dropped():
        content = bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    rows = FloatFile("listener", content).graph.rows
    wanted = fold_batchnorm(lower(model)).graph.rows
    assert [(r.number, r.kind, r.macs) for r in rows] == [
        (r.number, r.kind, r.macs) for r in wanted
    ]


TRANSFORMER = [
    "embed", "norm", "mha_query", "mha_key", "mha_value", "mha_scores", "mha_scale", "mha_softmax",
    "mha_context", "mha", "add", "norm_2", "wide", "wide_gelu", "narrow", "add_2", "gap", "head",
    "head_softmax",
]  # fmt: skip
PLAIN = [name for name in TRANSFORMER if "norm" not in name]
"""The same without normalizations."""
PATCHES = images(12, size=4)


@pytest.mark.parametrize("scheme", ["int8", "float16", "simulated", "graph_transform_tool"])
def test_a_transformer_has_a_row_for_each_part(scheme: str) -> None:
    config = dataclasses.replace(CONFIG, scheme=scheme)
    found = pipeline.analyze(task_networks.transformer(), PATCHES, config)
    assert [row.name for row in found.layers] == TRANSFORMER
    assert not found.skipped
    worst = min(row.sqnr_db.mean for row in found.layers)
    assert worst > {"int8": 15, "float16": 55, "simulated": 15, "graph_transform_tool": 8}[scheme]
    if scheme == "int8":
        assert {row.dtype for row in found.layers} == {"int8"}
        note = "2 layers run in fp32 in part, for TFLite has no integer NEG: norm, norm_2"
        assert found.notes == (note,)


def test_int8_on_ranges_of_ours_takes_products_of_two_values() -> None:
    config = dataclasses.replace(CONFIG, scheme="int8", calibrator="mse", own_error=True)
    found = pipeline.analyze(task_networks.transformer(norms=False), PATCHES, config)
    assert [row.name for row in found.layers] == PLAIN
    assert {row.dtype for row in found.layers} == {"int8"}
    assert min(row.sqnr_db.mean for row in found.layers) > 20
    assert min(row.own.sqnr_db.mean for row in found.layers if row.own) > 20
    with pytest.raises(UnsupportedModelError, match=r"'int8' with a calibrator.*\nlayer_norm"):
        pipeline.analyze(task_networks.transformer(), PATCHES, config)


def test_products_of_two_values_are_refused_in_uint8() -> None:
    with pytest.raises(UnsupportedModelError, match=r"simulated.* may:\nmatmul: layers 'mha'"):
        lower(task_networks.transformer(norms=False), "uint8")


@pytest.mark.parametrize("scheme", ["uint8", "int8", "simulated", "graph_transform_tool"])
def test_gelu_is_taken_by_every_scheme(scheme: str) -> None:
    """Exact in the stem, by tanh behind it."""
    k = keras.layers
    keras.utils.set_random_seed(3)
    x = inputs = keras.Input((12, 12, 3), name="images")
    x = keras.ops.gelu(k.Conv2D(8, 3, name="stem", activation="gelu")(x), approximate=True)
    x = k.Dense(4, name="logits")(k.GlobalAveragePooling2D(name="gap")(x))
    config = dataclasses.replace(CONFIG, scheme=scheme)
    found = pipeline.analyze(randomize(keras.Model(inputs, x)), images(12), config)
    exact, by_tanh = (row for row in found.layers if row.kind == "gelu")
    assert exact.name == "stem_gelu"
    assert min(exact.sqnr_db.mean, by_tanh.sqnr_db.mean) > 20
    if not config.simulated:
        assert [op.kind for op in parse(found.tflite[0]).operators].count("GELU") == 2


@pytest.mark.parametrize(
    ("scheme", "grid"),
    [
        ("uint8", (1 / 16, 255)),
        ("int8", (1 / 16, 127)),
        ("float16", None),
        ("simulated", (1 / 16, 255)),
        ("graph_transform_tool", None),  # runs it in floats
    ],
)
def test_log_softmax(scheme: str, grid: tuple[float, int] | None) -> None:
    """TFLite's 8 bits reach from -255/16 to 0; the output metrics are of what it reads."""
    k = keras.layers
    keras.utils.set_random_seed(3)
    x = inputs = keras.Input((12, 12, 3), name="images")
    x = k.Dense(6, name="wide")(k.GlobalAveragePooling2D(name="gap")(k.Conv2D(8, 3)(x)))
    x = k.Dense(4, activation="log_softmax", name="logits")(keras.ops.log_softmax(x))
    model = randomize(keras.Model(inputs, x))
    config = dataclasses.replace(CONFIG, scheme=scheme)
    found = pipeline.analyze(model, images(12), config)
    rows = [row for row in found.layers if row.kind == "log_softmax"]
    assert len(rows) == 2
    assert [row.quantization[0] for row in rows] == [grid, grid]
    assert min(row.sqnr_db.mean for row in rows) > 25
    graph, x = lower(model, scheme), images(12).x_test / np.float32(255)
    np.testing.assert_allclose(to_keras(graph)(x), model(x), rtol=1e-5)
    assert logits_node(graph, outputs_of(graph)[0]) == "logits"
    if not config.simulated:
        assert [op.kind for op in parse(found.tflite[0]).operators].count("LOG_SOFTMAX") == 2


def test_schemes_that_do_not_take_a_model_say_so_before_any_slow_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def slow(*_: object) -> None:
        raise AssertionError("calibrated")

    monkeypatch.setattr(pipeline, "Bench", slow)
    for scheme in ("uint8", "simulated"):
        config = dataclasses.replace(CONFIG, scheme=scheme)
        with pytest.raises(UnsupportedModelError, match=f"{scheme!r} does not take.* may:\n"):
            pipeline.analyze(converted_only(), images(12), config)


def test_the_table_names_schemes_that_do_not_take_the_model() -> None:
    schemes = ["uint8", "int16x8", "float16"]
    done = schemetable.compare_schemes(converted_only(), images(12), CONFIG, schemes, 2)
    uint8, int16x8, float16 = done.rows
    assert "elu: layers 'narrow'" in uint8.problem
    assert "converter refused the model" in int16x8.problem
    assert float16.accuracy is not None
    unknown = keras.Sequential([keras.Input((12, 12, 3)), keras.layers.GroupNormalization(1)])
    with pytest.raises(UnsupportedModelError, match="GroupNormalization"):
        schemetable.compare_schemes(unknown, images(12), CONFIG)


def test_the_table_of_schemes(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    config = dataclasses.replace(CONFIG, own_error=True, float_layers=("pw",))
    done = schemetable.compare_schemes(
        residual_net(), images(12), config, ["uint8", "float16"], 3, tmp_path
    )
    assert [row.scheme for row in done.rows] == ["uint8", "float16"]
    for row, result in zip(done.rows, done.results, strict=True):
        assert row.accuracy == result.summary.quantized_accuracy
        assert row.bytes == (tmp_path / row.scheme / "trial_0.tflite").stat().st_size
        assert 0 < (row.latency_ms or 0) < 1000
    assert done.results[0].layers[2].dtype == "float32"  # uint8 keeps its float layer
    for scheme in ("uint8", "float16"):
        written = restore.load(tmp_path / scheme)
        assert written.config["float_layers"] == (["pw"] if scheme == "uint8" else [])
    assert (tmp_path / "schemes.json").exists()
    assert schemetable.render(done).row_count == 2
    with pytest.raises(ValueError, match="schemes must be among"):
        schemetable.compare_schemes(residual_net(), images(4), config, ["int3"])
