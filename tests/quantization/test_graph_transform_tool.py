"""The Graph Transform Tool's engine: formulas by hand and by TensorFlow's own quantized kernels."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import randomize

from tfqdyn import pipeline
from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import Dataset
from tfqdyn.measurement.capture import KerasActivations
from tfqdyn.network.folding import fold_batchnorm
from tfqdyn.network.graph import Graph, Node
from tfqdyn.network.lowering import lower
from tfqdyn.quantization.calibration import SiteRange
from tfqdyn.quantization.graph_transform_tool import (
    Transformed,
    Watched,
    points_of,
    transform,
)
from tfqdyn.quantization.toolrounding import Rounding, bias_shift, constant, dynamic, frozen
from tfqdyn.schemes import DEVIATIONS

TOOL = AnalysisConfig(
    preprocessing="tf", trials=1, calibration_size=8, scheme="graph_transform_tool"
)
ALL = tuple(DEVIATIONS)
HIT = 5.125
"""End of a range whose bias additions are off."""


def rounded(rounding: Rounding, *values: float) -> list[float]:
    return rounding(tf.constant(values, tf.float32)).numpy().tolist()


def test_requantize_by_hand() -> None:
    """Over [-1.25, 253.75] the step is 1: code 0 is -1.25, so 0 lies at 1.25, read as code 1.

    -0.9 is 0.35 above the low end, code 0, read as -1; 0 is code floor(1.25 + 0.5) = 1, read as 0;
    0.3 is code floor(1.55 + 0.5) = 2, read as 1; 300 saturates at code 255, read as 254.
    """
    found = frozen(-1.25, 253.75)
    assert (found.step, found.zero) == (1.0, 1.0)
    assert rounded(found, -0.9, 0.0, 0.3, 300.0) == [-1.0, 0.0, 1.0, 254.0]
    assert rounded(frozen(-1.25, 253.75, unnudged=False), -0.9, 0.3) == [-1.0, 0.0]


def test_the_bias_that_an_unnudged_zero_makes() -> None:
    """[-1.004, 1.6]: the works' reading measured a mean offset of 0.318 steps."""
    found = frozen(-1.004, 1.6)
    values = np.linspace(-1.0, 1.59, 100_000)
    shift = np.mean(rounded(found, *values) - values) / found.step
    exact = -1 * (1.004 / found.step - round(1.004 / found.step))
    assert shift == pytest.approx(-exact, abs=0.01)
    assert abs(shift) == pytest.approx(0.318, abs=0.005)


def test_the_high_end_may_lie_below_zero() -> None:
    found = frozen(-1.0, -0.0039)
    assert found.ends[1] < 0
    assert rounded(found, 0.0)[0] == pytest.approx(found.ends[1])
    # QuantizedRelu takes the code nearest to 0, which is the last one
    assert found.relu(tf.constant([-0.5, -0.0039]), None).numpy() == pytest.approx(found.ends[1])


def test_quantize_v2_widens_narrow_ranges() -> None:
    assert dynamic(0.0, 0.001) == Rounding(0.0, 0.01)
    assert dynamic(-0.001, 0.002) == Rounding(-0.001, -0.001 + 0.01)
    assert dynamic(2.0, 400.0) == Rounding(0.0, 400.0)
    assert dynamic(-300.0, -299.0) == Rounding(-300.0, 0.0)


def test_relu6_stops_at_the_code_of_six() -> None:
    found = Rounding(0.0, 255 / 16)  # steps of 1/16: 6 is code 96
    assert found.relu(tf.constant([-0.5, 5.9375, 9.0]), 6.0).numpy().tolist() == [0, 5.9375, 6]


def test_large_constants_are_stored_small_ones_read_through_quantize_v2() -> None:
    small = np.full(8, 0.001, np.float32)
    assert constant(small, 1024) == Rounding(0.0, 0.01)
    large = np.full(2048, 0.001, np.float32)
    assert constant(large, 1024) == Rounding(0.0, float(np.float32(0.001)))
    assert constant(small, 0).high == pytest.approx(0.001)
    assert constant(np.zeros(2048, np.float32), 1024) == Rounding(0.0, 1.0)


QUIET = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}
"""With oneDNN, TensorFlow's quantized kernels round otherwise than those of 1.15."""
ADDITION = """
import numpy as np, tensorflow as tf
codes = tf.bitcast(np.arange(256, dtype=np.uint8), tf.quint8)
zeros = tf.bitcast(np.zeros(256, np.uint8), tf.quint8)
out, low, high = tf.raw_ops.QuantizedBiasAdd(
    input=codes[None], bias=zeros, min_input={low}, max_input={high}, min_bias=0.0, max_bias=0.01,
    out_type=tf.qint32)
print(*(tf.cast(out, tf.int32).numpy()[0] * (float(high) - float(low)) / 2**32))
"""
KERNELS = """
import numpy as np, tensorflow as tf
raw, rng = tf.raw_ops, np.random.default_rng(3)
x = rng.normal(size=(2, 9, 9, 5)).astype(np.float32)
w = rng.normal(size=(3, 3, 5, 7)).astype(np.float32)
b = rng.normal(size=7).astype(np.float32)
def codes(v):
    return raw.QuantizeV2(input=v, min_range=v.min(), max_range=v.max(), T=tf.quint8,
                          mode="MIN_FIRST", round_mode="HALF_AWAY_FROM_ZERO")
q, k = codes(x), codes(w)
sums = raw.QuantizedConv2D(
    input=q.output, filter=k.output, min_input=q.output_min, max_input=q.output_max,
    min_filter=k.output_min, max_filter=k.output_max, strides=[1, 1, 1, 1], padding="SAME",
    out_type=tf.qint32)
def requantized(s, lo, hi):
    return raw.Requantize(input=s[0], input_min=s[1], input_max=s[2], requested_output_min=lo,
                          requested_output_max=hi, out_type=tf.quint8)
first = requantized(sums, R1LOW, R1HIGH)
bias = codes(b)
added = raw.QuantizedBiasAdd(
    input=first.output, bias=bias.output, min_input=first.output_min, max_input=first.output_max,
    min_bias=bias.output_min, max_bias=bias.output_max, out_type=tf.qint32)
second = requantized(added, R2LOW, R2HIGH)
done = raw.QuantizedRelu(features=second.output, min_features=second.output_min,
                         max_features=second.output_max, out_type=tf.quint8)
deq = raw.Dequantize(input=done.activations, min_range=done.min_activations,
                     max_range=done.max_activations, mode="MIN_FIRST")
np.savez(OUT, x=x, w=w, b=b, y=deq.numpy())
"""


def test_a_layer_equals_tensorflows_quantized_kernels(tmp_path: Path) -> None:
    """Conv, bias and ReLU through the raw ops that the tool's graphs are made of."""
    ranges = {"R1LOW": -22.3, "R1HIGH": 24.1, "R2LOW": -21.7, "R2HIGH": 23.6}
    script = KERNELS.replace("OUT", repr(str(tmp_path / "out.npz")))
    for name, value in ranges.items():
        script = script.replace(name, repr(value))
    subprocess.run([sys.executable, "-c", script], check=True, env=QUIET)
    with np.load(tmp_path / "out.npz") as held:
        x, w, b, y = (held[name] for name in "xwby")
    config = {"strides": (1, 1), "padding": "same", "dilation": (1, 1), "groups": 1}
    weights = {"kernel": w, "bias": b}
    graph = Graph("g", (
        Node("in", "input", (), (9, 9, 5)),
        Node("c", "conv", ("in",), (9, 9, 7), config, weights),
        Node("r", "relu", ("c",), (9, 9, 7), {"max_value": None}),
    ))  # fmt: skip
    ends = {
        "in": (x.min(), x.max()),
        "c": (0.0, 1.0),
        "c/before_bias": (-22.3, 24.1),
        "c/before_relu": (-21.7, 23.6),
    }
    made = transform(graph, {name: site(*range_) for name, range_ in ends.items()})
    (row, _) = made.runner(2)(x)
    step = frozen(-21.7, 23.6).step
    # the kernels requantize by fixed-point arithmetic, which moves a value at the edge of two codes
    apart = np.abs(row - y) / step
    assert np.quantile(apart, 0.98) < 1e-3
    assert apart.max() < 1.001


@pytest.mark.parametrize(("end", "shift"), [(HIT, -HIT / 64), (16.0, 0.0)])
def test_a_bias_addition_that_is_off_by_a_64th(end: float, shift: float) -> None:
    """The kernel itself, asked for 256 codes plus a bias of 0."""
    low, high = np.float32(-end / 3), np.float32(end)
    script = ADDITION.format(low=float(low), high=float(high))
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, env=QUIET, capture_output=True
    )
    sums = Rounding(float(low), float(high))
    ideal = (np.arange(256) - sums.zero) * sums.step
    found = np.array(done.stdout.split(), np.float64) - ideal
    assert found.mean() == pytest.approx(shift, abs=0.02 * sums.step)
    assert bias_shift(sums, Rounding(0.0, 0.01)) == pytest.approx(shift, rel=1e-6)


def test_how_many_ranges_are_hit(rng: np.random.Generator) -> None:
    ends = np.exp(rng.uniform(0, 3, 4000))
    hit = [bias_shift(Rounding(-1.0, end), Rounding(0.0, 0.01)) != 0 for end in ends]
    assert np.mean(hit) == pytest.approx(0.14, abs=0.02)


def site(low: float, high: float) -> SiteRange:
    ends = np.zeros(1), np.ones(1)
    return SiteRange(float(low), float(high), float(low), float(high), *ends, np.ones(1, np.int64))


def chain() -> keras.Model:
    k = keras.layers
    return randomize(keras.Sequential([
        keras.Input((12, 12, 3)), k.Conv2D(8, 3), k.BatchNormalization(), k.ReLU(6.0),
        k.DepthwiseConv2D(3), k.BatchNormalization(), k.ReLU(), k.Conv2D(8, 1),
        k.MaxPooling2D(2), k.GlobalAveragePooling2D(), k.Dense(4, activation="softmax"),
    ]))  # fmt: skip


def test_points_are_the_values_before_bias_and_relu(dataset: Dataset) -> None:
    keras.utils.set_random_seed(4)
    graph = fold_batchnorm(lower(chain())).graph
    watched = Watched(graph)
    run = KerasActivations(graph, watched.nodes)
    images = (np.arange(2 * 12 * 12 * 3, dtype=np.float32) % 7 / 3 - 1).reshape(2, 12, 12, 3)
    values = dict(zip(watched.names, watched(run.by_node(images)), strict=True))
    first = graph.rows[0]
    points = points_of(graph, first)
    node = graph.by_name[first.name]
    assert points.before_bias is not None
    sums = tf.nn.conv2d(images, node.weights["kernel"], 1, "VALID").numpy()
    np.testing.assert_allclose(values[points.before_bias], sums, atol=1e-5)
    biased = sums + node.weights["bias"]
    np.testing.assert_allclose(values[points.before_relu], biased, atol=1e-5)
    np.testing.assert_allclose(values[points.output], np.clip(biased, 0, 6), atol=1e-5)


def test_without_deviations_it_rounds_where_the_file_rounds(dataset: Dataset) -> None:
    keras.utils.set_random_seed(1)
    model = chain()
    true = pipeline.analyze(model, dataset, replace(TOOL, scheme="uint8"))
    plain = pipeline.analyze(model, dataset, replace(TOOL, without=ALL))
    for a, b in zip(true.layers, plain.layers, strict=True):
        near = 1.5 if len(a.output_shape) == 3 else 5  # dB; few values differ by luck
        assert b.sqnr_db.mean == pytest.approx(a.sqnr_db.mean, abs=near), a.name
        assert b.quantization[0] is not None
        assert a.quantization[0] is not None
        assert b.quantization[0][0] == pytest.approx(a.quantization[0][0], rel=1e-4), a.name


def test_every_deviation_does_what_it_says() -> None:
    """Each alone, by what it changes in the plan and in the values."""
    keras.utils.set_random_seed(1)
    graph = fold_batchnorm(lower(chain())).graph
    watched = Watched(graph)
    images = np.random.default_rng(2).uniform(-1, 1, (4, 12, 12, 3)).astype(np.float32)
    values = watched(KerasActivations(graph, watched.nodes).by_node(images))
    sites = {n: site(v.min(), v.max()) for n, v in zip(watched.names, values, strict=True)}
    exact = dict(zip(watched.names, values, strict=True))
    stem, depthwise, pointwise = (row.name for row in graph.rows[:3])

    def of(*on: str) -> tuple[Transformed, dict[str, float]]:
        made = transform(graph, sites, on)
        names = [row.name for row in made.rows]
        found = zip(names, made.runner(4)(images), strict=False)
        return made, {n: float(np.mean((x - exact[n]) ** 2)) for n, x in found}

    plain, errors = of()
    _, small = of("float_depthwise", "minimum_size")
    assert small[depthwise] < errors[depthwise]  # its 72 weights are exact
    _, wide = of("ranges_before_relu")
    assert wide[depthwise] > errors[depthwise]
    _, unnudged = of("ranges_before_relu", "unnudged_zero")
    assert unnudged[depthwise] > wide[depthwise]
    _, twice = of("requantize_before_bias")
    assert twice[depthwise] > errors[depthwise]
    coarse, _ = of("bias_8bit")
    bias, fine = coarse.plans[stem].bias, plain.plans[stem].bias
    assert bias is not None
    assert fine is not None
    step = constant(fine, 0).step
    assert np.abs(np.rint(bias / step) - bias / step).max() < 1e-3
    assert 0 < np.abs(bias - fine).max() <= step / 2 + 1e-6
    floats, _ = of("float_others")
    assert [row.kind for row in floats.rows if floats.grid(row.name) is None] == ["mean", "softmax"]
    assert plain.plans[pointwise].integer
    assert not of("float_depthwise")[0].plans[depthwise].integer


def test_the_offset_of_a_bias_addition_reaches_the_sums() -> None:
    weights = {"kernel": np.ones((1, 1, 1, 1), np.float32), "bias": np.ones(1, np.float32)}
    config = {"strides": (1, 1), "padding": "same", "dilation": (1, 1), "groups": 1}
    graph = Graph("g", (
        Node("in", "input", (), (1, 1, 1)), Node("c", "conv", ("in",), (1, 1, 1), config, weights),
    ))  # fmt: skip
    sites = {name: site(-1.0, HIT) for name in ("in", "c", "c/before_bias")}
    biases = [transform(graph, sites, on).plans["c"].bias for on in ((), ("bias_add_offset",))]
    assert np.ravel(biases) == pytest.approx([1.0, 1.0 - HIT / 64])


def test_what_it_takes() -> None:
    with pytest.raises(ValueError, match="without needs scheme="):
        AnalysisConfig(without=("bias_8bit",))
    with pytest.raises(ValueError, match=r"without takes .* received \['x'\]"):
        replace(TOOL, without=("x",))
    with pytest.raises(ValueError, match="float_layers"):
        replace(TOOL, float_layers=("a",))
    with pytest.raises(ValueError, match="own_error needs"):
        replace(TOOL, own_error=True)
    assert replace(TOOL, without=("bias_8bit",)).deviations == ALL[1:]
