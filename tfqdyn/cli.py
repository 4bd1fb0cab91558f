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

    tfqdyn sensitivity --model=... --data=... --out=DIR

measures what each layer costs, left in fp32 alone and quantized alone: DIR/sensitivity.csv, .json
and .png; with the layers that are worth it for --float_layers.

    tfqdyn compare RUN_DIR... --out=DIR

draws finished runs, of one network or of several, over one another in DIR/report.html, and writes
and prints how they differ from the first.

    tfqdyn qat --model=... --data=... --epochs=3 --scheme=uint8|int8 --out=DIR

fine-tunes with rounding in the loop; the network before and after in DIR/0_ptq and DIR/1_qat.
`--scheme=simulated --weight_bits=4 --activation_bits=8` analyzes other bit widths, without a file.
`tfqdyn --help` lists the flags.
"""

import dataclasses
import os
import sys
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import app, flags

from tfqdyn.config import HELP, AnalysisConfig
from tfqdyn.console import failure, print_tables, progress_bar, quiet_tensorflow
from tfqdyn.files.wholefiles import claimed

if TYPE_CHECKING:
    from tfqdyn.datasets import Dataset

_MODEL = flags.DEFINE_string("model", None, "The trained model: a .keras or .h5 file.")
_DATA = flags.DEFINE_string(
    "data", None, "An .npz file, a folder of class subfolders, 'cifar10' or 'digits'."
)
_OUT = flags.DEFINE_string("out", None, "The folder for the results.")
_TFLITE = flags.DEFINE_string("tflite", None, "A .tflite file of the model, made by any tool.")
_SCHEMES = flags.DEFINE_list("schemes", [], "What the command `schemes` converts to; default all.")
_RUNS = flags.DEFINE_integer("runs", 20, "Runs that a latency is the median of.")
_REMEDIES = flags.DEFINE_list(
    "remedies", ["auto"], "Remedies in the order of application, or 'auto' to follow the diagnosis."
)
_EPOCHS = flags.DEFINE_integer("epochs", 3, "qat: passes over the training images.")
_TRAIN_BATCH = flags.DEFINE_integer("train_batch", 64, "qat: images in a training step.")
_LEARNING_RATE = flags.DEFINE_float("learning_rate", 1e-3, "qat: Adam's in the first step.")
_LAYER_LOSS = flags.DEFINE_float("layer_loss", 0.0, "qat: weight of the layerwise QMSE.")
_TRAIN_IMAGES = flags.DEFINE_integer("train_images", None, "qat: train on this many at most.")
_DEFINE: dict[Any, Callable[..., Any]] = {
    str: flags.DEFINE_string,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    bool: flags.DEFINE_bool,
    tuple[str, ...]: flags.DEFINE_list,
}
"""How a flag of a type of `AnalysisConfig`'s fields is defined."""


def _define(setting: dataclasses.Field) -> flags.FlagHolder:
    """A flag for a field, with its default; an optional field's flag is of the type it may have."""
    kind = setting.type
    if isinstance(kind, types.UnionType):
        (kind,) = set(typing.get_args(kind)) - {types.NoneType}
    default = list(setting.default) if isinstance(setting.default, tuple) else setting.default
    return _DEFINE[kind](setting.name, default, setting.metadata[HELP])


_SETTINGS = {setting.name: _define(setting) for setting in dataclasses.fields(AnalysisConfig)}


def _config(scheme: str) -> AnalysisConfig:
    given = {name: flag.value for name, flag in _SETTINGS.items()}
    given = {n: tuple(v) if isinstance(v, list) else v for n, v in given.items()}
    return AnalysisConfig(**{**given, "scheme": scheme})


def _inputs(scheme: str | None = None) -> tuple[Any, "Dataset", AnalysisConfig, Path]:
    """Model, data, configuration and folder for the results; TensorFlow is loaded after this."""
    for flag in (_MODEL, _DATA):
        if not flag.value:
            raise ValueError(f"--{flag.name} is missing")
    _start_tensorflow()
    from tfqdyn import datasets
    from tfqdyn.network import modelfile

    config = _config(scheme or _SETTINGS["scheme"].value)
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


def _sensitivity(_: Sequence[str]) -> None:
    """The command `sensitivity`."""
    model, dataset, config, out = _inputs()
    from tfqdyn.remedies import sensitivity

    done = sensitivity.sensitivity(model, dataset, config, out, progress_bar)
    print_tables(sensitivity.shown(done), (sensitivity.next_step(done),))


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
    done = qat.qat(model, dataset, schedule, _SETTINGS["scheme"].value, config, out, progress_bar)
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
    "sensitivity": _sensitivity,
    "compare": _compare,
    "schemes": _schemes,
    "qat": _qat,
}
"""Every command; only `compare` takes arguments that are no flags."""


def _start_tensorflow() -> None:
    """Keras on TensorFlow, with as many threads as asked for; quiet unless --verbosity=1."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(_SETTINGS["threads"].value))
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
