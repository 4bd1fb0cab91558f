"""Training speed of FactorizeNet on this machine: our group convolution against Keras' `groups=`.

    python -m benchmarks.group_conv

The networks are clones of each other: a clone's group convolutions are Keras' own. The table gives
images a second of the fastest of a few training steps.
"""

import time
from typing import Any

import numpy as np
from absl import app, flags

from tfqdyn.console import quiet_tensorflow

_FACTORIZATIONS = flags.DEFINE_list("factorizations", ["f2", "f4", "f8", "f16"], "Which networks.")
_BATCH = flags.DEFINE_integer("batch", 64, "Images in a step.")
_STEPS = flags.DEFINE_integer("steps", 3, "Timed steps of ours; Keras' own takes one.")


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"no arguments but flags, received {argv[1:]}")
    quiet_tensorflow()
    import keras

    from models import BUILDERS

    rng = np.random.default_rng(0)
    images = rng.normal(size=(_BATCH.value, 32, 32, 3)).astype(np.float32)
    labels = rng.integers(0, 10, _BATCH.value)

    def images_per_second(model: keras.Model, steps: int) -> float:
        optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
        jit: Any = False
        model.compile(optimizer, "sparse_categorical_crossentropy", jit_compile=jit)
        model.train_on_batch(images, labels)
        times = []
        for _ in range(steps):
            start = time.perf_counter()
            model.train_on_batch(images, labels)
            times.append(time.perf_counter() - start)
        return len(images) / min(times)

    print("| factorization | ours, images/s | Keras, images/s | ratio |\n|---|---|---|---|")
    for name in _FACTORIZATIONS.value:
        network = BUILDERS["factorizenet"](factorization=name)
        own = keras.models.clone_model(network)
        ours, keras_own = images_per_second(network, _STEPS.value), images_per_second(own, 1)
        print(f"| {name} | {ours:.0f} | {keras_own:.1f} | {ours / keras_own:.0f} |", flush=True)


if __name__ == "__main__":
    app.run(main)
