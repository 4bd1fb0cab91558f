"""File against file: are all operators of other tools' files paired?

    python -m benchmarks.file_pairs --files=FOLDER [--networks=MobileNetV2,transformer]

converts ten networks of keras.applications (random weights and statistics, small images) and a
small transformer with TensorFlow's converter and ai-edge-quantizer: int8, 16-bit activations,
dynamic range, float16. Files that the folder has already are taken as they are. Each is held
against the float file on four random samples. Prints one line per file, as Markdown: steps of the
quantized file that compute, how many are paired and how many are named instead, rows, and the
output's SQNR.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn import filepair
from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import Dataset
from tfqdyn.filepair.flow import MOVERS
from tfqdyn.filepair.pairing import paired

SIZES = {
    "MobileNet": 32, "MobileNetV2": 32, "MobileNetV3Small": 32, "EfficientNetB0": 32,
    "EfficientNetV2B0": 32, "ResNet50V2": 32, "DenseNet121": 32, "InceptionV3": 75, "Xception": 71,
    "NASNetMobile": 32,
}  # fmt: skip
"""Networks of keras.applications, with the height and width of their images."""
TRANSFORMER = "transformer"
FORMATS = ("int8", "int16x8", "dynamic", "float16")
TOOLS = ("tf", "aeq")
SAMPLES = 4
CONFIG = AnalysisConfig(calibration_size=SAMPLES)


def samples(name: str) -> NDArray:
    """Random images, or tokens for the transformer."""
    rng = np.random.default_rng(0)
    if name == TRANSFORMER:
        return rng.integers(0, 50, (SAMPLES, 16)).astype(np.int32)
    return rng.normal(0, 1, (SAMPLES, SIZES[name], SIZES[name], 3)).astype(np.float32)


def built(name: str) -> Any:
    """A network with ten classes, whose batch norms have seen something."""
    import keras

    keras.utils.set_random_seed(0)
    if name == TRANSFORMER:
        return _transformer()
    size = SIZES[name]
    model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=10)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if "gamma" in weight.path or "variance" in weight.path:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif "beta" in weight.path or "mean" in weight.path:
            weight.assign(rng.normal(0, 0.1, weight.shape))
    return model


def _transformer() -> Any:
    """Embedding, two blocks of attention and dense layers, mean, ten classes."""
    from keras import Input, Model, layers

    inputs = Input((16,), dtype="int32")
    x = layers.Embedding(50, 32)(inputs)
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(4, 8)(y, y)])
        y = layers.Dense(64, activation="gelu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dense(32)(y)])
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    return Model(inputs, layers.Dense(10, activation="softmax")(x))


def by_tensorflow(model: Any, x: NDArray, formats: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """The float file and the formats, by TensorFlow's converter."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, verbose=False)
        for kind in formats:
            converter = tf.lite.TFLiteConverter.from_saved_model(folder)
            if kind != "float":
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            if kind in ("int8", "int16x8"):
                converter.representative_dataset = lambda: ([sample[None]] for sample in x)
            if kind == "float16":
                converter.target_spec.supported_types = [tf.float16]
            if kind == "int16x8":
                ops = tf.lite.OpsSet
                converter.target_spec.supported_ops = [
                    ops.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
                    ops.TFLITE_BUILTINS,
                ]
            try:
                yield kind, converter.convert()
            except Exception as error:  # what the converter refuses it says in many ways
                print(f"<!-- TensorFlow refuses {kind}: {str(error)[:80]!r} -->", flush=True)


def by_quantizer(content: Path, x: NDArray, kind: str) -> bytes:
    """One format by ai-edge-quantizer."""
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import qtyping, quantizer, recipe

    tool = quantizer.Quantizer(str(content))
    if kind == "float16":
        halves = qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT)
        tool.update_quantization_recipe(
            regex=".*",
            operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
            op_config=qtyping.OpQuantizationConfig(
                weight_tensor_config=halves,
                compute_precision=qtyping.ComputePrecision.FLOAT,
                explicit_dequantize=True,
            ),
            algorithm_key="float_casting",
        )
    else:
        recipes: dict[str, Callable[[], Any]] = {
            "int8": recipe.static_wi8_ai8,
            "int16x8": recipe.static_wi8_ai16,
            "dynamic": recipe.dynamic_wi8_afp32,
        }
        tool.load_quantization_recipe(recipes[kind]())
    seen = None
    if tool.need_calibration:
        key, signature = next(iter(Interpreter(str(content)).get_signature_list().items()))
        fed = [{signature["inputs"][0]: sample[None]} for sample in x]
        seen = tool.calibrate({key: fed})
    made = tool.quantize(seen).quantized_model
    assert made is not None, "a quantizer gives a file"
    return bytes(made)


def convert(name: str, folder: Path) -> None:
    """Makes what the folder has not yet of a network's files."""
    x, reference = samples(name), folder / f"{name}.tf_float.tflite"
    kinds = ("float", *FORMATS)
    missing = tuple(k for k in kinds if not (folder / f"{name}.tf_{k}.tflite").exists())
    if missing:
        for kind, content in by_tensorflow(built(name), x, missing):
            (folder / f"{name}.tf_{kind}.tflite").write_bytes(content)
    for kind in FORMATS:
        path = folder / f"{name}.aeq_{kind}.tflite"
        if not path.exists():
            path.write_bytes(by_quantizer(reference, x, kind))


def line(name: str, reference: bytes, path: Path) -> str:
    """What pairing and analysis come to."""
    data, quantized = Dataset(name, samples(name)), path.read_bytes()
    result = filepair.analyze(reference, quantized, data, CONFIG)
    with ThreadPoolExecutor(2) as executor:
        pair, _ = paired(reference, quantized, data, CONFIG, executor)
    flow = pair.found.quantized
    steps = [s for s in flow.steps if s.kind not in MOVERS and any(map(flow.is_numeric, s.outputs))]
    left = {step.index for step in pair.found.left}
    ours = sum(step.index not in left for step in steps)
    tool, _, kind = path.name.removesuffix(".tflite").rpartition(".")[2].partition("_")
    decibels = ", ".join(f"{output.sqnr_db.mean:.1f}" for output in result.summary.outputs)
    cells = [name, tool, kind, len(steps), ours, len(steps) - ours, len(result.layers), decibels]
    return "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    """Converts, analyzes, prints; each network in a process of its own, for its memory's sake."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=Path, required=True)
    parser.add_argument("--networks", default=",".join([*SIZES, TRANSFORMER]))
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.files.mkdir(parents=True, exist_ok=True)
    names = given.networks.split(",")
    if not given.one:
        print("| network | tool | format | steps | paired | named | rows | output SQNR in dB |")
        print("|---|---|---|---|---|---|---|---|", flush=True)
        for name in names:
            words = [f"--files={given.files}", f"--networks={name}", "--one"]
            command = [sys.executable, "-m", "benchmarks.file_pairs", *words]
            quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
            subprocess.run(command, check=False, env=quiet, stderr=subprocess.DEVNULL)
        return
    (name,) = names
    convert(name, given.files)
    reference = (given.files / f"{name}.tf_float.tflite").read_bytes()
    for kind in FORMATS:
        for tool in TOOLS:
            path = given.files / f"{name}.{tool}_{kind}.tflite"
            if path.exists():
                print(line(name, reference, path), flush=True)


if __name__ == "__main__":
    main()
