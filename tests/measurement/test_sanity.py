"""fp32 accuracy near chance is an alarm, with the preprocessing that would fit."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from conftest import images, residual_net

from tfqdyn import pipeline, report
from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import Dataset
from tfqdyn.measurement import sanity
from tfqdyn.network.folding import fold_batchnorm
from tfqdyn.network.lowering import lower
from tfqdyn.results import restore, write

CONFIG = AnalysisConfig(trials=1, calibration_size=8)


def brightness_net() -> keras.Model:
    """Four classes by the mean of images in [-1, 1]: [-1, -0.5), [-0.5, 0), [0, 0.5), [0.5, 1].

    The logit of class k is its centre times the mean, less half the centre squared: the nearest
    centre wins.
    """
    k = keras.layers
    centres = np.array([-0.75, -0.25, 0.25, 0.75], np.float32)
    inputs = keras.Input((6, 6, 3), name="images")
    x = k.GlobalAveragePooling2D(name="mean")(inputs)
    model = keras.Model(inputs, k.Dense(4, name="logits")(x), name="brightness")
    kernel = np.tile(centres / 3, (3, 1))
    model.get_layer("logits").set_weights([kernel, -(centres**2) / 2])
    return model


def grey(count: int = 40) -> Dataset:
    """Images of one grey each; in [-1, 1] their labels are those of `brightness_net`."""
    shades = np.linspace(8, 247, count).round()
    x = np.tile(shades[:, None, None, None], (1, 6, 6, 3)).astype(np.uint8)
    labels = np.digitize(shades / 127.5 - 1, [-0.5, 0.0, 0.5])
    return Dataset("grey", x, labels.astype(np.int64))


def test_near_chance_is_a_tenth_of_the_way_to_all_right() -> None:
    assert sanity.near_chance(0.0, 1000)
    assert sanity.near_chance(0.1, 10)
    assert sanity.near_chance(0.19, 10)
    assert not sanity.near_chance(0.2, 10)
    assert not sanity.near_chance(0.6, 2)
    assert sanity.near_chance(float("nan"), 10)


def test_the_survey_finds_the_preprocessing() -> None:
    graph = fold_batchnorm(lower(brightness_net())).graph
    found = sanity.survey(graph, grey(), np.arange(40), CONFIG)
    assert list(found) == ["none", "unit", "tf", "caffe", "torch"]
    assert found["tf"] == 1.0
    assert found["none"] == 0.25  # every image is in the brightest class
    assert found["unit"] < 1.0


def test_a_run_with_the_wrong_preprocessing_is_an_alarm() -> None:
    result = pipeline.analyze(brightness_net(), grey(), CONFIG)
    (warning,) = result.warnings
    assert warning.startswith("fp32 accuracy is 25.00%, hardly better than guessing among 4")
    assert warning.endswith("run again with --preprocessing=tf.")
    assert "On 40 images --preprocessing=tf gets 100% right (none 25%, unit" in warning


def test_the_right_preprocessing_is_no_alarm_and_auto_finds_it() -> None:
    right = pipeline.analyze(brightness_net(), grey(), replace(CONFIG, preprocessing="tf"))
    assert right.warnings == ()
    auto = pipeline.analyze(brightness_net(), grey(), replace(CONFIG, preprocessing="auto"))
    assert auto.config["preprocessing"] == "tf"
    assert auto.notes[0].startswith("preprocessing=auto chose tf: 100% of 40 images right (none")
    assert auto.summary == right.summary


def test_an_untrained_network_is_told_what_else_may_be_wrong(tmp_path) -> None:
    keras.utils.set_random_seed(1)
    data = images(20)
    result = pipeline.analyze(residual_net(), replace(data, y_test=data.y_test * 0 + 3), CONFIG)
    (warning,) = result.warnings
    assert "No preprocessing does better on 20 images" in warning
    assert "do the labels number its classes" in warning
    write(result, tmp_path)
    assert restore.load(tmp_path).warnings == result.warnings
    report.write_report([result], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert '<p class="lead alarm" role="alert">fp32 accuracy is 0.00%' in text
    assert "costs nothing" not in text


def test_one_channel_is_not_tried_in_colour_modes() -> None:
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    graph = fold_batchnorm(lower(keras.Model(inputs, keras.layers.Dense(4)(x)))).graph
    data = grey()
    found = sanity.survey(graph, replace(data, x_test=data.x_test[..., :1]), np.arange(40), CONFIG)
    assert list(found) == ["none", "unit", "tf"]


@pytest.mark.parametrize("command", ["remedy", "sensitivity"])
def test_commands_settle_auto_and_warn(command: str) -> None:
    from tfqdyn import remedies
    from tfqdyn.remedies.sensitivity import sensitivity

    config = replace(CONFIG, preprocessing="auto")
    if command == "remedy":
        first = (
            remedies.remedy(brightness_net(), grey(), ["bias_correction"], config).stages[0].result
        )
        wrong = (
            remedies.remedy(brightness_net(), grey(), ["bias_correction"], CONFIG).stages[0].result
        )
    else:
        first = sensitivity(brightness_net(), grey(), config).result
        wrong = sensitivity(brightness_net(), grey(), CONFIG).result
    assert (first.config["preprocessing"], first.warnings) == ("tf", ())
    assert "run again with --preprocessing=tf" in wrong.warnings[0]
