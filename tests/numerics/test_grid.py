import numpy as np
import pytest
import tensorflow as tf

from tfqdyn.numerics.grid import QuantParams, dequantize, from_range, quantize, spanning
from tfqdyn.quantization.simulation import grid


def test_scale_and_zero_point_spelled_by_hand() -> None:
    params = from_range(-1.0, 3.0)  # scale 4 / 255, zero point round(255 / 4) = round(63.75)
    assert params.scale == np.float32(4 / 255)  # as files hold it
    assert params.zero_point == 64


@pytest.mark.parametrize("bounds", [(0.5, 2.0), (-3.0, -1.0), (-1.004, 1.6), (0.0, 6.0)])
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_zero_is_exact_and_the_range_is_kept(bounds: tuple[float, float], dtype: str) -> None:
    params = from_range(*bounds, dtype)
    assert dequantize(quantize(0.0, params), params) == 0.0
    low, high = params.range
    assert low == pytest.approx(min(bounds[0], 0), abs=float(params.scale) / 2 + 1e-12)
    assert high == pytest.approx(max(bounds[1], 0), abs=float(params.scale) / 2 + 1e-12)


def test_a_constant_zero_tensor_has_a_code() -> None:
    params = from_range(0.0, 0.0)
    assert dequantize(quantize(np.zeros(3), params), params).tolist() == [0, 0, 0]


def test_narrow_ranges_have_one_rule() -> None:
    """1.001e-6 / 5e-7 = 2.002 times, both ends; the same in files, simulations and training."""
    low, high = -4e-7, 1e-7
    wanted = (-8.008e-7, 2.002e-7)
    assert spanning(low, high) == pytest.approx(wanted)
    params = from_range(low, high)
    assert float(params.scale) == pytest.approx(1.001e-6 / 255)
    assert params.zero_point == 204  # 255 * 8.008 / 10.01
    simulated = grid([low, 0.0, -1.0], [high, 0.0, 2.0], 8)
    np.testing.assert_allclose(simulated.low, [wanted[0], 0.0, -1.0], rtol=1e-6)
    np.testing.assert_allclose(simulated.high, [wanted[1], 1.0, 2.0], rtol=1e-6)
    trained = spanning(tf.constant([low, 0.0, 0.5]), tf.constant([high, 0.0, 2.0]), tf)
    np.testing.assert_allclose(trained[0], [wanted[0], 0.0, 0.0], rtol=1e-6)
    np.testing.assert_allclose(trained[1], [wanted[1], 1.0, 2.0], rtol=1e-6)


def test_ranges_too_narrow_for_tflite_are_stretched() -> None:
    params = from_range(-1e-9, 3e-9)
    assert params.zero_point == 64  # as for [-1, 3]
    assert params.scale == np.float32(1.001e-6 / 255)


def test_ties_go_up_and_values_saturate() -> None:
    params = QuantParams(np.asarray(0.5), np.asarray(10))
    codes = quantize([0.25, -0.25, 0.24, 1e9, -1e9], params)
    assert codes.tolist() == [11, 10, 10, 255, 0]
    assert codes.dtype == np.uint8


def test_rounding_error_is_half_a_step_at_most(rng: np.random.Generator) -> None:
    params = from_range(-2.0, 5.0)
    x = rng.uniform(-2, 5, 1000)
    low, high = params.range
    inside = x[(x >= low) & (x <= high)]
    error = np.abs(dequantize(quantize(inside, params), params) - inside)
    assert error.max() <= float(params.scale) / 2 * (1 + 1e-12)


def test_per_channel_parameters_run_along_their_axis(rng: np.random.Generator) -> None:
    x = rng.normal(size=(3, 4, 2))
    params = QuantParams(np.array([0.1, 0.01, 1.0]), np.array([0, 5, -5]), "int8", axis=0)
    codes = quantize(x, params)
    for channel in range(3):
        own = QuantParams(params.scale[channel], params.zero_point[channel], "int8")
        assert (codes[channel] == quantize(x[channel], own)).all()
        assert (dequantize(codes, params)[channel] == dequantize(codes[channel], own)).all()


@pytest.mark.parametrize(
    ("scale", "zero_point", "dtype", "axis"),
    [
        (0.0, 0, "uint8", None),
        (np.inf, 0, "uint8", None),
        (1.0, 0, "uint4", None),
        ([1.0, 2.0], [0], "int8", 0),
        ([1.0, 2.0], [0, 0], "int8", None),
    ],
)
def test_impossible_parameters_are_refused(scale, zero_point, dtype, axis) -> None:
    with pytest.raises(ValueError, match="must"):
        QuantParams(np.asarray(scale), np.asarray(zero_point), dtype, axis)


@pytest.mark.parametrize("bounds", [(1.0, 0.0), (np.nan, 1.0), (0.0, np.inf)])
def test_impossible_ranges_are_refused(bounds: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="finite minimum <= maximum"):
        from_range(*bounds)
