"""Answers on the kernels that applications get, beside those of the built-in ones."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from conftest import images, residual_net
from reported import analyzed

from tfqdyn import pipeline
from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import Dataset
from tfqdyn.engines import calls
from tfqdyn.measurement import asdeployed
from tfqdyn.tflite import interpreter
from tfqdyn.tflite.file import TfliteFileError, parse

CONFIG = AnalysisConfig(trials=1, calibration_size=6, max_images=12)


def by_hand(content: bytes, dataset: Dataset, scored: np.ndarray, resolver: str) -> np.ndarray:
    """The best class of every image, by LiteRT's interpreter alone."""
    run = interpreter.deployed(content, 1, resolver)
    run.allocate_tensors()
    (given,), (answer,) = run.get_input_details(), run.get_output_details()
    scale, zero = given["quantization"]
    best = []
    for image in dataset.x_test[scored]:
        codes = np.clip(np.floor(image.astype(np.float64) / scale + 0.5) + zero, 0, 255)
        run.set_tensor(given["index"], codes.astype(np.uint8)[None])
        run.invoke()
        best.append(int(run.get_tensor(answer["index"]).argmax()))
    return np.array(best)


def test_accuracy_and_changed_answers_by_hand() -> None:
    result, dataset = analyzed(), images(24)
    scored = np.array(result.data.scored[0])
    labels = np.asarray(dataset.y_test)[scored]
    found = result.summary.deployed
    assert found.kernels == interpreter.name(interpreter.DEPLOYED)
    for trial, content in enumerate(result.tflite):
        deployed, built_in = (
            by_hand(content, dataset, scored, kernels)
            for kernels in (interpreter.DEPLOYED, interpreter.RESOLVER)
        )
        assert found.accuracy.trials[trial] == np.mean(deployed == labels)
        assert found.changed_answers.trials[trial] == np.mean(deployed != built_in)
        assert result.summary.quantized_accuracy.trials[trial] == np.mean(built_in == labels)


def test_a_simulation_has_none() -> None:
    keras.utils.set_random_seed(1)
    config = replace(CONFIG, scheme="simulated")
    assert pipeline.analyze(residual_net(), images(12), config).summary.deployed is None


def test_a_file_of_others_that_xnnpack_refuses_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else of the analysis is lost."""

    def refuse(*_: object) -> None:
        raise calls.RefusedError("it crashed (SIGSEGV)")

    content, dataset = analyzed().tflite[0], images(12)
    scored = np.arange(4)
    (whole,) = asdeployed.answered([content], dataset, scored, CONFIG, apart=True)
    (own,) = asdeployed.answered([content], dataset, scored, CONFIG, apart=False)
    np.testing.assert_array_equal(whole.scores, own.scores)
    monkeypatch.setattr(calls, "whole", refuse)
    (found,) = asdeployed.answered([content], dataset, scored, CONFIG, apart=True)
    assert (found.scores, found.refused) == (None, "it crashed (SIGSEGV)")
    assert asdeployed.deployed_kernels([found], [np.zeros((4, 4))], [None]) is None
    assert asdeployed.notes_of([found]) == (
        "No accuracy on the deployed kernels (XNNPACK): it crashed (SIGSEGV)",
    )


def test_scores_that_are_no_numbers_give_no_figure() -> None:
    model = parse(analyzed().tflite[0])
    scores = np.full((2, 4), np.nan)
    answers = [asdeployed.Answered(model, scores)]
    assert asdeployed.deployed_kernels(answers, [np.zeros((2, 4))], [None]) is None
    answers = [asdeployed.Answered(model, np.eye(4)[:2])]
    found = asdeployed.deployed_kernels(answers, [np.eye(4)[[0, 3]]], [None])
    assert (found.accuracy, found.changed_answers.mean) == (None, 0.5)


def test_own_files_that_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from tfqdyn.engines import native

    def refuse(*_: object) -> None:
        raise TfliteFileError("no such kernel")

    monkeypatch.setattr(native, "outputs", refuse)
    found = asdeployed.answered([analyzed().tflite[0]], images(12), np.arange(2), CONFIG, False)
    assert found[0].refused == "no such kernel"
