"""What the layer analysis costs over its floor, measured side by side in one run.

    python -m benchmarks.layer_analysis --model=mobilenet.keras --data=images.npz

The floor is one fp32 forward pass that returns all layer outputs and one pass of a two-threaded
interpreter that reads every tensor, neither copied. The analysis is everything that
`streaming.Comparison` does with the same images: both passes, and all statistics of all layers and
channels. Rounds alternate; the table gives medians in milliseconds an image, and the median over
rounds of analysis / floor. Without --model, MobileNet-V1 with random weights on random images.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from absl import app, flags

from tfqdyn.console import quiet_tensorflow

_MODEL = flags.DEFINE_string("model", None, "A .keras file; by default MobileNet-V1, untrained.")
_DATA = flags.DEFINE_string("data", None, "An .npz file; by default random images.")
_BATCH = flags.DEFINE_integer("batch", 8, "Images in a chunk.")
_IMAGES = flags.DEFINE_integer("images", 64, "Images in a round.")
_ROUNDS = flags.DEFINE_integer("rounds", 9, "Rounds of each.")
_THREADS = flags.DEFINE_integer("threads", 2, "Threads.")


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"no arguments but flags, received {argv[1:]}")
    quiet_tensorflow()
    parts = prepared()
    for work in parts.values():
        work()
    times: dict[str, list[float]] = {name: [] for name in parts}
    for _round in range(_ROUNDS.value):
        for name, work in parts.items():
            times[name].append(_seconds(work) * 1e3 / _IMAGES.value)
    show(times)


def prepared() -> dict[str, Callable[[], object]]:
    """What is timed, by name: both passes of the floor, and the analysis of the same images."""
    import keras

    from tfqdyn import datasets
    from tfqdyn.config import AnalysisConfig
    from tfqdyn.measurement.capture import KerasActivations
    from tfqdyn.measurement.layerstats import HistogramConfig
    from tfqdyn.measurement.measured import Trial
    from tfqdyn.measurement.reference import Reference
    from tfqdyn.measurement.streaming import Comparison, Workers
    from tfqdyn.measurement.tasks import plan_of
    from tfqdyn.network import modelfile
    from tfqdyn.network.folding import fold_batchnorm
    from tfqdyn.network.lowering import lower
    from tfqdyn.numerics.calibrators import Calibrator
    from tfqdyn.quantization.calibration import calibrate
    from tfqdyn.quantization.conversion import to_tflite

    untrained: Any = keras.applications.MobileNet
    model = modelfile.load(_MODEL.value) if _MODEL.value else untrained(weights=None)
    count, batch = _IMAGES.value, _BATCH.value
    if _DATA.value:
        images = datasets.load(_DATA.value).x_test[np.arange(count)]
    else:
        images = np.random.default_rng(0).integers(0, 256, (count, *model.input_shape[1:]))
    chunks = list(datasets.chunks(images, np.arange(count), batch, "tf"))
    folded = fold_batchnorm(lower(model))
    graph, rows = folded.graph, folded.graph.rows
    plan = plan_of(graph, datasets.Dataset("benchmark", images), AnalysisConfig())
    names = [graph.nodes[0].name, *(row.name for row in rows)]
    seen = [graph.nodes[0].name, *(row.output for row in rows)]
    run = KerasActivations(graph, list(dict.fromkeys([*seen, *graph.outputs])))
    workers = Workers(ThreadPoolExecutor(_THREADS.value), _THREADS.value)
    sites = calibrate(
        lambda x: run(x)[: len(seen)], chunks[:4], 4 * batch, Calibrator(), 128,
        workers.executor, names,
    )  # fmt: skip
    ranges = {n: (s.low, s.high) for n, s in zip(names, sites, strict=True)}
    trial = Trial(folded, sites[1:], to_tflite(graph, ranges))

    def fp32_pass() -> None:
        for chunk, _, _ in chunks:
            run(chunk)

    comparison = Comparison(
        Reference(folded, rows, plan, run), [trial], plan, workers, HistogramConfig()
    )

    return {
        "fp32 pass": fp32_pass,
        "interpreter pass": interpreter_pass(trial.deployed, chunks[0][0].shape, len(chunks)),
        "analysis": lambda: comparison.over(chunks),
    }


def interpreter_pass(deployed: Any, shape: Sequence[int], chunks: int) -> Callable[[], None]:
    """Runs a file as often as there are chunks, and looks at every paired tensor each time."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=deployed.content,
        num_threads=_THREADS.value,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], shape)
    interpreter.allocate_tensors()

    def run() -> None:
        for _chunk in range(chunks):
            interpreter.invoke()
            views = [interpreter.tensor(pair.tensor)() for pair in deployed.pairs]
            del views

    return run


def show(times: Mapping[str, Sequence[float]]) -> None:
    """Prints medians in milliseconds an image, and the analysis over its floor."""
    floor = [a + b for a, b in zip(times["fp32 pass"], times["interpreter pass"], strict=True)]
    ratios = [a / f for a, f in zip(times["analysis"], floor, strict=True)]
    print("| what | ms an image |\n|---|---|")
    for name in ("fp32 pass", "interpreter pass"):
        print(f"| {name} | {statistics.median(times[name]):.2f} |")
    print(f"| floor, their sum | {statistics.median(floor):.2f} |")
    print(f"| analysis | {statistics.median(times['analysis']):.2f} |")
    print(f"| analysis / floor | {statistics.median(ratios):.2f} |")
    print(f"(batch {_BATCH.value}, {_IMAGES.value} images, {_ROUNDS.value} rounds, "
          f"{_THREADS.value} threads; ratios {min(ratios):.2f} to {max(ratios):.2f})")  # fmt: skip


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    app.run(main)
