"""`tfqdyn remedy`."""

from tfqdyn.cli import inputs
from tfqdyn.cli.command import Command, Given, Outcome
from tfqdyn.cli.flags import Flag
from tfqdyn.console import progress_bar


def run(given: Given) -> Outcome:
    """Cures a model, and measures every step."""
    model, dataset, config = inputs.read(given)
    from tfqdyn import remedies
    from tfqdyn.remedies import report
    from tfqdyn.show import tables

    done = remedies.remedy(model, dataset, given["remedies"], config, given.out, progress_bar)
    stages = [report.named(stage) for stage in done.stages]
    shown = [report.findings_table(done), tables.summary_table(stages)]
    if done.choices:
        shown.append(report.attempts_table(done.choices))
    choices = ("choices.json",) if done.choices else ()
    folders = tuple(f"{stage.name}/" for stage in done.stages)
    return Outcome(
        tuple(shown),
        tuple(dict.fromkeys(note for stage in stages for note in stage.notes)),
        ("report.html", "layers.png", "cured.keras", "cured.tflite", *choices, *folders),
        stages[0].warnings,
    )


COMMAND = Command(
    "remedy",
    "brings accuracy back without retraining, every step measured",
    """
Applies remedies to the network in the order of --remedies, or finds out from unlabeled images
which ones help (auto, the default). Nothing is retrained, and no image that calibrates is scored.

Writes what `analyze` writes for every step (0_none/, 1_zero_variance/, ...), report.html over all
steps, and the cured network as cured.keras and cured.tflite.
""",
    "tfqdyn remedy --model=net.keras --data=images.npz --preprocessing=tf --out=runs/cured",
    (
        *inputs.ANALYSIS,
        Flag("remedies", tuple, ("auto",), "Remedies in the order of application, or 'auto' to "
             "follow the diagnosis.", "Remedies"),
    ),
    run,
    resumes=True,
)  # fmt: skip
