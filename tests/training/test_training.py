"""Recipes, inputs and runs: schedules by hand, seeded order, failures marked, state whole."""

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tfqdyn import datasets, training
from tfqdyn.training import files, inputs, optimizers
from tfqdyn.training.dynamics import Dynamics
from tfqdyn.training.record import structure_digest

PLAIN = dataclasses.replace(
    training.RECIPES["thesis"].with_epochs(2), batch_size=16, augmentation=None
)


def network(units: int = 4) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((8, 8, 1), name="images"),
            keras.layers.DepthwiseConv2D(3, depthwise_initializer="ones", name="conv_dw_1"),
            keras.layers.BatchNormalization(name="conv_dw_1_bn"),
            keras.layers.ReLU(name="conv_dw_1_relu"),
            keras.layers.Conv2D(units, 1, name="conv_pw_1"),
            keras.layers.GlobalAveragePooling2D(name="pool"),
            keras.layers.Dropout(0.2, name="dropout_1"),
            keras.layers.Dense(2, activation="softmax", name="predictions"),
        ],
        name="tiny",
    )


@pytest.fixture
def dataset() -> datasets.Dataset:
    """Dark and bright images, easily told apart."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    x = (rng.uniform(0, 100, (60, 8, 8, 1)) + 155 * y[:, None, None, None]).astype(np.uint8)
    return datasets.Dataset("shades", x[40:], y[40:], x[:40], y[:40])


def config(path: Path, **changes: Any) -> training.TrainingConfig:
    return dataclasses.replace(training.TrainingConfig(path, dynamics_images=8), **changes)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


class TestRecipes:
    def test_thesis_drops_at_75_120_170(self):
        thesis = training.RECIPES["thesis"]
        rates = {e: thesis.learning_rate_in(e) for e in (0, 74, 75, 119, 120, 169, 170, 199)}
        assert rates == pytest.approx(
            {0: 1e-2, 74: 1e-2, 75: 1e-3, 119: 1e-3, 120: 1e-4, 169: 1e-4, 170: 1e-5, 199: 1e-5}
        )
        assert (thesis.optimizer, thesis.momentum, thesis.batch_size) == ("sgd", 0.9, 128)

    def test_mobilenets_decays_to_one_ten_thousandth(self):
        recipe = training.RECIPES["mobilenets"]
        assert recipe.learning_rate_in(0) == 0.045
        assert recipe.learning_rate_in(1) == pytest.approx(0.045 * 0.97)
        assert recipe.learning_rate_in(200) == pytest.approx(1.0e-4, rel=0.02)
        assert (recipe.optimizer, recipe.rho, recipe.epsilon) == ("rmsprop", 0.9, 1.0)

    def test_drops_move_with_the_length(self):
        short = training.RECIPES["thesis"].with_epochs(15)
        assert short.decay == training.StepDecay(0.1, after=(6, 9, 13))  # 5.6, 9.0, 12.75
        whole = training.RECIPES["thesis"].with_epochs(15, scale_decay=False)
        assert {whole.learning_rate_in(epoch) for epoch in range(15)} == {0.01}

    def test_exponential_decay_ends_as_deep(self):
        recipe = training.RECIPES["mobilenets"]
        assert recipe.with_epochs(20).learning_rate_in(20) == pytest.approx(
            recipe.learning_rate_in(200)
        )

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"epochs": 0}, "at least 1 and learning_rate positive"),
            ({"batch_size": 0}, "at least 1 and learning_rate positive"),
            ({"learning_rate": 0.0}, "at least 1 and learning_rate positive"),
            ({"momentum": 1.0}, "must lie in"),
            ({"batch_norm_momentum": 1.5}, "must lie in"),
            ({"warmup_steps": 0}, "must be positive, or None"),
            ({"weight_decay": 0.0}, "must be positive, or None"),
        ],
    )
    def test_impossible_values_are_refused(self, change: dict[str, Any], message: str):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(PLAIN, **change)

    def test_the_rate_rises_step_by_step_while_it_warms_up(self):
        recipe = dataclasses.replace(PLAIN, warmup_steps=4)
        assert [recipe.warmup(step) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
        assert PLAIN.warmup(0) == 1.0

    def test_weight_decay_pulls_kernels_alone(self):
        """One SGD step by hand: w - rate (gradient + decay w), a bias without the decay."""
        recipe = dataclasses.replace(PLAIN, momentum=0.0, learning_rate=0.5, weight_decay=0.1)
        dense = keras.layers.Dense(1)
        dense.build((None, 1))
        dense.set_weights([np.array([[2.0]]), np.array([3.0])])
        optimizer = optimizers.make(recipe)
        optimizer.build(dense.trainable_variables)
        gradients = [np.array([[4.0]], np.float32), np.array([5.0], np.float32)]
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients])
        kernel, bias = dense.get_weights()
        assert kernel[0, 0] == pytest.approx(2.0 - 0.5 * (4.0 + 0.1 * 2.0))
        assert bias[0] == pytest.approx(3.0 - 0.5 * 5.0)
        assert optimizer.gradient_norm(dense.kernel) == pytest.approx(4.0)  # the loss's alone


class TestInputs:
    def test_every_epoch_has_every_image_once_in_its_own_order(self):
        x, y = np.arange(50, dtype=np.uint8).reshape(50, 1, 1, 1), np.arange(50)
        batches = inputs.Batches(x, y, 16, "none", seed=7)
        orders = {}
        for epoch in (0, 1, 0):
            batches.epoch = epoch
            seen = [batches[index] for index in range(len(batches))]
            assert [len(labels) for _, labels in seen] == [16, 16, 16, 2]
            order = np.concatenate([labels for _, labels in seen])
            assert all((images[:, 0, 0, 0] == labels).all() for images, labels in seen)
            assert sorted(order) == list(range(50))
            np.testing.assert_array_equal(orders.setdefault(epoch, order), order)
        assert (orders[0] != orders[1]).any()


class TestRuns:
    def test_files_of_a_run(self, dataset: datasets.Dataset, tmp_path: Path):
        result = training.train(network, dataset, PLAIN, config(tmp_path, checkpoints=(1,)))
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "dynamics.csv", "epoch_001.keras", "final.keras", "history.csv", "run.json",
            "speed.csv", "state.npz",
        ]  # fmt: skip
        assert [row["epoch"] for row in rows(tmp_path / "history.csv")] == ["1", "2"]
        watched = rows(tmp_path / "dynamics.csv")
        assert list(dict.fromkeys(row["epoch"] for row in watched)) == ["0", "1", "2"]
        assert {row["gradient_norm"] for row in watched if row["epoch"] == "0"} == {"nan"}
        assert list(rows(tmp_path / "history.csv")[0]) == [
            "epoch", "learning_rate", "loss", "accuracy", "val_loss", "val_accuracy"
        ]  # fmt: skip
        record = json.loads((tmp_path / "run.json").read_text())
        assert (record["status"], record["epochs_done"]) == (result.status, 2)
        assert record["test_accuracy"] == result.test_accuracy

    def test_saved_network_has_no_augmentation(self, dataset: datasets.Dataset, tmp_path: Path):
        recipe = dataclasses.replace(PLAIN, epochs=1, augmentation=training.Augmentation())
        result = training.train(network, dataset, recipe, config(tmp_path))
        loaded: Any = keras.saving.load_model(tmp_path / "final.keras")
        assert [layer.name for layer in loaded.layers] == [x.name for x in network().layers]
        for saved, trained in zip(loaded.get_weights(), result.network.get_weights(), strict=True):
            np.testing.assert_array_equal(saved, trained)

    def test_a_run_warms_up(self, dataset: datasets.Dataset, tmp_path: Path):
        """One step an epoch, without momentum: weights move by the sum of the rates."""

        def moved(epochs: int, warmup_steps: int | None) -> float:
            recipe = dataclasses.replace(
                PLAIN, epochs=epochs, batch_size=40, learning_rate=1e-2,
                decay=training.ExponentialDecay(1.0), momentum=0.0, warmup_steps=warmup_steps,
            )  # fmt: skip
            run = config(tmp_path / f"{epochs}-{warmup_steps}")
            trained: Any = training.train(network, dataset, recipe, run).network
            return float(np.linalg.norm(trained.get_layer("predictions").get_weights()[0] - first))

        keras.utils.set_random_seed(0)
        tiny: Any = network()
        first = tiny.get_layer("predictions").get_weights()[0]
        assert moved(1, 4) / moved(1, None) == pytest.approx(1 / 4, rel=1e-3)
        assert moved(2, 4) / moved(2, None) == pytest.approx((1 + 2) / 4 / 2, rel=0.1)

    def test_structure_is_classes_configurations_and_connections(self):
        def digest(*, name: str = "a", units: int = 3, skip: bool = False) -> str:
            inputs = keras.Input((3,))
            x = keras.layers.Dense(units, name=name)(inputs)
            y = keras.layers.Dense(3, activation="relu")(x)
            return structure_digest(keras.Model(inputs, keras.layers.Add()([y, x if skip else y])))

        assert digest() == digest(name="b")
        assert len({digest(), digest(units=4), digest(skip=True)}) == 3

    def test_a_finished_run_is_not_trained_again(self, dataset: datasets.Dataset, tmp_path: Path):
        first = training.train(network, dataset, PLAIN, config(tmp_path))
        before = (tmp_path / "history.csv").read_bytes()
        again = training.train(network, dataset, PLAIN, config(tmp_path))
        assert again.test_loss == first.test_loss
        assert (tmp_path / "history.csv").read_bytes() == before

    def test_easy_data_are_learned_and_constant_ones_are_marked(
        self, dataset: datasets.Dataset, tmp_path: Path
    ):
        steady = training.ExponentialDecay(1.0)
        fast = dataclasses.replace(
            PLAIN, learning_rate=0.2, decay=steady, epochs=6, batch_norm_momentum=0.5
        )
        learned = training.train(network, dataset, fast, config(tmp_path / "learned"))
        assert (learned.status, learned.failed) == ("finished", False)
        assert learned.test_accuracy is not None
        assert learned.test_accuracy > 0.9
        grey = dataclasses.replace(
            dataset,
            x_train=np.zeros_like(dataset.x_train),
            x_test=np.zeros_like(dataset.x_test),
        )
        vanished = training.train(network, grey, PLAIN, config(tmp_path / "vanished"))
        assert (vanished.status, vanished.failed) == ("vanished", True)
        assert "that of guessing is 0.6931" in vanished.reason  # ln 2

    def test_diverging_run_stops_and_is_marked(self, dataset: datasets.Dataset, tmp_path: Path):
        wild = dataclasses.replace(PLAIN, learning_rate=1e30)
        result = training.train(network, dataset, wild, config(tmp_path))
        assert (result.status, result.failed) == ("diverged", True)
        assert "the training loss became nan in epoch" in result.reason
        assert json.loads((tmp_path / "run.json").read_text())["status"] == "diverged"
        assert not (tmp_path / "final.keras").exists()
        again = training.train(network, dataset, wild, config(tmp_path))
        assert (again.status, again.reason) == (result.status, result.reason)

    def test_broken_weights_under_a_finite_loss_are_divergence_too(
        self, dataset: datasets.Dataset, tmp_path: Path
    ):
        def broken() -> keras.Model:
            inputs = keras.Input(dataset.x_train.shape[1:])
            x = keras.layers.Flatten()(inputs)
            x = keras.layers.Dense(3, kernel_initializer=keras.initializers.Constant(np.nan))(x)
            x = keras.layers.Dense(dataset.num_classes, "softmax")(keras.ops.nan_to_num(x))
            return keras.Model(inputs, x)

        result = training.train(broken, dataset, PLAIN, config(tmp_path))
        assert result.status == "diverged"
        assert "kernel became NaN or infinite in epoch 1" in result.reason

    @pytest.mark.parametrize(
        ("change", "what"),
        [
            ({"build": lambda: network(units=5)}, "parameters, structure_sha256"),
            ({"recipe": dataclasses.replace(PLAIN, learning_rate=0.5)}, "recipe"),
            ({"seed": 1}, "seed"),
        ],
    )
    def test_a_folder_of_another_run_is_refused(
        self, dataset: datasets.Dataset, tmp_path: Path, change: dict[str, Any], what: str
    ):
        training.train(network, dataset, dataclasses.replace(PLAIN, epochs=1), config(tmp_path))
        other = {
            "build": network,
            "recipe": dataclasses.replace(PLAIN, epochs=1),
            "seed": 0,
        } | change
        with pytest.raises(ValueError, match=f"holds another run: .*{what}.* differ"):
            training.train(
                other["build"], dataset, other["recipe"], config(tmp_path, seed=other["seed"])
            )

    def test_data_must_fit(self, dataset: datasets.Dataset, tmp_path: Path):
        with pytest.raises(ValueError, match="test images alone"):
            training.train(
                network, dataclasses.replace(dataset, x_train=None), PLAIN, config(tmp_path)
            )
        with pytest.raises(ValueError, match=r"labels must lie in 0\.\.1"):
            training.train(
                network,
                dataclasses.replace(dataset, y_test=dataset.y_test + 1),
                PLAIN,
                config(tmp_path),
            )
        assert not list(tmp_path.iterdir())


class TestDynamics:
    def test_gradient_norm_is_what_the_weights_moved_by(self):
        """One SGD step without momentum moves a kernel by learning rate x gradient."""
        keras.utils.set_random_seed(0)
        tiny = network()
        recipe = dataclasses.replace(PLAIN, momentum=0.0, learning_rate=0.5)
        optimizer = optimizers.make(recipe)
        tiny.compile(optimizer, "sparse_categorical_crossentropy")
        before = tiny.get_layer("conv_pw_1").get_weights()[0]
        x = np.random.default_rng(0).normal(size=(16, 8, 8, 1)).astype("float32")
        tiny.train_on_batch(x, np.arange(16) % 2)
        moved = np.linalg.norm(tiny.get_layer("conv_pw_1").get_weights()[0] - before)
        layer: Any = tiny.get_layer("conv_pw_1")
        assert optimizer.gradient_norm(layer.kernel) == pytest.approx(moved / 0.5, rel=1e-4)
        optimizer.reset_gradients()
        assert np.isnan(optimizer.gradient_norm(layer.kernel))

    def test_ranges_by_hand(self):
        tiny: Any = network()
        kernel = np.zeros((3, 3, 1, 1), np.float32)
        kernel[1, 1] = 2.0  # the centre: inputs inside the border, times 2
        tiny.get_layer("conv_dw_1").set_weights([kernel, np.zeros(1)])
        pointwise = np.array([[[[1.0, 3.0, -1.0, 0.0]]]], np.float32)
        tiny.get_layer("conv_pw_1").set_weights([pointwise, np.zeros(4)])
        tiny.get_layer("conv_dw_1_bn").set_weights(
            [np.array([value]) for value in (1.0, 0.0, 0.0, 1.0 - 1e-3)]  # the identity
        )
        optimizer = optimizers.make(PLAIN)
        optimizer.build(tiny.trainable_variables)
        sample = np.full((3, 8, 8, 1), -1.0, np.float32)
        sample[2, 4, 4, 0] = 2.5
        measured = Dynamics(tiny, optimizer, sample, batch_size=2).measure(epochs_done=3)
        depthwise, mixing, dense = measured
        assert (depthwise["number"], depthwise["name"], depthwise["epoch"]) == (1, "conv_dw_1", 3)
        assert (depthwise["weight_range"], depthwise["weight_average_precision"]) == (2.0, 1.0)
        assert (depthwise["activation_min"], depthwise["activation_max"]) == (0.0, 5.0)
        assert mixing["weight_range"] == 4.0
        assert mixing["weight_average_precision"] == 0.0  # one value a channel
        assert (mixing["activation_min"], mixing["activation_max"]) == (-5.0, 15.0)
        assert (dense["number"], dense["name"]) == (3, "predictions")


class TestFiles:
    def test_table_is_cut_back_unchanged(self, tmp_path: Path):
        path = tmp_path / "history.csv"
        table = files.Table(path)
        for epoch in (1, 2, 3):
            table.extend([{"epoch": epoch, "loss": 1 / 3}])
        text = path.read_text()
        cut = files.Table(path, until_epoch=2)
        assert [row["epoch"] for row in cut.rows] == ["1", "2"]
        cut.extend([{"epoch": 3, "loss": 1 / 3}])
        assert path.read_text() == text

    def test_state_of_another_network_is_refused(self, tmp_path: Path):
        def compiled(units: int) -> keras.Model:
            model: Any = network(units)
            model.compile(optimizers.make(PLAIN), "sparse_categorical_crossentropy")
            model.optimizer.build(model.trainable_variables)
            return model

        files.State(tmp_path / "state.npz", compiled(4)).save(2)
        assert files.State(tmp_path / "state.npz", compiled(4)).restore() == 2
        with pytest.raises(ValueError, match="another network or optimizer"):
            files.State(tmp_path / "state.npz", compiled(5)).restore()

    def test_tables_are_read_with_numbers_as_numbers(self, tmp_path: Path):
        written = files.Table(tmp_path / "dynamics.csv")
        written.extend(
            [{"epoch": 1, "name": "conv_1", "weight_range": 0.5, "activation_min": -1e-07}]
        )
        assert training.read_table(tmp_path / "dynamics.csv") == [
            {"epoch": 1, "name": "conv_1", "weight_range": 0.5, "activation_min": -1e-07}
        ]
        with pytest.raises(FileNotFoundError):
            training.read_table(tmp_path / "history.csv")
