"""The command `qat`: the network before, quantization-aware training, the network after.

OUT/0_ptq/          what `analyze` writes of the network as it came
OUT/1_qat/          the same of the trained one, against the fp32 network as it came; uint8 with the
                    ranges that training learned, and with its own fp32 accuracy
OUT/report.html, OUT/layers.png     both over the layers
OUT/qat.json        schedule and history
OUT/trained.tflite, OUT/trained.keras     (the latter of uint8 alone)
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from tfqdyn import datasets, report, results
from tfqdyn.config import DEFAULTS, AnalysisConfig
from tfqdyn.console import Progress, silent
from tfqdyn.datasets import DataError, Dataset
from tfqdyn.files import wholefiles
from tfqdyn.files.steps import Steps
from tfqdyn.measurement import assembly, sanity
from tfqdyn.measurement.bench import Bench
from tfqdyn.measurement.outputs import logits_node, outputs_of
from tfqdyn.measurement.sampling import draw
from tfqdyn.measurement.tasks import classifier
from tfqdyn.network.folding import Folded, fold_batchnorm
from tfqdyn.network.graph import Graph
from tfqdyn.network.lowering import lower
from tfqdyn.network.rebuild import to_keras
from tfqdyn.pipeline import analyze, analyze_file, analyze_folded
from tfqdyn.qat import finetuning, twin
from tfqdyn.qat.finetuning import Epoch, Schedule
from tfqdyn.quantization.conversion import to_tflite_as_trained
from tfqdyn.results import RunResult, plain
from tfqdyn.show import figures
from tfqdyn.tflite.floatfile import FloatFile
from tfqdyn.training.inputs import Batches

SCHEMES = ("uint8", "int8")
BEFORE, AFTER = "0_ptq", "1_qat"
RESULTS = ("report.html", "layers.png", "qat.json", "trained.tflite", "trained.keras")
"""What a whole training comes to; the report comes last."""
NOTE = (
    "Weights trained with simulated rounding; activation ranges learned, not calibrated. Layers "
    "and outputs are held against the fp32 network before training."
)


@dataclass(frozen=True, eq=False)
class Trained:
    """What quantization-aware training came to.

    Attributes:
        history: one record per epoch.
        tflite: the converted file.
        before: analysis of the network as it came.
        after: analysis of the trained one.
        folded: the trained network (None for int8).
    """

    history: tuple[Epoch, ...]
    tflite: bytes
    before: RunResult
    after: RunResult
    folded: Folded | None = None


def qat(
    model: Any,
    dataset: Dataset,
    schedule: Schedule | None = None,
    scheme: str = "uint8",
    config: AnalysisConfig = DEFAULTS,
    out: Path | None = None,
    progress: Progress = silent,
) -> Trained:
    """Fine-tunes a trained Keras classifier with rounding in the loop, and analyzes it.

    Args:
        model: as for `pipeline.analyze`.
        dataset: as for `pipeline.analyze`, with labeled training images.
        schedule: of the fine-tuning.
        scheme: "uint8" (per tensor, asymmetric, batch norms folded first) or "int8" (tfmot's
            default scheme: per-channel kernels, batch norms in training).
        config: of the analyses, preprocessing included; the calibrator counts for uint8 alone.
        out: the folder to write to, if any, by this process alone; the trained file is there before
            it is analyzed. A killed training goes on from its last epoch (`steps`).
        progress: wraps long loops.

    Raises:
        ValueError: an unknown scheme; a .tflite file for a model; a layer loss, float layers or own
            errors with int8; or what `analyze` raises.
        PairingError: training with int8 moved weights so far that layers cannot be recognized.
        DataError: no training images.
        DivergedError: the loss became NaN or infinite.
    """
    schedule = schedule or Schedule()
    if scheme not in SCHEMES:
        raise ValueError(f"qat's scheme must be one of {list(SCHEMES)}, received {scheme!r}")
    if isinstance(model, FloatFile):
        raise ValueError(
            f"qat trains a Keras model, and {model.name!r} is a .tflite file: those are made for "
            "inference, without the batch norms that training needs. Give the Keras model, or use "
            "remedy, which cures the file without training"
        )
    if scheme == "int8" and schedule.layer_loss:
        raise ValueError(f"layer_loss needs --scheme=uint8, received {schedule.layer_loss}")
    if scheme == "int8" and (config.float_layers or config.own_error):
        raise ValueError(
            "float_layers and own_error need --scheme=uint8, received "
            f"{list(config.float_layers)} and {config.own_error} with int8"
        )
    original, dataset, config = assembly.checked(model, dataset, config)
    if (
        classifier(original, config.task) is None
        or len(original.inputs) * len(original.outputs) > 1
    ):
        raise ValueError(
            "qat trains classifiers of one input and one output, with labels; this network has "
            f"{len(original.inputs)} and {len(original.outputs)}, its task is {config.task}"
        )
    config, _ = sanity.settled(fold_batchnorm(original), dataset, config)
    batches = _batches(dataset, schedule, config)
    config = config.in_scheme(scheme)
    identity = {
        "command": f"qat {scheme}",
        "network": original.digest,
        "data": datasets.fingerprint(dataset),
        "schedule": asdict(schedule),
        "config": asdict(config),
        "versions": assembly.versions(),
    }
    steps = Steps(out, identity)
    if scheme == "int8":
        trained = _int8(model, dataset, batches, schedule, config, out, progress, steps)
    else:
        trained = _uint8(original, dataset, batches, schedule, config, out, progress, steps)
    if out is not None:
        _write(trained, schedule, scheme, out)
    steps.forget()
    return trained


def _batches(dataset: Dataset, schedule: Schedule, config: AnalysisConfig) -> Batches:
    images, labels = dataset.x_train, dataset.y_train
    if images is None or labels is None:
        raise DataError(f"training needs x_train and y_train, {dataset.name!r} has test data alone")
    if schedule.max_images is not None:
        chosen = draw(len(labels), schedule.max_images, schedule.seed, 0)
        images, labels = images[chosen], labels[chosen]
    return Batches(images, labels, schedule.batch_size, config.preprocessing, seed=schedule.seed)


def _int8(
    model: Any,
    dataset: Dataset,
    batches: Batches,
    schedule: Schedule,
    config: AnalysisConfig,
    out: Path | None,
    progress: Progress,
    steps: Steps,
) -> Trained:
    graph = lower(model)
    network = twin.int8_network(graph)
    from_logits = graph.output.op not in ("softmax", "sigmoid")
    before = _before(partial(analyze, model, dataset, config, progress), out, steps)
    history = finetuning.fine_tune(
        network, batches, schedule, from_logits, progress=progress, steps=steps
    )
    content = to_tflite_as_trained(network)
    if out is not None:
        wholefiles.write(out / "trained.tflite", content)
    after = steps.once(
        AFTER, RunResult, partial(analyze_file, model, content, dataset, config, progress)
    )
    after = replace(after, notes=(*after.notes, NOTE))
    return Trained(tuple(history), content, before, after)


def _uint8(
    original: Graph,
    dataset: Dataset,
    batches: Batches,
    schedule: Schedule,
    config: AnalysisConfig,
    out: Path | None,
    progress: Progress,
    steps: Steps,
) -> Trained:
    folded = fold_batchnorm(original)
    before = _before(partial(analyze_folded, folded, dataset, config, progress), out, steps)
    graph = folded.graph
    drawn: NDArray[np.int64] = draw(len(dataset.x_train), config.calibration_size, config.seed, 0)
    with Bench(graph, config) as bench:
        sites = bench.calibrate(dataset.x_train, drawn)
    ranges = {name: (site.low, site.high) for name, site in sites.items()}
    layers = [row.output for row in graph.rows] if schedule.layer_loss else []
    outputs = [logits_node(graph, outputs_of(graph)[0]), *layers]
    share = config.rule.percentile / 100 if config.rule.name == "percentile_of_runs" else 0.0
    network = twin.uint8_network(graph, ranges, outputs, share=share)
    exact = twin.twin(graph, layers) if layers else None
    history = finetuning.fine_tune(network.model, batches, schedule, True, exact, progress, steps)
    learned = network.trained_graph()
    trained = Folded(
        learned,
        folded.reference,
        {node.name: node.weights["kernel"] for node in learned if node.traits.numbered},
        {},
        folded.affine,
        ranges=network.learned_ranges(),
    )
    once = replace(config, trials=1)
    after = steps.once(AFTER, RunResult, partial(analyze_folded, trained, dataset, once, progress))
    after = replace(after, notes=(*after.notes, NOTE))
    return Trained(tuple(history), after.tflite[0], before, after, trained)


def _before(analysis: Callable[[], RunResult], out: Path | None, steps: Steps) -> RunResult:
    """The analysis of the network as it came, written as soon as it is done."""
    before = steps.once(BEFORE, RunResult, analysis)
    if out is not None:
        wholefiles.prepare(out, RESULTS)
        results.write(before, out / BEFORE)
    return before


def _write(trained: Trained, schedule: Schedule, scheme: str, out: Path) -> None:
    record = {"scheme": scheme, "schedule": schedule, "history": trained.history}
    wholefiles.write(out / "qat.json", json.dumps(plain(record), indent=1).encode())
    wholefiles.write(out / "trained.tflite", trained.tflite)
    results.write(trained.after, out / AFTER)
    shown = {name: result.layers for name, result in named(trained).items()}
    figures.save(figures.overview(shown), out / "layers.png")
    if trained.folded is not None:
        with wholefiles.replacing(out / "trained.keras") as temporary:
            to_keras(trained.folded.graph).save(temporary)
    report.write_report(named(trained), out / "report.html")


def named(trained: Trained) -> dict[str, RunResult]:
    """The analyses by the names of their folders, each called so."""
    stages = {BEFORE: trained.before, AFTER: trained.after}
    return {name: result.named(name) for name, result in stages.items()}


def history_table(trained: Trained) -> Table:
    """The epochs."""
    table = Table(title="quantization-aware training", title_justify="left")
    for title in ("epoch", "loss", "accuracy in training", "layers' QMSE / power"):
        table.add_column(title, justify="right")
    for epoch in trained.history:
        layers = "" if epoch.layers is None else f"{epoch.layers:.3g}"
        table.add_row(str(epoch.number), f"{epoch.loss:.4f}", f"{epoch.accuracy:.2%}", layers)
    return table
