"""The twelve initializations: distributions by hand from thesis Table 4.1 and Keras' fans."""

import keras
import numpy as np
import pytest

from models import initializers

KERNEL = (3, 3, 64, 128)  # fan_in 576, fan_out 1152
DEPTHWISE = (3, 3, 256, 1)  # fan_in 2304, fan_out 9

# name -> (largest absolute value or None, standard deviation) of a (3, 3, 64, 128) kernel
EXPECTED = {
    "RandNorm_Large": (None, 1.0),
    "RandNorm_Med": (None, 0.5),
    "RandNorm_Small": (None, 0.1),
    "RandUni_Large": (1.0, 1 / np.sqrt(3)),
    "RandUni_Med": (0.5, 0.5 / np.sqrt(3)),
    "RandUni_Small": (0.25, 0.25 / np.sqrt(3)),
    "ModGlorotUni_Large": (np.sqrt(1296 / 1728), np.sqrt(1296 / 1728 / 3)),
    "ModGlorotUni_Med": (np.sqrt(36 / 1728), np.sqrt(36 / 1728 / 3)),
    "GlorotUni": (np.sqrt(6 / 1728), np.sqrt(2 / 1728)),
    "GlorotNorm": (None, np.sqrt(2 / 1728)),
    "HeUni": (np.sqrt(6 / 576), np.sqrt(2 / 576)),
    "HeNorm": (None, np.sqrt(2 / 576)),
}


def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(initializers.make(name)(shape)))


def test_there_are_twelve_strategies():
    assert list(initializers.STRATEGIES) == list(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_distribution_of_a_convolution_kernel(name: str):
    keras.utils.set_random_seed(0)
    values = draw(name, KERNEL)
    limit, deviation = EXPECTED[name]
    np.testing.assert_allclose(values.std(), deviation, rtol=0.02)
    np.testing.assert_allclose(values.mean(), 0.0, atol=0.02 * deviation)
    if limit is not None:
        np.testing.assert_allclose(np.abs(values).max(), limit, rtol=1e-3)


def test_glorot_uniform_of_a_depthwise_kernel_counts_all_channels_as_fan_in():
    keras.utils.set_random_seed(0)
    limit = np.sqrt(6 / (9 * 256 + 9))  # 0.0509: the thesis' vanishing activations
    np.testing.assert_allclose(np.abs(draw("GlorotUni", DEPTHWISE)).max(), limit, rtol=2e-3)


def test_equal_layers_get_different_values():
    assert np.abs(draw("HeNorm", KERNEL) - draw("HeNorm", KERNEL)).max() > 0.01


def test_values_follow_the_global_seed():
    keras.utils.set_random_seed(3)
    first = draw("HeUni", KERNEL)
    keras.utils.set_random_seed(3)
    np.testing.assert_array_equal(first, draw("HeUni", KERNEL))


def test_unknown_name_lists_the_choices():
    with pytest.raises(ValueError, match=r"'Xavier'.*RandNorm_Large.*HeNorm"):
        initializers.make("Xavier")
