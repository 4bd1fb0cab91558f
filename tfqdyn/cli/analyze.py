"""`tfqdyn analyze`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tfqdyn.cli import inputs
from tfqdyn.cli.command import Command, Given, Outcome
from tfqdyn.cli.flags import Flag, UsageError
from tfqdyn.console import progress_bar, stage

if TYPE_CHECKING:
    from tfqdyn.results import RunResult


def run(given: Given) -> Outcome:
    """Analyzes a model, or a .tflite file of it."""
    of_files = given["tflite"] and Path(given["model"]).suffix == ".tflite"
    if of_files and given["executor"] != "local":
        raise UsageError("two .tflite files are compared in this process: leave --executor out")
    result = _files(given) if of_files else _model(given)
    from tfqdyn import report, results
    from tfqdyn.show import causes, figures, tables

    paths = {name: str(given[name]) for name in ("model", "data", "out")}
    if given["import"]:
        paths["import"] = ",".join(given["import"])
    result = replace(result, paths=paths)
    stage("write the report")
    results.write(result, given.out)
    figures.save(figures.overview({"": result.layers}), given.out / "layers.png")
    report.write_report([result], given.out / "report.html")
    trials = tuple(f"trial_{trial}.tflite" for trial in range(len(result.tflite)))
    shown = [tables.summary_table([result])]
    if not result.warnings:  # nothing is concluded from a network that guesses
        shown += ["\n".join(causes.lines(result)), tables.worst_table(result)]
    return Outcome(
        tuple(shown),
        result.notes,
        ("report.html", "results.json", "layers.csv", "layers.png", *trials),
        result.warnings,
    )


def _files(given: Given) -> "RunResult":
    """The analysis of a float .tflite file and a quantized one; TensorFlow is not loaded."""
    config = inputs.config_of(given)
    if given["import"]:
        raise UsageError("--import registers layers of a .keras or .h5 file; two .tflite files "
                         "need none")  # fmt: skip
    stage("read the files and the data")
    from tfqdyn import datasets, filepair
    from tfqdyn.tflite.file import read

    reference, quantized = (Path(given[name]) for name in ("model", "tflite"))
    content = read(reference)
    dataset = datasets.load(given["data"], filepair.image_size(content))
    result = filepair.analyze(content, read(quantized), dataset, config, progress_bar)
    return result.named(reference.stem)


def _model(given: Given) -> "RunResult":
    """The analysis of a model, converted here or by another tool."""
    executor = inputs.executor_of(given)
    model, dataset, config = inputs.read(given)
    from tfqdyn import pipeline
    from tfqdyn.tflite.file import read

    if not given["tflite"]:
        return pipeline.analyze(model, dataset, config, progress_bar, executor)
    content = read(Path(given["tflite"]))
    return pipeline.analyze_file(model, content, dataset, config, progress_bar, executor)


COMMAND = Command(
    "analyze",
    "what 8-bit inference does to a network, layer by layer",
    """
Converts the model to a true 8-bit .tflite file, runs it beside the fp32 network on the images,
and prints the summary and the layers to look at first.

Writes report.html (open it in a browser), results.json (every figure), layers.csv (one row per
layer), layers.png, and every trial's .tflite file. With --tflite it analyzes a file that some
other tool made of the model, instead of converting; then --model may also be the float .tflite
file that it was made from, whatever its operators are. --scheme=simulated with --weight_bits and
--activation_bits analyzes other bit widths, without a file.
""",
    "tfqdyn analyze --model=net.keras --data=images.npz --preprocessing=tf --out=runs/net",
    (
        *inputs.ANALYSIS,
        *inputs.WORKERS,
        Flag("tflite", str, None, "A .tflite file of the model, made by any tool: it is analyzed "
             "as it is.", inputs.FILES, "FILE"),
    ),
    run,
)  # fmt: skip
