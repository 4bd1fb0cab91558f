"""`tfqdyn demo`."""

from tfqdyn.cli import inputs
from tfqdyn.cli.command import Command, Given, Outcome
from tfqdyn.cli.flags import Flag
from tfqdyn.console import progress_bar

STORY = """
1. A small depthwise separable network, trained on digits, keeps its accuracy in uint8 (healthy).
   The same fp32 function with the fault of the published MobileNet-V1 collapses (planted).
   Three remedies cure it, without retraining (cured).
"""


def run(given: Given) -> Outcome:
    """Tells the story of MobileNet-V1 on a small network."""
    inputs.start_tensorflow(given)
    from tfqdyn import demo
    from tfqdyn.show import causes, tables

    story = demo.tell(
        given.out, given["epochs"], given["trials"], given["seed"], progress=progress_bar
    )
    planted, cured = story.planted.summary, story.cured.summary
    return Outcome(
        (
            STORY,
            tables.summary_table([story.healthy, story.planted, story.cured.named("cured")]),
            "\n2. Why the planted network collapses, as `tfqdyn analyze` says it:\n",
            "\n".join(causes.lines(story.planted)),
            f"\n3. `tfqdyn remedy --remedies={','.join(demo.REMEDIES)}`: from "
            f"{tables.percent(planted.quantized_accuracy)} to "
            f"{tables.percent(cured.quantized_accuracy)} (fp32 "
            f"{tables.percent(cured.fp32_accuracy)}).",
        ),
        (),
        ("report.html", "healthy.keras", "planted.keras", "healthy/", "cured/"),
    )


COMMAND = Command(
    "demo",
    "a small network that collapses in 8 bits, and what cures it; no data needed",
    """
Trains a small depthwise separable network on scikit-learn's digits and analyzes it, plants the
fault of the published MobileNet-V1 without changing what the network computes in fp32, shows why
it collapses in 8 bits, and cures it. Takes about a minute on two cores. Writes report.html over
the three networks, the networks themselves, and what `analyze` and `remedy` write of them.
""",
    "tfqdyn demo --out=runs/demo",
    (
        Flag("out", str, "runs/demo", "The folder for the results.", inputs.FILES, "DIR"),
        Flag("epochs", int, 10, "Passes over the 1,438 training images.", "Training"),
        Flag("trials", int, 3, "How many calibration draws.", "Analysis"),
        Flag("seed", int, 0, "Seeds training, planting and draws.", "Analysis"),
        Flag("threads", int, 2, "Threads to compute with.", "Analysis"),
    ),
    run,
)
