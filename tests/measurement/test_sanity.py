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
    folded = fold_batchnorm(lower(brightness_net()))
    found = sanity.survey(folded, grey(), np.arange(40), CONFIG)
    assert list(found) == ["none", "unit", "tf", "caffe", "torch"]
    assert found["tf"] == sanity.Fit(1.0, None)  # no batch norm
    assert found["none"].accuracy == 0.25  # every image is in the brightest class
    assert found["unit"].accuracy < 1.0


def test_between_modes_that_are_right_alike_the_first_batch_norm_decides() -> None:
    """A batch norm of one channel, whose inputs had mean -0.1 and variance 0.25 in training.

    In [-1, 1] the images have mean `m` and variance `v` there; the KL divergence of normal
    distributions is (v' + m'^2 - 1 - ln v') / 2 of the standardized mean and variance.
    """
    k = keras.layers
    inputs = keras.Input((6, 6, 3))
    x = k.Conv2D(1, 1, use_bias=False, name="grey")(inputs)
    x = k.BatchNormalization(name="norm")(x)
    model = keras.Model(inputs, k.Dense(4)(k.Flatten()(x)))
    model.get_layer("grey").set_weights([np.full((1, 1, 3, 1), 1 / 3, np.float32)])
    statistics = [np.array([v], np.float32) for v in (2.0, 0.5, -0.1, 0.25)]
    model.get_layer("norm").set_weights(statistics)
    found = sanity.survey(fold_batchnorm(lower(model)), grey(), np.arange(40), CONFIG)
    values = grey().x_test.astype(np.float64) / 127.5 - 1
    m = (values.mean() + 0.1) / np.sqrt(0.251)
    v = values.var() / 0.251
    assert found["tf"].misfit == pytest.approx((v + m**2 - 1 - np.log(v)) / 2, rel=1e-5)
    assert found["tf"].misfit < min(found[mode].misfit for mode in ("none", "unit", "torch"))
    fits = {"unit": sanity.Fit(0.88, 3.0), "tf": sanity.Fit(0.84, 0.1), "none": sanity.Fit(0.5, 0)}
    assert sanity.best_mode(fits, 64) == "tf"  # two standard errors of 0.88 are 0.081
    assert sanity.best_mode(fits, 1000) == "unit"


def test_a_run_with_the_wrong_preprocessing_is_an_alarm() -> None:
    result = pipeline.analyze(brightness_net(), grey(), CONFIG)
    (warning,) = result.warnings
    assert warning.startswith("fp32 accuracy is 25.00%, hardly better than guessing among 4")
    assert warning.endswith(". Run again with --preprocessing=tf.")
    assert "On 40 images --preprocessing=tf fits best: right with none 25%, unit" in warning


def test_the_right_preprocessing_is_no_alarm_and_auto_finds_it() -> None:
    right = pipeline.analyze(brightness_net(), grey(), replace(CONFIG, preprocessing="tf"))
    assert right.warnings == ()
    auto = pipeline.analyze(brightness_net(), grey(), replace(CONFIG, preprocessing="auto"))
    assert auto.config["preprocessing"] == "tf"
    assert auto.notes[0].startswith("preprocessing=auto chose tf on 40 images: right with none 25%")
    assert auto.summary == right.summary


def test_an_untrained_network_is_told_what_else_may_be_wrong(tmp_path) -> None:
    keras.utils.set_random_seed(1)
    data = images(20)
    result = pipeline.analyze(residual_net(), replace(data, y_test=np.full(20, 3)), CONFIG)
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
    folded = fold_batchnorm(lower(keras.Model(inputs, keras.layers.Dense(4)(x))))
    data = grey()
    found = sanity.survey(folded, replace(data, x_test=data.x_test[..., :1]), np.arange(40), CONFIG)
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
    assert "Run again with --preprocessing=tf" in wrong.warnings[0]
