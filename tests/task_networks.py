"""Tiny networks of several inputs, several outputs, and other tasks than classification."""

import keras
import numpy as np
from conftest import randomize

from tfqdyn.datasets import Dataset, Inputs

k = keras.layers


def detector() -> keras.Model:
    """Boxes [16, 4] and scores [16, 3] of one trunk; the boxes' head is read nowhere else."""
    keras.utils.set_random_seed(1)
    x = image = keras.Input((8, 8, 3), name="image")
    x = k.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="stem")(x)
    x = k.BatchNormalization(name="stem_bn")(x)
    x = k.ReLU(6.0, name="stem_relu")(x)
    x = k.DepthwiseConv2D(3, padding="same", activation="relu", name="dw")(x)
    boxes = k.Reshape((16, 4), name="boxes")(k.Conv2D(4, 1, name="box_head")(x))
    scores = k.Reshape((16, 3), name="flat")(k.Conv2D(3, 1, name="class_head")(x))
    scores = k.Softmax(name="scores")(scores)
    return randomize(keras.Model(image, [boxes, scores], name="detector"))


def siamese() -> keras.Model:
    """Two images of one shape, not exchangeable, and a vector; one score per class out."""
    keras.utils.set_random_seed(2)
    left, right = (keras.Input((8, 8, 1), name=name) for name in ("left", "right"))
    meta = keras.Input((3,), name="meta")
    a = k.GlobalAveragePooling2D(name="gap_a")(k.Conv2D(4, 3, activation="relu", name="a")(left))
    b = k.GlobalAveragePooling2D(name="gap_b")(k.Conv2D(4, 3, activation="relu", name="b")(right))
    c = k.Dense(4, activation="relu", name="c")(meta)
    x = k.Concatenate(name="all")([a, b, c])
    x = k.Dense(4, activation="softmax", name="answer")(x)
    return randomize(keras.Model([right, meta, left], x, name="siamese"))


def segmenter(classes: int = 3) -> keras.Model:
    """One of three classes for every pixel."""
    keras.utils.set_random_seed(3)
    x = image = keras.Input((8, 8, 3), name="image")
    x = k.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="down")(x)
    x = k.UpSampling2D(2, name="up")(x)
    x = k.Conv2D(classes, 1, name="head")(x)
    return randomize(keras.Model(image, k.Softmax(name="map")(x), name="segmenter"))


def landmarks() -> keras.Model:
    """Four real numbers per image."""
    keras.utils.set_random_seed(4)
    x = image = keras.Input((8, 8, 3), name="image")
    x = k.Conv2D(6, 3, activation="relu", name="conv")(x)
    x = k.GlobalAveragePooling2D(name="gap")(x)
    return randomize(keras.Model(image, k.Dense(4, name="points")(x), name="landmarks"))


def autoencoder() -> keras.Model:
    """An image out of an image, through a sigmoid."""
    keras.utils.set_random_seed(5)
    x = image = keras.Input((8, 8, 1), name="image")
    x = k.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="encode")(x)
    x = k.Conv2DTranspose(1, 3, strides=2, padding="same", name="decode")(x)
    return randomize(keras.Model(image, k.Activation("sigmoid", name="out")(x), name="autoencoder"))


def spotter() -> keras.Model:
    """A keyword spotter: a spectrogram [12, 10] without an axis of channels in, scores out."""
    keras.utils.set_random_seed(6)
    x = spectrogram = keras.Input((12, 10), name="spectrogram")
    x = k.Reshape((12, 10, 1), name="image")(x)
    x = k.Conv2D(4, (4, 3), strides=2, activation="relu", name="conv")(x)
    x = k.Flatten(name="flat")(x)
    x = k.Dense(5, activation="softmax", name="words")(x)
    return randomize(keras.Model(spectrogram, x, name="spotter"))


def listener() -> keras.Model:
    """A keyword spotter of 1-D convolutions: features [20, 6] in, scores out."""
    keras.utils.set_random_seed(7)
    x = features = keras.Input((20, 6), name="features")
    x = k.Conv1D(8, 3, padding="causal", use_bias=False, name="stem")(x)
    x = skip = k.ReLU(name="stem_relu")(k.BatchNormalization(name="stem_bn")(x))
    x = k.Conv1D(8, 3, dilation_rate=2, padding="same", activation="relu", name="dilated")(x)
    x = k.DepthwiseConv1D(3, padding="same", use_bias=False, name="dw")(x)
    x = k.BatchNormalization(name="dw_bn")(x)
    x = k.MaxPooling1D(2, name="pool")(k.ReLU(name="relu")(k.Add(name="add")([x, skip])))
    x = k.SeparableConv1D(8, 3, strides=2, activation="relu", name="sep")(x)
    x = k.GlobalAveragePooling1D(name="gap")(x)
    x = k.Dense(5, activation="softmax", name="words")(x)
    return randomize(keras.Model(features, x, name="listener"))


def transformer(norms: bool = True) -> keras.Model:
    """One block on four patches of an image: attention and a GELU, normalized or not."""
    keras.utils.set_random_seed(8)
    x = image = keras.Input((4, 4, 3), name="image")
    x = skip = k.Dense(8, name="embed")(k.Reshape((4, 12), name="patches")(x))
    x = k.LayerNormalization(epsilon=1e-6, name="norm")(x) if norms else x
    x = skip = k.Add(name="add")([skip, k.MultiHeadAttention(2, 4, name="mha")(x, x)])
    x = k.LayerNormalization(epsilon=1e-6, name="norm_2")(x) if norms else x
    x = k.Dense(8, name="narrow")(k.Dense(16, activation="gelu", name="wide")(x))
    x = k.GlobalAveragePooling1D(name="gap")(k.Add(name="add_2")([skip, x]))
    x = k.Dense(4, activation="softmax", name="head")(x)
    return randomize(keras.Model(image, x, name="transformer"))


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    """Random uint8 images."""
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def pairs(count: int = 12) -> Dataset:
    """Data of `siamese` in another order than the network's, with labels."""
    rng = np.random.default_rng(1)

    def split(n: int) -> Inputs:
        return Inputs({
            "left": rng.normal(size=(n, 8, 8, 1)).astype(np.float32),
            "meta": rng.normal(size=(n, 3)).astype(np.float32),
            "right": rng.normal(size=(n, 8, 8)).astype(np.float32),
        })  # fmt: skip

    return Dataset("pairs", split(count), rng.integers(0, 4, count), split(8))
