"""By how much other kernels' uint8 codes differ from those of the kernels that the analysis uses.

    python -m benchmarks.kernel_codes
    python -m benchmarks.kernel_codes --model=mobilenet.keras --data=images.npz --preprocessing=tf

Every op reads the same codes in all of them (a network cut at every layer), so that differences are
the op's own. Compared with TFLite's built-in kernels without delegates are its reference kernels
and XNNPACK. Without --model, networks of keras.applications with random weights on random images.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from absl import app, flags
from numpy.typing import NDArray

from tfqdyn.console import quiet_tensorflow

FLAGS = flags.FLAGS
UNTRAINED = ("MobileNetV2", "MobileNetV3Small", "DenseNet121", "NASNetMobile")
OTHERS = {"reference": "BUILTIN_REF", "XNNPACK": "BUILTIN"}


def compared(
    model: object, images: NDArray, preprocessing: str
) -> Iterator[tuple[str, str, NDArray[np.int64]]]:
    """For every row and other kernel: (the op, the kernel, by how many codes each value differs).

    A row with a kernel and no fused activation is called linear.
    """
    from tfqdyn import datasets
    from tfqdyn.measurement.capture import CutTensors, KerasActivations
    from tfqdyn.network.folding import fold_batchnorm
    from tfqdyn.network.lowering import lower
    from tfqdyn.quantization.cutting import to_cut_tflite
    from tfqdyn.tflite import interpreter

    graph = fold_batchnorm(lower(model)).graph
    rows = graph.rows
    outputs = {graph.nodes[0].name: graph.nodes[0].name} | {r.name: r.output for r in rows}
    chunks = datasets.chunks(images, np.arange(len(images)), len(images), preprocessing)
    values = KerasActivations(graph, list(outputs.values()))(next(iter(chunks))[0])
    reference = dict(zip(outputs, values, strict=True))
    ranges = {name: (float(v.min()), float(v.max())) for name, v in reference.items()}
    cut = to_cut_tflite(graph, ranges)
    used, *others = (
        [codes.astype(np.int64) for codes in CutTensors(cut, len(images), resolver)(reference)]
        for resolver in (interpreter.RESOLVER, *OTHERS.values())
    )
    for name, found in zip(OTHERS, others, strict=True):
        for row, codes, own in zip(rows, found, used, strict=True):
            linear = row.has_kernel and row.output == row.name
            yield row.kind + (", linear" if linear else ""), name, abs(codes - own)


def _untrained(name: str) -> Any:
    """A network of keras.applications whose random batch norms keep values from vanishing.

    Ten classes: the reference softmax aborts where more than 256 are almost as likely as the best.
    """
    import keras

    model = getattr(keras.applications, name)(weights=None, input_shape=(96, 96, 3), classes=10)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            limits = {"gamma": (0.5, 1.5), "moving_variance": (0.5, 1.5)}
            for weight in layer.weights:
                weight.assign(rng.uniform(*limits.get(weight.name, (-0.2, 0.2)), weight.shape))
    return model


def define_flags() -> None:
    """Defines the command line; a function, so that importing this module defines nothing."""
    flags.DEFINE_string("model", None, "A .keras file; by default four untrained networks.")
    flags.DEFINE_string("data", None, "An .npz file; by default random images.")
    flags.DEFINE_string("preprocessing", "tf", "As in tfqdyn analyze.")
    flags.DEFINE_integer("images", 4, "Images.")


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"no arguments but flags, received {argv[1:]}")
    quiet_tensorflow()
    import keras
    from rich import print as show
    from rich.table import Table

    from tfqdyn import datasets
    from tfqdyn.network import modelfile
    from tfqdyn.tflite import interpreter

    keras.utils.set_random_seed(0)
    given = [modelfile.load(FLAGS.model)] if FLAGS.model else [_untrained(n) for n in UNTRAINED]
    differences: dict[tuple[str, str], list[NDArray[np.int64]]] = {}
    for model in given:
        if FLAGS.data:
            images = datasets.load(FLAGS.data).x_test[np.arange(FLAGS.images)]
        else:
            shape = (FLAGS.images, *model.input_shape[1:])
            images = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
        for op, kernels, found in compared(model, images, FLAGS.preprocessing):
            differences.setdefault((op, kernels), []).append(found.reshape(-1))
    table = Table(title=f"codes that differ from those of {interpreter.name()}")
    table.add_column("op")
    for name in OTHERS:
        table.add_column(f"{name}: share", justify="right")
        table.add_column("largest", justify="right")
    for op in sorted({op for op, _ in differences}):
        cells = []
        for name in OTHERS:
            found = np.concatenate(differences[op, name])
            cells += [f"{np.mean(found > 0):.2%}", str(found.max())]
        table.add_row(op, *cells)
    show(table)


if __name__ == "__main__":
    define_flags()
    app.run(main)
