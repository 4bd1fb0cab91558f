"""What decides a result decides its key, and nothing else does; what code says is its meaning."""

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from experiments.engine import image_sets, initial, provenance
from experiments.engine.artifact import Scope
from experiments.engine.image_sets import Source, TrainingImages
from experiments.engine.imagenet import ImageNet
from experiments.engine.initial import Initial
from experiments.engine.jobs import (
    GENERATION,
    Untrained,
    analysis_of,
    estimate_statistics,
    training_of,
)
from experiments.engine.networks import ABLATION, WEIGHT_INIT
from experiments.engine.scales import LAST_TENTH, LONG, SMOKE, Scale, Schedule
from experiments.engine.selection import Selection
from experiments.engine.store import Store, key_of
from tfqdyn import training
from tfqdyn.datasets import DataError

NETWORK = next(n for n in ABLATION if n.name == "DWS Conv With Gamma GlorotUni")


def archive(path: Path, **changes: np.ndarray) -> Path:
    """Twelve training and eight test images of two classes, in an .npz archive."""
    rng = np.random.default_rng(5)
    arrays = {
        "x_train": rng.integers(0, 256, (12, 16, 16, 3)).astype(np.uint8),
        "y_train": np.arange(12) % 2,
        "x_test": rng.integers(0, 256, (8, 16, 16, 3)).astype(np.uint8),
        "y_test": np.arange(8) % 2,
    } | changes
    np.savez(path, **arrays)
    return path


def scale_on(path: Path, held_out: int = 4) -> Scale:
    return dataclasses.replace(
        SMOKE,
        source=Source(str(path), held_out),
        schedules={name: Schedule(2, None, 4) for name in SMOKE.schedules},
    )


def keys(path: Path, held_out: int = 4) -> tuple[str, str]:
    """Digests of a training's key and of its analysis'."""
    scale = scale_on(path, held_out)
    jobs = training_of(NETWORK, scale, 0), analysis_of(NETWORK, scale, 0)
    training, analysis = (key_of(job).rsplit("-", 1)[1] for job in jobs)
    return training, analysis


def test_other_images_under_the_same_name_are_other_work(tmp_path: Path):
    images = np.random.default_rng(6).integers(0, 256, (12, 16, 16, 3)).astype(np.uint8)

    def under_one_name(**changes: np.ndarray) -> tuple[str, str]:
        for cache in ("_loaded", "_digest_of_training", "_digest_of_scored"):
            getattr(image_sets, cache).cache_clear()  # as in another process
        return keys(archive(tmp_path / "images.npz", **changes))

    trained, analyzed = under_one_name()
    assert (trained, analyzed) == under_one_name()
    of_test = under_one_name(x_test=images[:8])
    assert of_test[0] == trained
    assert of_test[1] != analyzed
    of_labels = under_one_name(y_test=1 - np.arange(8) % 2)
    assert of_labels[0] == trained
    assert of_labels[1] not in (analyzed, of_test[1])
    of_training = under_one_name(x_train=images)
    assert of_training[0] != trained
    assert of_training[1] != analyzed


def test_the_same_images_under_another_name_are_the_same_work(tmp_path: Path):
    one, other = archive(tmp_path / "one.npz"), archive(tmp_path / "other.npz")
    assert keys(one) == keys(other)
    assert keys(one) != keys(one, held_out=3)


def test_held_out_images_are_scored_behind_the_test_images_and_never_trained_on(tmp_path: Path):
    source = Source(str(archive(tmp_path / "images.npz")), held_out=4)
    whole, split = Source(source.name).load(), source.load()
    images, tests = whole.x_train[np.arange(12)], whole.x_test[np.arange(8)]
    np.testing.assert_array_equal(split.x_train, images[:8])
    np.testing.assert_array_equal(split.x_test, np.concatenate([tests, images[8:]]))
    assert split.y_test.tolist() == [*whole.y_test, *whole.y_train[8:]]
    trained = TrainingImages(source, None, 3, 0).load()
    np.testing.assert_array_equal(trained.x_train, images[:8])
    np.testing.assert_array_equal(trained.x_test, images[8:11])
    alone = TrainingImages(Source(source.name), 5, 2, 0).load()
    np.testing.assert_array_equal(alone.x_test, alone.x_train[:2])
    with pytest.raises(DataError, match="more than 12 training images, which are held out"):
        Source(source.name, 12).load()


def test_networks_are_known_by_structure_and_initial_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = SMOKE.source

    def digest(seed: int = 0, **options: Any) -> str:
        given = {"width": 0.125, "dense_units": (16,), **options}
        return Initial("dws_convnet", tuple(sorted(given.items())), source, seed).digest()

    first = digest()
    others = [
        digest(seed=1),
        digest(initializer="HeNorm"),
        digest(dropout=0.25),
        digest(batch_norm=None),
        digest(width=0.25),
    ]
    assert len({first, *others}) == 6
    initial._digest.cache_clear()
    monkeypatch.setattr(Initial, "build", lambda self: pytest.fail("it is known"))
    assert digest() == first


def test_code_is_its_meaning():
    written = provenance.definitions(
        '"""Text."""\nimport math\n\n'
        'def f(x):\n    """Doc."""\n    # why\n    return x + 1\n\nA = 2\n'
    )
    moved = provenance.definitions(
        "from math import pi\n__all__ = ['f']\nA = 2\ndef f(x): return (x+1)\n"
    )
    assert written == moved
    assert written != provenance.definitions("A = 2\ndef f(x): return x + 2\n")
    assert written != provenance.definitions("A = 3\ndef f(x): return x + 1\n")
    told = [f'def f(x):\n    apart("{name}", x)' for name in ("tfqdyn.a:g", "tfqdyn.b.c:g")]
    assert provenance.definitions(told[0]) == provenance.definitions(told[1])
    assert provenance.definitions(told[0]) != provenance.definitions(told[0].replace(":g", ":h"))


def test_analyses_know_the_code_that_measures_and_not_what_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    package = tmp_path / "tfqdyn"
    package.mkdir()
    (package / "measures.py").write_text("from tfqdyn import sums\n\ndef f(): return sums.g()\n")
    (package / "sums.py").write_text("def g(): return 1\n")
    (package / "shows.py").write_text("from tfqdyn import measures\n\ndef h(): return 2\n")
    monkeypatch.setattr(provenance, "ROOT", tmp_path)

    def code() -> str:
        provenance._defined_below.cache_clear()
        provenance._read.cache_clear()
        return provenance.code_of("tfqdyn.measures")

    before = code()
    (package / "shows.py").write_text("def h(): return 3\n")
    (package / "sums.py").write_text('"""Sums."""\n\ndef g():\n    """One."""\n    return 1\n')
    assert code() == before
    (package / "sums.py").write_text("def g(): return 1 + 1\n")
    assert code() != before
    provenance._defined_below.cache_clear()
    provenance._read.cache_clear()
    with pytest.raises(ValueError, match=r"no module 'tfqdyn\.nothing'"):
        provenance.code_of("tfqdyn.nothing")


def test_a_changed_analysis_is_done_again_and_its_training_is_not(monkeypatch: pytest.MonkeyPatch):
    trained, analysis = training_of(NETWORK, SMOKE, 0), analysis_of(NETWORK, SMOKE, 0)
    before = key_of(trained), key_of(analysis)
    monkeypatch.setattr("experiments.engine.jobs.code_of", lambda *parts: "other code")
    assert key_of(trained) == before[0]
    assert key_of(analysis) != before[1]
    monkeypatch.undo()
    monkeypatch.setattr("experiments.engine.jobs.GENERATION", GENERATION + 1)
    assert key_of(trained) != before[0]
    assert key_of(analysis) != before[1]


def test_a_generation_comes_to_these_figures(tmp_path: Path):
    """Where this fails, trainings come to something else: raise `GENERATION`, and note what here.

    Sums over two batch norms after three steps, with augmentation and dropout. Threads and kernels
    of TensorFlow move them by 0.04 % (mean), 0.001 % (variance) and 1.2 % (beta); 3 degrees of
    rotation by 0.8 and 0.01 %, and 5 % of the learning rate move beta by 6 %, of dropout by 11 %.
    """
    keras.backend.clear_session()
    data = TrainingImages(Source("digits"), 96, 32, 0).load()
    begun = Initial("toynet", (("width", 0.125), ("dense_units", (16,))), Source("digits"), 0)
    recipe = dataclasses.replace(training.RECIPES["thesis"].with_epochs(1), batch_size=32)
    done = training.train(begun.build, data, recipe, training.TrainingConfig(tmp_path))
    sums = {w.path: float(np.abs(w.numpy()).sum()) for w in done.network.weights}
    assert GENERATION == 1
    assert sums["conv_2_bn/moving_mean"] == pytest.approx(0.08727, rel=1.5e-3)
    assert sums["conv_8_bn/moving_variance"] == pytest.approx(31.3641, rel=5e-5)
    assert sums["conv_8_bn/beta"] == pytest.approx(0.00272, rel=0.03)


def test_untrained_networks_have_the_statistics_of_a_batch(tmp_path: Path):
    inputs = keras.Input((4, 4, 2))
    x = keras.layers.BatchNormalization(name="first")(inputs)
    x = keras.layers.Rescaling(3.0, 1.0)(x)
    network: Any = keras.Model(inputs, keras.layers.BatchNormalization(name="second")(x))
    images = np.random.default_rng(0).normal(5, 2, (64, 4, 4, 2)).astype(np.float32)
    estimate_statistics(network, images)
    mean, variance = network.get_layer("first").get_weights()[2:]
    np.testing.assert_allclose(mean, images.mean(axis=(0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(variance, images.var(axis=(0, 1, 2)), rtol=1e-4)
    mean, variance = network.get_layer("second").get_weights()[2:]  # of 3 z + 1, z of unit variance
    np.testing.assert_allclose(mean, [1.0, 1.0], atol=1e-4)
    np.testing.assert_allclose(variance, [9.0, 9.0], rtol=1e-2)
    assert network.get_layer("first").momentum == 0.99


def test_the_control_of_an_analysis_is_its_network_before_training(tmp_path: Path):
    control, trained = (analysis_of(NETWORK, SMOKE, 0, epoch) for epoch in (0, None))
    assert isinstance(control.training, Untrained)
    assert control.training.initial == trained.training.initial
    assert (control.epoch, control.config) == (0, trained.config)
    store = Store(tmp_path)
    store.finish(control.training)
    found = store.finish(control)["result"]
    assert (found["status"], found["steps"], found["train_seconds"]) == ("untrained", 0, 0.0)
    begun = control.training.initial.build()
    kept = control.training.network(store, 0)
    for layer in begun.layers:
        if hasattr(layer, "kernel"):
            np.testing.assert_array_equal(
                layer.get_weights()[0], kept.get_layer(layer.name).get_weights()[0]
            )


def test_the_long_scale_holds_out_what_it_scores_and_keeps_the_first_rate():
    assert LONG.source == Source("cifar10", held_out=5000)
    for network in (NETWORK, WEIGHT_INIT[0]):
        recipe = LONG.recipe(network)
        steps = recipe.epochs * -(-45_000 // recipe.batch_size)
        assert steps >= 12_500
        rates = [recipe.learning_rate_in(epoch) for epoch in range(recipe.epochs)]
        assert set(rates[: int(0.85 * recipe.epochs)]) == {recipe.learning_rate}
    job = training_of(NETWORK, LONG, 1)
    assert dict(job.initial.options).get("dropout", 0.0) == 0.0  # the published one teaches nothing


def test_schedules_say_when_rates_drop_and_warm_up():
    recipe = Schedule(
        20, batch_size=32, drops=LAST_TENTH, warmup_steps=100, weight_decay=4e-5
    ).applied(training.RECIPES["mobilenets"])
    assert recipe.decay == training.StepDecay(0.1, after=(18, 19))
    assert (recipe.warmup_steps, recipe.weight_decay, recipe.batch_size) == (100, 4e-5, 32)
    constant = Schedule(20, drops=()).applied(training.RECIPES["thesis"])
    assert {constant.learning_rate_in(epoch) for epoch in range(20)} == {0.01}


class TestSelection:
    scope = Scope(dataclasses.replace(SMOKE, more_seeds={NETWORK.name: (2, 1)}), 0, ImageNet())

    def jobs(self) -> list[Any]:
        return [
            analysis_of(network, self.scope.scale, seed)
            for network, seed in self.scope.replicates(ABLATION)
        ]

    def chosen(self, **only: tuple[Any, ...]) -> list[tuple[str, str, int]]:
        found: list[Any] = list(Selection(**only).of(self.jobs(), self.scope))
        owners = [job if hasattr(job, "initial") else job.training for job in found]
        return [
            (job.KIND, owner.initial.arch, owner.initial.seed)
            for job, owner in zip(found, owners, strict=True)
        ]

    def test_networks_in_the_order_of_their_patterns_first_seeds_first(self):
        patterns = ("Regular*", "DWS Conv * Gamma GlorotUni")
        assert self.chosen(networks=patterns, kinds=("trainings",)) == [
            ("trainings", "toynet", 0),
            ("trainings", "dws_convnet", 0),
            ("trainings", "dws_convnet", 1),
            ("trainings", "dws_convnet", 2),
        ]

    def test_seeds(self):
        assert self.chosen(seeds=(1,)) == [
            ("trainings", "dws_convnet", 1),
            ("analyses", "dws_convnet", 1),
        ]

    @pytest.mark.parametrize(
        ("only", "message"),
        [
            ({"networks": ("DSW*",)}, r"no network is called 'DSW\*'; the networks are MobileNet"),
            ({"seeds": (7,)}, r"trainings of the seeds \[0, 1, 2\]"),
            ({"kinds": ("training",)}, "of the kinds trainings, analyses"),
        ],
    )
    def test_nothing_meant_is_an_error(self, only: dict[str, Any], message: str):
        with pytest.raises(ValueError, match=message):
            Selection(**only).of(self.jobs(), self.scope)
