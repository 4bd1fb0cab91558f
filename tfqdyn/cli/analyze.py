"""`tfqdyn analyze`."""

from dataclasses import replace
from pathlib import Path

from tfqdyn.cli import inputs
from tfqdyn.cli.command import Command, Given, Outcome
from tfqdyn.cli.flags import Flag
from tfqdyn.console import progress_bar, stage


def run(given: Given) -> Outcome:
    """Analyzes a model, or a .tflite file of it."""
    model, dataset, config = inputs.read(given)
    from tfqdyn import pipeline, report, results
    from tfqdyn.show import causes, figures, tables
    from tfqdyn.tflite.file import read

    if given["tflite"]:
        content = read(Path(given["tflite"]))
        result = pipeline.analyze_file(model, content, dataset, config, progress_bar)
    else:
        result = pipeline.analyze(model, dataset, config, progress_bar)
    paths = {name: str(given[name]) for name in ("model", "data", "out")}
    result = replace(result, paths=paths)
    stage("write the report")
    results.write(result, given.out)
    figures.save(figures.overview({"": result.layers}), given.out / "layers.png")
    report.write_report([result], given.out / "report.html")
    trials = tuple(f"trial_{trial}.tflite" for trial in range(len(result.tflite)))
    return Outcome(
        (
            tables.summary_table([result]),
            "\n".join(causes.lines(result)),
            tables.worst_table(result),
        ),
        result.notes,
        ("report.html", "results.json", "layers.csv", "layers.png", *trials),
        result.warnings,
    )


COMMAND = Command(
    "analyze",
    "what 8-bit inference does to a network, layer by layer",
    """
Converts the model to a true 8-bit .tflite file, runs it beside the fp32 network on the images,
and prints the summary and the layers to look at first.

Writes report.html (open it in a browser), results.json (every figure), layers.csv (one row per
layer), layers.png, and every trial's .tflite file. With --tflite it analyzes a file that some
other tool made of the model, instead of converting. --scheme=simulated with --weight_bits and
--activation_bits analyzes other bit widths, without a file.
""",
    "tfqdyn analyze --model=net.keras --data=images.npz --preprocessing=tf --out=runs/net",
    (
        *inputs.ANALYSIS,
        Flag("tflite", str, None, "A .tflite file of the model, made by any tool: it is analyzed "
             "as it is.", inputs.FILES, "FILE"),
    ),
    run,
)  # fmt: skip
