"""tfqdyn: what 8-bit inference does to a trained Keras network, layer by layer.

    tfqdyn analyze --model=net.keras --data=images.npz --preprocessing=tf --out=DIR

writes DIR/report.html (open it in a browser), DIR/results.json, DIR/layers.csv, DIR/layers.png and
every trial's .tflite file, and prints the summary and the worst layers.

    tfqdyn analyze --model=net.keras --tflite=FILE --data=... --out=DIR

does the same for a .tflite file that some other tool made of the model.

    tfqdyn schemes --model=... --data=... --out=DIR

converts the model in every scheme of --schemes and prints accuracy, size and latency of each.

    tfqdyn remedy --model=... --data=... --remedies=zero_variance,bias_correction|auto --out=DIR

cures without retraining, every step measured in a folder of its own (DIR/0_none, ...), and writes
DIR/report.html over all steps, DIR/cured.keras and DIR/cured.tflite.

    tfqdyn compare RUN_DIR... --out=DIR

draws finished runs, of one network or of several, over one another in DIR/report.html, and writes
and prints how they differ from the first.

    tfqdyn qat --model=... --data=... --epochs=3 --scheme=uint8|int8 --out=DIR

fine-tunes with rounding in the loop; the network before and after in DIR/0_ptq and DIR/1_qat.
`--scheme=simulated --weight_bits=4 --activation_bits=8` analyzes other bit widths, without a file.
`tfqdyn --help` lists the flags.
"""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import app, flags

from tfqdyn.console import failure, print_tables, progress_bar, quiet_tensorflow
from tfqdyn.files.wholefiles import claimed

if TYPE_CHECKING:
    from tfqdyn.config import AnalysisConfig
    from tfqdyn.datasets import Dataset

_MODEL = flags.DEFINE_string("model", None, "The trained model: a .keras or .h5 file.")
_DATA = flags.DEFINE_string(
    "data", None, "An .npz file, a folder of class subfolders, 'cifar10' or 'digits'."
)
_OUT = flags.DEFINE_string("out", None, "The folder for the results.")
_PREPROCESSING = flags.DEFINE_string(
    "preprocessing", "none", "What the network expects: none, unit, tf, caffe or torch."
)
_SCHEME = flags.DEFINE_string(
    "scheme",
    "uint8",
    "What to convert to: uint8, int8, int8_per_tensor, int16x8, dynamic, float16 or float32; or "
    "simulated or graph_transform_tool, without a file; for qat: uint8 or int8.",
)
_TFLITE = flags.DEFINE_string("tflite", None, "A .tflite file of the model, made by any tool.")
_SCHEMES = flags.DEFINE_list("schemes", [], "What the command `schemes` converts to; default all.")
_RUNS = flags.DEFINE_integer("runs", 20, "Runs that a latency is the median of.")
_CALIBRATOR = flags.DEFINE_string(
    "calibrator", "percentile_of_runs", "minmax, percentile, percentile_of_runs or mse."
)
_PERCENTILE = flags.DEFINE_float(
    "percentile", None, "What the percentile calibrators cut at each end, in percent."
)
_CALIBRATION_SIZE = flags.DEFINE_integer("calibration_size", 64, "Images in a calibration draw.")
_TRIALS = flags.DEFINE_integer("trials", 5, "How many calibration draws.")
_MAX_IMAGES = flags.DEFINE_integer("max_images", None, "Score at most this many test images.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 50, "Most images in one forward pass.")
_THREADS = flags.DEFINE_integer("threads", 2, "Threads.")
_SEED = flags.DEFINE_integer("seed", 0, "Seeds the draws of images.")
_BINS = flags.DEFINE_integer("bins", 128, "Bins of the layers' histograms.")
_EPSILON = flags.DEFINE_float("epsilon", 1e-9, "What each bin's probability gains.")
_OWN_ERROR = flags.DEFINE_bool(
    "own_error", False, "Measure each layer's own error and its sources too."
)
_REMEDIES = flags.DEFINE_list(
    "remedies", ["auto"], "Remedies in the order of application, or 'auto' to follow the diagnosis."
)
_WEIGHT_BITS = flags.DEFINE_integer("weight_bits", 8, "Simulated: bits of kernels, 2 to 16.")
_ACTIVATION_BITS = flags.DEFINE_integer(
    "activation_bits", 8, "Simulated: bits of layer outputs, 2 to 16."
)
_PER_CHANNEL = flags.DEFINE_list(
    "per_channel", [], "Simulated: what has a grid for every channel: weights, activations."
)
_MIXED_BITS = flags.DEFINE_integer(
    "mixed_bits", 0, "Simulated: bits that a depthwise layer gains, group convolutions in part."
)
_WITHOUT = flags.DEFINE_list(
    "without", [], "graph_transform_tool: which of its deviations from TFLite to leave out."
)
_EPOCHS = flags.DEFINE_integer("epochs", 3, "qat: passes over the training images.")
_TRAIN_BATCH = flags.DEFINE_integer("train_batch", 64, "qat: images in a training step.")
_LEARNING_RATE = flags.DEFINE_float("learning_rate", 1e-3, "qat: Adam's in the first step.")
_LAYER_LOSS = flags.DEFINE_float("layer_loss", 0.0, "qat: weight of the layerwise QMSE.")
_TRAIN_IMAGES = flags.DEFINE_integer("train_images", None, "qat: train on this many at most.")
_FLOAT_LAYERS = flags.DEFINE_list("float_layers", [], "Layers that stay in fp32.")


def _config(scheme: str) -> "AnalysisConfig":
    from tfqdyn.config import AnalysisConfig

    return AnalysisConfig(
        preprocessing=_PREPROCESSING.value,
        scheme=scheme,
        calibrator=_CALIBRATOR.value,
        percentile=_PERCENTILE.value,
        calibration_size=_CALIBRATION_SIZE.value,
        trials=_TRIALS.value,
        max_images=_MAX_IMAGES.value,
        batch_size=_BATCH_SIZE.value,
        threads=_THREADS.value,
        seed=_SEED.value,
        bins=_BINS.value,
        epsilon=_EPSILON.value,
        float_layers=tuple(_FLOAT_LAYERS.value),
        own_error=_OWN_ERROR.value,
        weight_bits=_WEIGHT_BITS.value,
        activation_bits=_ACTIVATION_BITS.value,
        per_channel=tuple(_PER_CHANNEL.value),
        mixed_bits=_MIXED_BITS.value,
        without=tuple(_WITHOUT.value),
    )


def _inputs(scheme: str | None = None) -> tuple[Any, "Dataset", "AnalysisConfig", Path]:
    """Model, data, configuration and folder for the results; TensorFlow is loaded after this."""
    for flag in (_MODEL, _DATA):
        if not flag.value:
            raise ValueError(f"--{flag.name} is missing")
    _start_tensorflow()
    from tfqdyn import datasets
    from tfqdyn.network import modelfile

    config = _config(scheme or _SCHEME.value)
    model = modelfile.load(_MODEL.value)
    shape = getattr(model, "input_shape", None)  # models that are not built have none
    size = shape[1:3] if isinstance(shape, tuple) and len(shape) == 4 else None
    size = None if size is None or None in size else size
    return model, datasets.load(_DATA.value, size), config, Path(_OUT.value)


def _analyze(_: Sequence[str]) -> None:
    """The command `analyze`."""
    model, dataset, config, out = _inputs()
    from tfqdyn import pipeline, report, results
    from tfqdyn.show import figures, tables
    from tfqdyn.tflite.file import read

    if _TFLITE.value:
        content = read(Path(_TFLITE.value))
        result = pipeline.analyze_file(model, content, dataset, config, progress_bar)
    else:
        result = pipeline.analyze(model, dataset, config, progress_bar)
    results.write(result, out)
    figures.save(figures.overview({"": result.layers}), out / "layers.png")
    report.write_report([result], out / "report.html")
    print_tables([tables.summary_table([result]), tables.worst_table(result)], result.notes)


def _schemes(_: Sequence[str]) -> None:
    """The command `schemes`."""
    model, dataset, config, out = _inputs()
    from tfqdyn import report
    from tfqdyn.commands import schemetable
    from tfqdyn.schemes import SCHEMES

    table = schemetable.compare_schemes(
        model, dataset, config, _SCHEMES.value or list(SCHEMES), _RUNS.value, out, progress_bar
    )
    report.write_report(table.results, out / "report.html")
    print_tables([schemetable.render(table)], table.results[0].notes)


def _remedy(_: Sequence[str]) -> None:
    """The command `remedy`."""
    model, dataset, config, out = _inputs()
    from tfqdyn import remedies
    from tfqdyn.remedies import report
    from tfqdyn.show import tables

    done = remedies.remedy(model, dataset, _REMEDIES.value, config, out, progress_bar)
    stages = [report.named(stage) for stage in done.stages]
    shown = [report.findings_table(done), tables.summary_table(stages)]
    if done.choices:
        shown.append(report.attempts_table(done.choices))
    print_tables(shown, list(dict.fromkeys(note for stage in stages for note in stage.notes)))


def _qat(_: Sequence[str]) -> None:
    """The command `qat`."""
    model, dataset, config, out = _inputs(scheme="uint8")
    from tfqdyn import qat
    from tfqdyn.show import tables

    schedule = qat.Schedule(
        _EPOCHS.value,
        _TRAIN_BATCH.value,
        _LEARNING_RATE.value,
        _LAYER_LOSS.value,
        _TRAIN_IMAGES.value,
        config.seed,
    )
    done = qat.qat(model, dataset, schedule, _SCHEME.value, config, out, progress_bar)
    stages = list(qat.named(done).values())
    notes = (f"Wrote {out / 'trained.tflite'}, {len(done.tflite):,} bytes.",)
    shown = [qat.history_table(done), tables.summary_table(stages)]
    print_tables(shown, (*stages[-1].notes, *notes))


def _compare(folders: Sequence[str]) -> None:
    """The command `compare`."""
    from tfqdyn.commands import compare

    runs = compare.compare([Path(folder) for folder in folders], Path(_OUT.value))
    print_tables(compare.tables_of(runs))


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "analyze": _analyze,
    "remedy": _remedy,
    "compare": _compare,
    "schemes": _schemes,
    "qat": _qat,
}
"""Every command; only `compare` takes arguments that are no flags."""


def _start_tensorflow() -> None:
    """Keras on TensorFlow, with as many threads as asked for; quiet unless --verbosity=1."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(_THREADS.value))
    if flags.FLAGS.verbosity < 1:
        quiet_tensorflow()


def run(argv: list[str]) -> None:
    """Runs one command; known errors become one message and exit status 1."""
    command, given = (argv[1], argv[2:]) if len(argv) > 1 else ("", [])
    if command not in COMMANDS or (given and command != "compare"):
        received = " ".join(argv[1:]) or "nothing"
        failure(f"expected one command of {sorted(COMMANDS)}, received {received}")
        sys.exit(2)
    try:
        if not _OUT.value:
            raise ValueError("--out is missing")
        with claimed(Path(_OUT.value)):
            COMMANDS[command](given)
    except (ValueError, OSError, RuntimeError) as error:
        if flags.FLAGS.verbosity >= 1:
            raise
        failure(str(error))
        sys.exit(1)


def main() -> None:
    """Entry of the console script; `--help` shows this module's manual and its flags."""
    sys.modules["__main__"].__doc__ = __doc__
    for flag in flags.FLAGS.get_key_flags_for_module(__name__):
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    app.run(_run_and_leave)


def _run_and_leave(argv: list[str]) -> None:
    """`run`, then out at once: Python takes a second to dismantle TensorFlow, for nothing."""
    run(argv)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
