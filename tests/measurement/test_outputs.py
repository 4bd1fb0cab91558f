"""Outputs of networks of every kind, recomputed from Keras and the interpreter alone."""

import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import task_networks as nets
from ai_edge_litert import interpreter as litert

from tfqdyn import pipeline, results
from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import DataError, Dataset, Inputs, by_input
from tfqdyn.results import RunResult, restore

CONFIG = AnalysisConfig(trials=2, calibration_size=6, preprocessing="tf")
RAW = dataclasses.replace(CONFIG, preprocessing="none")


def run_file(content: bytes, arrays: dict[str, np.ndarray], order: list[str]) -> list[np.ndarray]:
    """All outputs of a file, dequantized, one image at a time; inputs are given in their order."""
    run = litert.Interpreter(
        model_content=content,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    run.allocate_tensors()
    found: list[list[np.ndarray]] = [[] for _ in run.get_output_details()]
    for image in range(len(arrays[order[0]])):
        for name, detail in zip(order, run.get_input_details(), strict=True):
            scale, zero = detail["quantization"]
            value = np.floor(arrays[name][image].astype(np.float64) / scale + 0.5) + zero
            kind = np.iinfo(detail["dtype"])
            codes = np.clip(value, kind.min, kind.max).astype(detail["dtype"])
            run.set_tensor(detail["index"], codes.reshape(detail["shape"]))
        run.invoke()
        for held, detail in zip(found, run.get_output_details(), strict=True):
            scale, zero = detail["quantization"]
            held.append((run.get_tensor(detail["index"])[0].astype(np.float64) - zero) * scale)
    return [np.stack(held) for held in found]


def assert_outputs(result: RunResult, expected: list[np.ndarray], arrays: dict) -> None:
    """Every output's figures, of every trial, from the fp32 outputs and the files alone."""
    order = [record.name for record in result.data.inputs]
    for trial, content in enumerate(result.tflite):
        found = run_file(content, arrays, order)
        for output, x, q in zip(result.summary.outputs, expected, found, strict=True):
            x = x.astype(np.float64)
            assert output.shape == x.shape[1:] == q.shape[1:], output.name
            apart = x - q
            assert output.qmse.trials[trial] == pytest.approx((apart**2).mean(), rel=1e-4)
            sqnr = 10 * np.log10((x**2).sum() / (apart**2).sum())
            assert output.sqnr_db.trials[trial] == pytest.approx(sqnr, abs=1e-3)
            largest = output.largest_error.trials[trial]
            assert largest == pytest.approx(np.abs(apart).max(), abs=1e-6)
            if output.changed_answers is not None:
                changed = (x.argmax(axis=-1) != q.argmax(axis=-1)).mean()
                assert output.changed_answers.trials[trial] == pytest.approx(changed)


def in_tf(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float32) / np.float32(127.5) - np.float32(1)


@pytest.mark.parametrize("scheme", ["uint8", "int8"])
def test_both_outputs_of_a_detector(scheme: str, tmp_path: Path) -> None:
    model, x = nets.detector(), nets.pixels(12, 8, 8, 3)
    result = pipeline.analyze(model, Dataset("d", x), CONFIG.in_scheme(scheme))
    outputs = result.summary.outputs
    assert [o.name for o in outputs] == ["boxes", "scores"]
    assert [o.qkl_div is None for o in outputs] == [True, False]
    assert_outputs(result, model.predict(in_tf(x), verbose=0), {"image": in_tf(x)})
    summary = result.summary
    assert (summary.fp32_accuracy, summary.loss, summary.qkl_div, summary.task) == (None,) * 4
    assert {layer.name for layer in result.layers} > {"box_head", "class_head", "scores"}
    results.write(result, tmp_path)
    record = json.loads((tmp_path / "results.json").read_text())["summary"]
    assert record["quantized_accuracy"] is None
    assert set(record["outputs"][1]["sqnr_db"]) == {"mean", "std", "trials"}
    assert restore.load(tmp_path).summary == summary
    again = pipeline.analyze_file(model, result.tflite[0], Dataset("d", x), CONFIG)
    for one, other in zip(outputs, again.summary.outputs, strict=True):
        assert one.sqnr_db.trials[0] == other.sqnr_db.trials[0]


def test_kl_divergence_of_scores_is_that_of_their_logits() -> None:
    """The heads' values, recomputed: they are the logits of the softmax over 16 places."""
    model, x = nets.detector(), nets.pixels(12, 8, 8, 3)
    result = pipeline.analyze(model, Dataset("d", x), dataclasses.replace(CONFIG, trials=1))
    content = result.tflite[0]
    run = litert.Interpreter(
        model_content=content,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    run.allocate_tensors()
    (first,) = run.get_input_details()
    heads = [t for t in run.get_tensor_details() if list(t["shape"]) == [1, 4, 4, 3]]
    scale, zero = first["quantization"]
    total = 0.0
    logits = keras.Model(model.inputs, model.get_layer("class_head").output)
    for image in in_tf(x):
        codes = np.clip(np.floor(image / scale + 0.5) + zero, 0, 255).astype(np.uint8)
        run.set_tensor(first["index"], codes[None])
        run.invoke()
        step, offset = heads[-1]["quantization"]
        q = (run.get_tensor(heads[-1]["index"]).astype(np.float64) - offset) * step
        p = logits.predict(image[None], verbose=0).astype(np.float64)
        p, q = (np.exp(v) / np.exp(v).sum(axis=-1, keepdims=True) for v in (p, q))
        total += (p * np.log(p / q)).sum(axis=-1).mean()
    found = result.summary.outputs[1].qkl_div
    assert found.mean == pytest.approx(total / len(x), rel=1e-2)


def test_two_images_and_a_vector() -> None:
    """Data come in another order, and one of them without its axis of channels."""
    model, data = nets.siamese(), nets.pairs()
    result = pipeline.analyze(model, data, RAW)
    arrays = {name: np.asarray(a) for name, a in data.x_test.arrays.items()}
    arrays["right"] = arrays["right"][..., None]
    ordered = [arrays[tensor.name] for tensor in model.inputs]
    expected = model.predict(ordered, verbose=0)
    assert_outputs(result, [expected], arrays)
    right = expected.argmax(axis=1) == data.y_test
    assert result.summary.fp32_accuracy == right.mean()
    assert [record.name for record in result.data.inputs] == ["right", "meta", "left"]
    for record in result.data.inputs:
        rms = np.sqrt((arrays[record.name].astype(np.float64) ** 2).mean())
        assert record.rms == pytest.approx(rms, rel=1e-6)
    again = pipeline.analyze_file(model, result.tflite[1], data, RAW)
    own = result.summary.outputs[0].sqnr_db.trials[1]
    assert again.summary.outputs[0].sqnr_db.trials == (own,)
    assert len(again.layers) == len(result.layers)


@pytest.mark.parametrize("shape", [(12, 12, 10), (12, 12, 10, 1)])
def test_a_keyword_spotter_takes_spectrograms(shape: tuple[int, ...]) -> None:
    model = nets.spotter()
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    result = pipeline.analyze(model, Dataset("k", x), RAW)
    flat = x.reshape(12, 12, 10)
    assert_outputs(result, [model.predict(flat, verbose=0)], {"spectrogram": flat})
    summary = result.summary  # without labels what speaks of classes is there as far as it can be
    assert (summary.fp32_accuracy, summary.task) == (None, None)
    assert summary.qkl_div.mean > 0
    labels = model.predict(flat, verbose=0).argmax(axis=1)
    scored = pipeline.analyze(model, Dataset("k", x, labels), RAW).summary
    assert (scored.task, scored.fp32_accuracy) == ("classification", 1.0)
    assert scored.qkl_div == summary.qkl_div


@pytest.mark.parametrize("scheme", ["simulated", "graph_transform_tool", "float32"])
def test_schemes_without_rounding_in_a_file(scheme: str) -> None:
    model, data = nets.detector(), Dataset("d", nets.pixels(12, 8, 8, 3))
    found = pipeline.analyze(model, data, dataclasses.replace(CONFIG, scheme=scheme, trials=1))
    least = 120 if scheme == "float32" else 15
    assert all(output.sqnr_db.mean > least for output in found.summary.outputs)


def test_an_output_that_is_read_on_keeps_its_own_value() -> None:
    """A layer whose value is returned and goes through a ReLU as well: it is not fused away."""
    k = keras.layers
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 6, 2), name="image")
    first = k.Conv2D(4, 3, name="first")(image)
    second = k.Conv2D(3, 1, name="second")(k.ReLU(name="relu")(first))
    model = keras.Model(image, {"late": second, "early": first})
    x = np.random.default_rng(0).normal(size=(10, 6, 6, 2)).astype(np.float32)
    result = pipeline.analyze(model, Dataset("d", x), dataclasses.replace(RAW, trials=1))
    expected = model.predict(x, verbose=0)
    names = [output.name for output in result.summary.outputs]
    assert sorted(names) == ["early", "late"]
    assert_outputs(result, [expected[name] for name in names], {"image": x})


def test_inputs_by_name_are_cut_like_arrays() -> None:
    arrays = Inputs({"a": np.arange(6), "b": np.arange(6) * 2})
    assert len(arrays) == 6
    assert arrays[2:4].arrays["b"].tolist() == [4, 6]
    chosen = by_input(["b", "a"], arrays[np.array([5, 0])])
    assert list(chosen) == ["b", "a"]
    assert chosen["b"].tolist() == [10, 0]
    with pytest.raises(DataError, match="received none"):
        Inputs({})


def test_own_errors_of_a_network_with_two_outputs() -> None:
    """A head that only a reshape reads on its way out is fed to nothing in the cut file."""
    config = dataclasses.replace(CONFIG, trials=1, own_error=True)
    found = pipeline.analyze(nets.detector(), Dataset("d", nets.pixels(12, 8, 8, 3)), config)
    assert all(layer.own is not None and layer.own.sqnr.mean > 15 for layer in found.layers)
