"""What a training step computes: augmentation against Keras' layers, kernels against Keras' own."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfqdyn import training
from tfqdyn.training import augmentation, fused_kernels, inputs, optimizers

NO_FLIPS = np.zeros((1, 2), bool)


def images(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


class TestAugmentation:
    def test_composition_is_that_of_keras_layers(self):
        """Keras draws, both transform: rotation, shift, zoom, each from the one before it."""
        original = images(6, 10, 14, 3)
        layers: list[Any] = [
            keras.layers.RandomRotation(40 / 360, fill_mode="nearest", seed=1),
            keras.layers.RandomTranslation(0.3, 0.3, fill_mode="nearest", seed=2),
            keras.layers.RandomZoom((-0.4, 0.4), (-0.4, 0.4), fill_mode="nearest", seed=3),
        ]
        drawn = [layer.get_random_transformation(original, training=True) for layer in layers]
        expected = original
        for layer, change in zip(layers, drawn, strict=True):
            expected = np.asarray(layer.transform_images(expected, change, training=True))
        rotation, shift, zoom = drawn
        zooms = np.concatenate([zoom["width_zoom"], zoom["height_zoom"]], axis=1)
        maps = [
            np.asarray(matrices)[:, :6]
            for matrices in (
                rotation["rotation_matrix"],
                layers[1]._get_translation_matrix(shift["translations"]),
                layers[2]._get_zoom_matrix(zooms, 10, 14),
            )
        ]
        found = augmentation.transform(original, np.stack(maps, 1), np.zeros((6, 2), bool))
        np.testing.assert_allclose(found, expected, atol=1e-5)

    def test_drawn_maps_are_uniform_and_of_keras_form(self):
        maps = augmentation.affine_maps(
            training.Augmentation(), np.random.default_rng(0), 4000, height=11, width=21
        )
        rotation, shift, zoom = (maps[:, place] for place in range(3))
        angles = np.degrees(np.arctan2(rotation[:, 3], rotation[:, 0]))
        columns, rows = -shift[:, 2], -shift[:, 5]
        for values, low, high in (
            (angles, -15, 15),
            (columns, -2.1, 2.1),  # a tenth of 21 and of 11
            (rows, -1.1, 1.1),
            (zoom[:, 0], 0.9, 1.1),
            (zoom[:, 4], 0.9, 1.1),
        ):
            assert low <= values.min() + 1e-5
            assert values.max() - 1e-5 <= high
            quartiles = np.quantile(values, [0.25, 0.5, 0.75])
            expected = low + (high - low) * np.array([0.25, 0.5, 0.75])
            np.testing.assert_allclose(quartiles, expected, atol=0.03 * (high - low))
        assert abs(np.corrcoef(zoom[:, 0], zoom[:, 4])[0, 1]) < 0.05  # drawn apart
        layer: Any = keras.layers.RandomRotation(1.0)
        turned = layer._compute_affine_matrix(
            0.5, 0.5, angles, *np.zeros((2, 4000)), np.ones(4000), *np.zeros((2, 4000)), 11, 21
        )
        np.testing.assert_allclose(rotation, np.asarray(turned)[:, :6], atol=1e-3)
        middle = np.array([10.0, 5.0, 1.0])  # column, row: neither turned nor zoomed
        for fixed in (rotation, zoom):
            moved = fixed.reshape(-1, 2, 3) @ middle
            np.testing.assert_allclose(moved, np.tile(middle[:2], (4000, 1)), atol=1e-4)

    def test_by_hand(self):
        image = np.array([[1, 2, 4], [8, 16, 32]], np.float32)[None, ..., None]
        half_left = np.array([[[1, 0, 0.5, 0, 1, 0]]], np.float32)  # column x from x + 0.5
        out = augmentation.transform(image, half_left, NO_FLIPS)[0, ..., 0]
        np.testing.assert_array_equal(out, [[1.5, 3, 4], [12, 24, 32]])  # the border repeats
        nothing = np.zeros((1, 0, 6), np.float32)
        both = augmentation.transform(image, nothing, np.array([[True, True]]))[0, ..., 0]
        np.testing.assert_array_equal(both, [[32, 16, 8], [4, 2, 1]])

    def test_flips_alone_only_mirror(self):
        only_flips = training.Augmentation(rotation=0, shift=0, zoom=0)
        image = np.arange(16, dtype=np.float32).reshape(4, 4)
        changed = augmentation.augment(
            np.stack([image[..., None]] * 400), only_flips, np.random.default_rng(1)
        )[..., 0]
        mirrored = [image, image[::-1], image[:, ::-1], image[::-1, ::-1]]
        found = [next(i for i, m in enumerate(mirrored) if (m == out).all()) for out in changed]
        assert all(70 < found.count(kind) < 130 for kind in range(4))  # a quarter of 400 each

    def test_batches_change_by_seed_epoch_and_place_alone(self):
        x, y = (images(40, 8, 8, 1) * 100 + 100).astype(np.uint8), np.arange(40)

        def batches(seed: int, epoch: int, **more: Any) -> inputs.Batches:
            made = inputs.Batches(
                x, y, 16, "tf", seed=seed, augmentation=training.Augmentation(), **more
            )
            made.epoch = epoch
            return made

        run = batches(7, 3)
        run[0]
        np.testing.assert_array_equal(run[2][0], batches(7, 3)[2][0])
        plain = inputs.Batches(x, y, 16, "tf", seed=7)
        plain.epoch = 3
        np.testing.assert_array_equal(run[2][1], plain[2][1])
        assert np.abs(run[2][0] - plain[2][0]).max() > 0.1
        same = np.zeros_like(x) + x[:1]
        firsts = [
            inputs.Batches(same, y, 16, "tf", seed=seed, augmentation=training.Augmentation())
            for seed in (7, 8)
        ]
        places = [firsts[0][0][0], firsts[0][1][0], firsts[1][0][0]]
        firsts[0].epoch = 1
        places.append(firsts[0][0][0])
        assert all((a != b).any() for i, a in enumerate(places) for b in places[:i])
        with pytest.raises(ValueError, match="Augmentation needs a seed"):
            inputs.Batches(x, y, 16, "tf", augmentation=training.Augmentation())


def network() -> keras.Model:
    layers = keras.layers
    keras.utils.set_random_seed(3)
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv_1")(inputs)
    x = layers.BatchNormalization(name="conv_1_bn")(x)
    x = layers.ReLU()(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="conv_dw_1")(x)
    x = layers.BatchNormalization(scale=False, momentum=0.9, name="conv_dw_1_bn")(x)
    x = layers.Conv2D(16, 1, name="conv_pw_1")(x)
    x = layers.BatchNormalization(center=False, epsilon=0.1, name="conv_pw_1_bn")(x)
    x = layers.Conv2D(8, 1, strides=2, activation="relu", name="conv_strided")(x)
    x = layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(4, activation="softmax", name="predictions")(x))


RECIPES = {
    "rmsprop": training.RECIPES["mobilenets"],
    "sgd": training.RECIPES["thesis"],
    "sgd without momentum": training.Recipe(
        "plain", "sgd", 0.05, training.ExponentialDecay(1.0), momentum=0.0
    ),
}


class TestFusedKernels:
    @pytest.mark.parametrize("recipe", RECIPES)
    def test_steps_are_those_of_plain_keras(self, recipe: str):
        """Loss, every weight, moving statistic, optimizer variable and gradient norm."""
        x, y = images(3, 16, 8, 8, 3), np.arange(48).reshape(3, 16) % 4

        def trained(fused: bool) -> tuple[list[float], list[np.ndarray], list[float]]:
            model: Any = network()
            optimizer = optimizers.make(RECIPES[recipe])
            model.compile(optimizer, "sparse_categorical_crossentropy", jit_compile=False)
            optimizer.build(model.trainable_variables)
            before = [weight.numpy().copy() for weight in model.variables]
            if fused:
                with fused_kernels.in_use(model, optimizer):
                    losses = [float(model.train_on_batch(*step)) for step in zip(x, y)]
            else:
                losses = [float(model.train_on_batch(*step)) for step in zip(x, y)]
            moved = [w.numpy() - old for w, old in zip(model.variables, before)]
            norms = [optimizer.gradient_norm(v) for v in model.trainable_variables]
            return losses, [*moved, *(v.numpy() for v in optimizer.variables)], norms

        plain, fused = trained(fused=False), trained(fused=True)
        np.testing.assert_allclose(fused[0], plain[0], rtol=1e-5)
        np.testing.assert_allclose(fused[2], plain[2], rtol=1e-3, atol=1e-6)
        for found, expected in zip(fused[1], plain[1], strict=True):
            largest = float(np.abs(expected).max())
            np.testing.assert_allclose(found, expected, atol=1e-4 * largest + 1e-7)

    def test_moving_variance_is_that_of_the_batch(self):
        """Values 0 and 2: variance 1 (the kernel's own estimate of the population's is 2)."""
        norm: Any = keras.layers.BatchNormalization(momentum=0.0)
        model: Any = keras.Sequential([keras.Input((1, 1, 1)), norm])
        optimizer = optimizers.make(RECIPES["sgd"])
        with fused_kernels.in_use(model, optimizer):
            out = model(np.array([0, 2], np.float32).reshape(2, 1, 1, 1), training=True)
        assert (norm.moving_mean.numpy(), norm.moving_variance.numpy()) == (1.0, 1.0)
        expected = np.array([-1, 1]) / np.sqrt(1.001)
        np.testing.assert_allclose(np.ravel(out), expected, rtol=1e-6)

    def test_kernels_are_in_use_and_only_inside_the_block(self):
        model: Any = network()
        optimizer = optimizers.make(RECIPES["rmsprop"])

        def operations() -> list[str]:
            traced = tf.function(lambda x: model(x, training=True))
            graph: Any = traced.get_concrete_function(tf.TensorSpec((2, 8, 8, 3))).graph
            return [operation.type for operation in graph.get_operations()]

        before = operations()
        with fused_kernels.in_use(model, optimizer):
            inside = operations()
        assert (before.count("FusedBatchNormV3"), inside.count("FusedBatchNormV3")) == (0, 3)
        assert (before.count("Conv2D"), inside.count("Conv2D")) == (3, 2)  # the strided one stays
        assert operations() == before
        replaced = {"call", "convolution_op", "update_step", "sum_of_squares"}
        assert not any(replaced & set(vars(owner)) for owner in (*model.layers, optimizer))

    def test_frozen_batch_norms_stay_frozen(self):
        model: Any = network()
        norm = model.get_layer("conv_1_bn")
        norm.trainable = False
        before = norm.moving_mean.numpy().copy()
        with fused_kernels.in_use(model, optimizers.make(RECIPES["sgd"])):
            model(images(4, 8, 8, 3), training=True)
        np.testing.assert_array_equal(norm.moving_mean.numpy(), before)

    def test_saved_network_is_plain_keras(self, tmp_path: Path):
        model: Any = network()
        with fused_kernels.in_use(model, optimizers.make(RECIPES["sgd"])):
            model.save(tmp_path / "net.keras")
        loaded: Any = keras.saving.load_model(tmp_path / "net.keras")
        x = images(4, 8, 8, 3)
        np.testing.assert_array_equal(np.asarray(loaded(x)), np.asarray(model(x)))
        assert {type(layer).__module__.split(".")[0] for layer in loaded.layers} == {"keras"}
