"""`tfqdyn sensitivity`."""

from tfqdyn.cli import inputs
from tfqdyn.cli.command import Command, Given, Outcome
from tfqdyn.console import progress_bar


def run(given: Given) -> Outcome:
    """Measures what each layer costs."""
    model, dataset, config = inputs.read(given)
    from tfqdyn.remedies import sensitivity

    done = sensitivity.sensitivity(model, dataset, config, given.out, progress_bar)
    names = ("sensitivity.csv", "sensitivity.json", "sensitivity.png")
    notes = (sensitivity.next_step(done),)
    return Outcome(tuple(sensitivity.shown(done)), notes, names, done.result.warnings)


COMMAND = Command(
    "sensitivity",
    "what each layer costs, and which ones to leave in fp32",
    """
Quantizes all layers but one, and one layer alone, for every layer, and prints what that changes
in accuracy and in the outputs, with the layers that are worth --float_layers. Writes
sensitivity.csv, sensitivity.json and sensitivity.png.
""",
    "tfqdyn sensitivity --model=net.keras --data=images.npz --preprocessing=tf --out=runs/cost",
    inputs.ANALYSIS,
    run,
    resumes=True,
)
