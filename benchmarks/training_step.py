"""What a training step costs, part by part: as Keras composes it, and as `training.train` runs it.

    python -m benchmarks.training_step --archs=dws_convnet,toynet,mobilenet_v1

CPU milliseconds a step, user and system, of all threads (the least of a few rounds: other work on
the machine only adds). Layers are timed one by one, each on random input of its own shape, and
added up by kind. `step` is one of `fit`, input and augmentation included. `the rest` is what its
parts do not explain: loss, metrics, the framework, less what TensorFlow fuses across layers, which
makes it negative where that is more. "Keras" has augmentation as Keras' layers in front of the
network; "ours" makes it on the input, and has the kernels of `training.fused_kernels`.
"""

import contextlib
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from absl import app, flags

from tfqdyn.console import quiet_tensorflow

_ARCHS = flags.DEFINE_list("archs", ["dws_convnet", "toynet", "mobilenet_v1"], "Which networks.")
_RECIPE = flags.DEFINE_string("recipe", "mobilenets", "Whose optimizer and augmentation.")
_WIDTH = flags.DEFINE_float("width", 0.5, "Multiplier of the channels.")
_BATCH = flags.DEFINE_integer("batch", 32, "Images in a step.")
_STEPS = flags.DEFINE_integer("steps", 30, "Steps in a round.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds.")
_THREADS = flags.DEFINE_integer("threads", 1, "Threads.")

FORMS = ("Keras", "ours")
IMAGE = (32, 32, 3)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"no arguments but flags, received {argv[1:]}")
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = str(_THREADS.value)
    quiet_tensorflow()
    for arch in _ARCHS.value:
        costs = {form: costs_of(arch, form) for form in FORMS}
        print(f"\n{arch}, width {_WIDTH.value}, batch {_BATCH.value}, CPU ms a step\n")
        print(f"| part | {' | '.join(FORMS)} |\n|---|---|---|")
        for part in dict.fromkeys(part for cost in costs.values() for part in cost):
            print(f"| {part} | {' | '.join(f'{costs[f].get(part, 0):.1f}' for f in FORMS)} |")
        speeds = (f"{1000 * _BATCH.value / costs[form]['step']:.0f}" for form in FORMS)
        print(f"| images a CPU second | {' | '.join(speeds)} |", flush=True)


def costs_of(arch: str, form: str) -> dict[str, float]:
    """CPU milliseconds a step, by part; the last part, `step`, is the whole."""
    import keras

    from models import BUILDERS
    from tfqdyn.training import RECIPES, fused_kernels, inputs, optimizers

    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    recipe, rng = RECIPES[_RECIPE.value], np.random.default_rng(0)
    network = BUILDERS[arch](IMAGE, 10, width=_WIDTH.value)
    count = _BATCH.value * _STEPS.value
    images = rng.integers(0, 256, (count, *IMAGE)).astype(np.uint8)
    labels = rng.integers(0, 10, count)

    def batches(**augmented: Any) -> inputs.Batches:
        return inputs.Batches(images, labels, _BATCH.value, "tf", seed=0, **augmented)

    optimizer = optimizers.make(recipe)
    plain = batches()
    own = batches(augmentation=recipe.augmentation)
    with contextlib.ExitStack() as stack:
        if form == "ours":
            stack.enter_context(fused_kernels.in_use(network, optimizer))
            model: Any = keras.Model(network.inputs, network.outputs)
            augmentation = cpu_ms(lambda: own[0]) - cpu_ms(lambda: plain[0])
        else:
            layers = keras_augmentation(recipe.augmentation)
            model = keras.Sequential([keras.Input(IMAGE), *layers, network])
            augmentation = sum(sum(layer_ms(layer, [IMAGE])) for layer in layers)
        model.compile(
            optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False
        )
        optimizer.build(model.trainable_variables)
        costs = {"input": cpu_ms(lambda: plain[0]), "augmentation": augmentation}
        for layer in network.layers[1:]:
            shapes = [x.shape[1:] for x in keras.tree.flatten(layer.input)]
            for direction, cost in zip(("forward", "backward"), layer_ms(layer, shapes)):
                part = f"{kind_of(layer)}, {direction}"
                costs[part] = costs.get(part, 0.0) + cost
        costs["optimizer, gradient norms"] = optimizer_ms(optimizer, model.trainable_variables)
        fed = own if form == "ours" else plain
        step = cpu_ms(lambda: model.fit(fed, verbose=0, shuffle=False), 1) / _STEPS.value
    return costs | {"the rest": step - sum(costs.values()), "step": step}


def keras_augmentation(augmentation: Any) -> list[Any]:
    from keras import layers

    zoom = (-augmentation.zoom, augmentation.zoom)
    return [
        layers.RandomRotation(augmentation.rotation / 360, fill_mode="nearest"),
        layers.RandomTranslation(augmentation.shift, augmentation.shift, fill_mode="nearest"),
        layers.RandomZoom(zoom, zoom, fill_mode="nearest"),
        layers.RandomFlip("horizontal"),
        layers.RandomFlip("vertical"),
    ]


def kind_of(layer: Any) -> str:
    from keras import layers

    if isinstance(layer, layers.DepthwiseConv2D):
        return "depthwise convolution"
    if isinstance(layer, layers.Conv2D):
        return "1x1 convolution" if layer.kernel_size == (1, 1) else "convolution"
    kinds = {layers.BatchNormalization: "batch norm", layers.ReLU: "ReLU", layers.Dense: "dense"}
    return next((name for kind, name in kinds.items() if isinstance(layer, kind)), "other layers")


def layer_ms(layer: Any, shapes: list[tuple[int, ...]]) -> tuple[float, float]:
    """CPU milliseconds of one layer's forward and backward pass in training."""
    import tensorflow as tf

    inputs = [tf.random.normal((_BATCH.value, *shape)) for shape in shapes]
    argument = inputs[0] if len(inputs) == 1 else inputs
    gradient: Any = tf.random.normal(layer(argument).shape)
    sources = [weight.value for weight in layer.trainable_weights]
    if shapes[0] != IMAGE:  # the first layer's input gets no gradient
        sources += inputs

    def forward() -> Any:
        return layer(argument, training=True)

    def both() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = forward()
        # The outputs too: no gradient of a convolution needs them, and TensorFlow would skip them.
        return outputs, tape.gradient(outputs, sources, gradient)

    start = cpu_ms(tf.function(lambda: inputs[0][0, 0]))
    once = cpu_ms(tf.function(forward)) - start
    return once, (cpu_ms(tf.function(both)) - start - once if sources else 0.0)


def optimizer_ms(optimizer: Any, variables: list[Any]) -> float:
    import tensorflow as tf

    gradients = [tf.random.normal(variable.shape) for variable in variables]
    return cpu_ms(tf.function(lambda: optimizer.apply(gradients, variables)))


def cpu_ms(run: Callable[[], Any], calls: int = 10) -> float:
    """CPU milliseconds of a call: the least mean of a few rounds, after one call to warm up."""
    run()
    found = []
    for _ in range(_ROUNDS.value):
        began = time.process_time()
        for _ in range(calls):
            run()
        found.append((time.process_time() - began) / calls)
    return 1000 * min(found)


if __name__ == "__main__":
    app.run(main)
