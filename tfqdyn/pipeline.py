"""The analysis: every stage in its order, nothing else.

lower -> fold -> calibrate -> deploy (convert and pair, or simulate) -> measure -> assemble
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.config import DEFAULTS, AnalysisConfig
from tfqdyn.console import Progress, if_watched, silent
from tfqdyn.datasets import Dataset
from tfqdyn.measurement import sampling, sanity
from tfqdyn.measurement.assembly import checked, data_of
from tfqdyn.measurement.bench import Bench, learned
from tfqdyn.measurement.measured import Trial
from tfqdyn.measurement.ownerror import OwnTrial
from tfqdyn.measurement.runs import Part, assemble
from tfqdyn.measurement.scoring import Executor, Scoring, score
from tfqdyn.measurement.tasks import plan_of, settled
from tfqdyn.network.folding import Folded, fold_batchnorm
from tfqdyn.quantization.conversion import adopt, check_layers
from tfqdyn.quantization.deployed import Deployed
from tfqdyn.quantization.deployment import deploy
from tfqdyn.results import RunResult


def analyze(
    model: Any,
    dataset: Any,
    config: AnalysisConfig = DEFAULTS,
    progress: Progress = if_watched,
    executor: Executor | None = None,
) -> RunResult:
    """What 8-bit inference does to a trained Keras network, layer by layer.

    Args:
        model: functional or sequential, Keras 3 or tf_keras, or what `tfqdyn.load` gives.
        dataset: a `Dataset`, (inputs, labels), or whatever else `datasets.given` takes, with
            labels or without; calibration draws from `x_train` where there is one.
        config: see `AnalysisConfig`.
        progress: wraps the long loops; by default a bar in a terminal or a notebook.
        executor: who scores the images: this process, or workers (`distributed.RayExecutor`).
            Every figure is the same.

    Raises:
        UnsupportedModelError, DataError, ValueError: before any slow work.
        ConversionError: TensorFlow's converter refused the model, or wrote what was not asked for.
    """
    dataset = data_of(dataset, model)
    graph, dataset, config = checked(model, dataset, config, config.rounding)
    folded = fold_batchnorm(graph)
    config, notes = sanity.settled(folded, dataset, config)
    result = analyze_folded(folded, dataset, config, progress, executor)
    return replace(result, notes=(*notes, *result.notes))


def analyze_folded(
    folded: Folded,
    dataset: Dataset,
    config: AnalysisConfig = DEFAULTS,
    progress: Progress = if_watched,
    executor: Executor | None = None,
) -> RunResult:
    """`analyze` for a network that is folded already, by `fold_batchnorm` or by a remedy."""
    config = settled(folded.graph, dataset, config).with_trials_that_differ
    draws = sampling.calibration_draws(dataset, config)
    scored = sampling.scored_images(dataset, config)
    networks = [folded] * config.trials
    part = measure_draws(networks, dataset, draws, scored, config, progress, executor=executor)
    result = assemble([part], dataset, config)
    return sanity.warned(result, folded, dataset, config)


def analyze_file(
    model: Any,
    content: bytes,
    dataset: Any,
    config: AnalysisConfig = DEFAULTS,
    progress: Progress = if_watched,
    executor: Executor | None = None,
) -> RunResult:
    """`analyze` for a .tflite file that somebody made of the model, with whatever tool.

    Calibration images only give the fp32 activations' ranges; `trials` and `scheme` play no role.

    Raises:
        ValueError: a simulation or own errors are asked for; both need a network of our making.
        TfliteFileError, PairingError: the file is damaged, or not this model's.
    """
    config = config.of_given_file
    dataset = data_of(dataset, model)
    graph, dataset, config = checked(model, dataset, config, None)
    folded = fold_batchnorm(graph)
    config, notes = sanity.settled(folded, dataset, config)
    given = adopt(folded.graph, content)
    given.rehearse(sampling.images_at_once(folded.graph, config))
    draws = sampling.calibration_draws(dataset, config)
    scored = sampling.scored_images(dataset, config)
    part = measure_draws([folded], dataset, draws, scored, config, progress, given, executor)
    result = assemble([part], dataset, config)
    notes = (*notes, *result.notes)
    result = replace(result, config={**result.config, "scheme": "tflite"}, notes=notes)
    return sanity.warned(result, folded, dataset, config)


def measure_draws(
    networks: Sequence[Folded],
    dataset: Dataset,
    draws: Sequence[NDArray[np.int64]],
    scored: NDArray[np.int64],
    config: AnalysisConfig,
    progress: Progress = silent,
    given: Deployed | None = None,
    executor: Executor | None = None,
) -> Part:
    """Calibrates and deploys every trial's network, and measures all on the same images.

    Args:
        networks: every trial's, of one fp32 graph; they may differ in what is quantized.
        dataset, config, progress: as for `analyze`.
        draws: for every trial the indices of its calibration images in `calibration_images`.
        scored: indices of the scored images in `x_test`.
        given: what is deployed, if it is there already; of one trial.
        executor: who scores the images; None for this process.
    """
    kept = [{*config.float_layers, *folded.float_layers} for folded in networks]
    check_layers(networks[0].graph, set().union(*kept))
    images, trials, cut = sampling.calibration_images(dataset), [], []
    with Bench(networks[0].graph, config, progress) as bench:
        for k, (folded, drawn) in enumerate(zip(networks, draws, strict=True)):
            sites = bench.calibrate(images, drawn, f"calibrate {k + 1}/{len(draws)}")
            sites = learned(sites, folded.ranges)
            deployed = given or deploy(
                folded.deployed, sites, kept[k], config, bench.singles(images, drawn)
            )
            trials.append(Trial(folded, [sites[row.name] for row in deployed.rows], deployed))
            if config.own_error:
                cut.append(OwnTrial.of(folded.deployed, sites, kept[k], config.scheme))
        graph = networks[0].graph
        plan = plan_of(graph, dataset, config)
        classifies = plan.main is not None and len(graph.inputs) == len(graph.outputs) == 1
        made = [trial.deployed.file for trial in trials if classifies]
        files = [file for file in made if file is not None]
        scoring = Scoring(graph, dataset, config, trials, cut, files, apart=given is not None)
        if executor is not None:
            found = executor(scoring, scored, progress)
        else:
            found = score(scoring, bench, scored)
    return Part(found.measured, found.own, draws, found.answered)
