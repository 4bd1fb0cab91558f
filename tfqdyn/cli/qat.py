"""`tfqdyn qat`."""

from tfqdyn.cli import inputs
from tfqdyn.cli.command import Command, Given, Outcome
from tfqdyn.cli.flags import Flag
from tfqdyn.console import progress_bar


def run(given: Given) -> Outcome:
    """Fine-tunes a model with rounding in the loop."""
    model, dataset, config = inputs.read(given, scheme="uint8")
    from tfqdyn import qat
    from tfqdyn.show import tables

    schedule = qat.Schedule(
        given["epochs"],
        given["train_batch"],
        given["learning_rate"],
        given["layer_loss"],
        given["train_images"],
        config.seed,
    )
    done = qat.qat(model, dataset, schedule, given["scheme"], config, given.out, progress_bar)
    stages = qat.named(done)
    notes = (f"Wrote {given.out / 'trained.tflite'}, {len(done.tflite):,} bytes.",)
    last = list(stages.values())[-1]
    names = ("report.html", "layers.png", "qat.json", "trained.tflite", "trained.keras")
    return Outcome(
        (qat.history_table(done), tables.summary_table(list(stages.values()))),
        (*last.notes, *notes),
        tuple(name for name in names if (given.out / name).exists()),
        done.before.warnings,
    )


COMMAND = Command(
    "qat",
    "fine-tunes a network with rounding in the loop",
    """
Trains on with 8-bit rounding in the forward pass (--scheme=uint8 or int8), and analyzes the
network before (0_ptq/) and after (1_qat/). Writes trained.keras and trained.tflite.
""",
    "tfqdyn qat --model=net.keras --data=cifar10 --preprocessing=tf --epochs=3 --out=runs/qat",
    (
        *inputs.ANALYSIS,
        Flag("epochs", int, 3, "Passes over the training images.", "Training"),
        Flag("train_batch", int, 64, "Images in a training step.", "Training"),
        Flag("learning_rate", float, 1e-3, "Adam's, in the first step.", "Training"),
        Flag("layer_loss", float, 0.0, "Weight of the layerwise QMSE in the loss.", "Training"),
        Flag("train_images", int, None, "Train on at most this many images.", "Training"),
    ),
    run,
    resumes=True,
)
