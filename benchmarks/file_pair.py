"""File against file, MobileNet-V1: `tfqdyn analyze` beside ai-edge-quantizer's validator.

    python -m benchmarks.file_pair --model=mobilenet_v1.keras --data=images.npz --images=128

makes a float and an int8 .tflite file of the model (or takes --float and --int8). Then it measures
whole processes in turn: the analysis, report included, and the validator with its default metric
alone. Prints the least and the median of wall and processor time, and the peak memory.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

VALIDATOR = """
import sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import quantizer
from ai_edge_quantizer.utils.validation_utils import ValidationErrorMetric

reference, target, data = sys.argv[1:]
images = np.load(data)["x_test"].astype(np.float32) / 127.5 - 1
key, signature = next(iter(Interpreter(reference).get_signature_list().items()))
fed = {key: [{signature["inputs"][0]: image[None]} for image in images]}
pair = quantizer.Quantizer(reference, previous_quantized_model=target)
print(len(pair.validate(fed, [ValidationErrorMetric.MSE]).get_all_tensor_results()))
"""
CONVERTER = """
import sys
import keras
import numpy as np
import tensorflow as tf

model = keras.saving.load_model(sys.argv[1])
images = np.load(sys.argv[2])["x_test"][:16].astype(np.float32) / 127.5 - 1
model.export(sys.argv[3] + "/saved", verbose=False)
for name, optimized in (("float", False), ("int8", True)):
    converter = tf.lite.TFLiteConverter.from_saved_model(sys.argv[3] + "/saved")
    if optimized:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[None]] for image in images)
    open(f"{sys.argv[3]}/{name}.tflite", "wb").write(converter.convert())
"""


@dataclass(frozen=True)
class Cost:
    """What one process took: seconds of wall and processor time, and its peak memory in MB."""

    wall: float
    processor: float
    memory: float


def measured(command: Sequence[str]) -> Cost:
    """Runs a process and what it starts."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(command[:4])} ... failed with status {status}")
    return Cost(
        time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6
    )


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", help="MobileNet-V1 as a .keras file")
    parser.add_argument("--float", help="its float .tflite file, if there is one already")
    parser.add_argument("--int8", help="its int8 .tflite file")
    parser.add_argument("--data", required=True, help="an .npz file with x_test and y_test")
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, stored = Path(name), np.load(given.data)
        data = folder / "data.npz"
        np.savez(data, **{key: stored[key][: given.images] for key in ("x_test", "y_test")})
        files = [given.float, given.int8]
        if None in files:
            words = [sys.executable, "-c", CONVERTER, given.model, str(data), name]
            subprocess.run(words, check=True, capture_output=True)
            files = [str(folder / "float.tflite"), str(folder / "int8.tflite")]
        commands = {
            "tfqdyn analyze": [
                sys.executable, "-m", "tfqdyn", "analyze", f"--model={files[0]}",
                f"--tflite={files[1]}", f"--data={data}", "--preprocessing=tf",
                f"--out={folder / 'out'}",
            ],
            "validator": [sys.executable, "-c", VALIDATOR, *files, str(data)],
        }  # fmt: skip
        costs: dict[str, list[Cost]] = {what: [] for what in commands}
        for _ in range(given.rounds + 1):  # the first round compiles, and does not count
            for what, command in commands.items():
                costs[what].append(measured(command))
    print(f"{'':16}{'wall s: least':>16}{'median':>9}{'processor s: least':>21}{'median':>9}"
          f"{'peak MB':>10}")  # fmt: skip
    for what, (_, *rounds) in costs.items():
        walls, used = [c.wall for c in rounds], [c.processor for c in rounds]
        print(
            f"{what:16}{min(walls):16.1f}{statistics.median(walls):9.1f}{min(used):21.1f}"
            f"{statistics.median(used):9.1f}{max(c.memory for c in rounds):10.0f}"
        )


if __name__ == "__main__":
    main()
