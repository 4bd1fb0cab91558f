"""File against file as a whole: figures recomputed, no TensorFlow, one clear error each."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import interpreter as litert
from conftest import SHARED
from numpy.typing import NDArray
from written import LAYERS, WIDTH, Written, codes, floats, weights

from tfqdyn import filepair, results
from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import DataError, Dataset, Inputs
from tfqdyn.results import RunResult
from tfqdyn.tflite.file import TfliteFileError
from tfqdyn.tflite.pairing import PairingError

CONFIG = AnalysisConfig(calibration_size=8)


def samples(count: int = 20, width: int = WIDTH, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 1, (count, width)).astype(np.float32)


def outputs(content: bytes, x: NDArray) -> NDArray[np.float64]:
    """What a file answers to samples, one at a time, in real numbers."""
    run = litert.Interpreter(
        model_content=content,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    run.allocate_tensors()
    (given,), (made,) = run.get_input_details(), run.get_output_details()

    def grid(detail: dict) -> tuple[float, int]:
        scale, zero = detail["quantization"]
        return (scale, zero) if scale else (1.0, 0)

    found = []
    for sample in x:
        scale, zero = grid(given)
        fed = sample[None]
        if given["dtype"] == np.int8:
            fed = np.clip(np.floor(sample[None] / scale + 0.5) + zero, -128, 127).astype(np.int8)
        run.set_tensor(given["index"], fed)
        run.invoke()
        scale, zero = grid(made)
        found.append(scale * (run.get_tensor(made["index"]).astype(np.float64) - zero))
    return np.concatenate(found)


def decibels(reference: NDArray, found: NDArray) -> float:
    return float(10 * np.log10(np.sum(reference**2) / np.sum((reference - found) ** 2)))


@pytest.fixture(scope="module")
def result() -> RunResult:
    labels = np.arange(20) % WIDTH
    return filepair.analyze(floats(), codes(), Dataset("d", samples(), labels), CONFIG)


def test_every_operator_has_its_row(result: RunResult) -> None:
    assert [(row.number, row.name, row.kind, row.producers) for row in result.layers] == [
        (1, "dense_0", "dense", ("x",)),
        (2, "dense_1", "dense", ("dense_0",)),
        (3, "dense_2", "dense", ("dense_1",)),
        (None, "tensor_7", "softmax", ("dense_2",)),
    ]
    first = result.layers[0]
    assert (first.macs, first.params, first.output_shape, first.dtype) == (36, 36, (6,), "int8")
    assert first.quantization == ((1 / 16, -128),)
    kernel = weights(1, WIDTH, WIDTH)
    assert first.weights is not None
    assert first.weights.range == pytest.approx(float(kernel.max() - kernel.min()))
    assert first.kernel_grid is not None
    assert len(first.kernel_grid.scale) == WIDTH
    assert result.skipped == {}


def test_output_figures_are_those_of_the_two_interpreters_alone(result: RunResult) -> None:
    p, q = outputs(floats(), samples()), outputs(codes(), samples())
    (output,) = result.summary.outputs
    assert output.sqnr_db.mean == pytest.approx(decibels(p, q), rel=1e-5)
    assert output.qmse.mean == pytest.approx(np.mean((p - q) ** 2), rel=1e-5)
    assert output.largest_error.mean == pytest.approx(abs(p - q).max(), rel=1e-5)
    assert output.changed_answers is not None
    assert output.changed_answers.mean == np.mean(p.argmax(axis=1) != q.argmax(axis=1))
    labels = np.arange(20) % WIDTH
    assert result.summary.fp32_accuracy == np.mean(p.argmax(axis=1) == labels)
    assert result.summary.quantized_accuracy is not None
    assert result.summary.quantized_accuracy.mean == np.mean(q.argmax(axis=1) == labels)


def test_a_row_is_held_against_float_arithmetic(result: RunResult) -> None:
    x = samples().astype(np.float64)
    hidden = np.maximum(x @ weights(1, WIDTH, WIDTH).T, 0)
    assert result.layers[0].rms == pytest.approx(float(np.sqrt(np.mean(hidden**2))), rel=1e-5)
    rounding = result.layers[0].qmse.mean
    assert (1 / 16) ** 2 / 100 < rounding < (1 / 16) ** 2, "a step of the grid is 1/16"


@pytest.mark.parametrize("changed", [{"threads": 1}, {"batch_size": 3}, {"threads": 5}])
def test_no_figure_depends_on_chunks_or_threads(result: RunResult, changed: dict) -> None:
    labels = np.arange(20) % WIDTH
    config = AnalysisConfig(calibration_size=8, **changed)
    again = filepair.analyze(floats(), codes(), Dataset("d", samples(), labels), config)
    assert again.layers == result.layers
    assert again.summary == result.summary


def test_a_file_against_itself_has_no_error() -> None:
    result = filepair.analyze(floats(), floats(), Dataset("d", samples()), CONFIG)
    assert all(row.qmse.mean == 0 for row in result.layers)
    assert result.summary.outputs[0].sqnr_db.mean == np.inf


def test_without_labels_nothing_speaks_of_accuracy() -> None:
    result = filepair.analyze(
        floats(softmax=False), codes(softmax=False), Dataset("d", samples()), CONFIG
    )
    summary = result.summary
    assert (summary.fp32_accuracy, summary.loss, summary.qkl_div) == (None, None, None)
    assert summary.outputs[0].qkl_div is None
    assert np.isfinite(summary.outputs[0].sqnr_db.mean)


def test_labels_of_an_autoencoder_are_no_classes_of_its_output() -> None:
    data = Dataset("d", samples(), np.arange(20) % 2)
    result = filepair.analyze(floats(softmax=False), codes(softmax=False), data, CONFIG)
    assert result.summary.fp32_accuracy is None
    assert result.summary.outputs[0].changed_answers is None


def test_targets_of_an_output_are_a_regression() -> None:
    x = samples()
    p, q = outputs(floats(softmax=False), x), outputs(codes(softmax=False), x)
    data = Dataset("d", x, p)
    result = filepair.analyze(floats(softmax=False), codes(softmax=False), data, CONFIG)
    assert result.summary.task == "regression"
    (error, _) = result.summary.metrics
    assert (error.name, error.fp32) == ("mae", pytest.approx(0, abs=1e-6))
    assert error.quantized.mean == pytest.approx(abs(p - q).mean(), rel=1e-5)


def two_inputs(batch: int, rows: int = 1) -> bytes:
    """a and b, each multiplied by a kernel and added; of a fixed batch size where that is not 1."""
    file = Written()
    made, inputs = [], []
    for seed, name in enumerate("ab"):
        x = file.tensor((batch, WIDTH), name=name, any_batch=batch == 1)
        held = file.constant(weights(seed, WIDTH, WIDTH))
        made.append(file.op("FULLY_CONNECTED", [x, held, -1], (batch, WIDTH)))
        inputs.append(x)
    both = file.op("ADD", made, (batch, WIDTH))
    return file.content(inputs, [both, made[0]])


def test_several_inputs_outputs_and_another_batch_size() -> None:
    data = Dataset("d", Inputs({"a": samples(seed=1), "b": samples(seed=2)}))
    result = filepair.analyze(two_inputs(1), two_inputs(8), data, CONFIG)
    assert [output.sqnr_db.mean > 100 for output in result.summary.outputs] == [True, True]
    assert [record.name for record in result.data.inputs] == ["a", "b"]
    with pytest.raises(DataError, match="2 inputs"):
        filepair.analyze(two_inputs(1), two_inputs(1), Dataset("d", samples()), CONFIG)


REFUSED = {
    "a damaged file": (floats(), codes()[:500], TfliteFileError, "the quantized file: "),
    "no .tflite file": (b"nothing", codes(), TfliteFileError, "the float file: expected a .tflite"),
    "codes as the model": (codes(), codes(), TfliteFileError, "expected a float file"),
    "other weights": (
        floats(), codes([*LAYERS[:2], (8, "NONE")]), PairingError, "'dense_2' .* differs first"
    ),
    "other inputs": (floats(), two_inputs(1), TfliteFileError, "their inputs differ"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_pair_is_refused_in_one_sentence(case: str) -> None:
    reference, quantized, kind, text = REFUSED[case]
    with pytest.raises(kind, match=text) as caught:
        filepair.analyze(reference, quantized, Dataset("d", samples()), CONFIG)
    assert "\n" not in str(caught.value)


def test_custom_operators_are_refused_by_name() -> None:
    file = Written()
    x = file.input((1, WIDTH))
    y = file.op("CUSTOM", [x], (1, WIDTH))
    file.model.operatorCodes[0].customCode = "FlexErf"
    content = file.content([x], [y])
    with pytest.raises(TfliteFileError, match=r"the quantized file: .* CUSTOM FlexErf"):
        filepair.analyze(floats(), content, Dataset("d", samples()), CONFIG)


def test_the_command_loads_neither_tensorflow_nor_keras(tmp_path: Path) -> None:
    for name, content in (("float.tflite", floats()), ("int8.tflite", codes())):
        (tmp_path / name).write_bytes(content)
    np.savez(tmp_path / "data.npz", x_test=samples(), y_test=np.arange(20) % WIDTH)
    given = {"model": "float.tflite", "tflite": "int8.tflite", "data": "data.npz", "out": "out"}
    words = ["analyze", *(f"--{flag}={tmp_path / name}" for flag, name in given.items())]
    code = (
        f"import sys; from tfqdyn import cli; status = cli.run({words!r}); "
        "loaded = {'tensorflow', 'keras', 'tf_keras'} & set(sys.modules); "
        "sys.exit(f'loaded: {loaded}' if loaded else status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    written = results.read(tmp_path / "out")
    assert written["model"]["name"] == "float"
    assert (tmp_path / "out" / "report.html").stat().st_size > 100_000


@pytest.mark.realdata
def test_the_autoencoder_has_all_ten_layers_paired() -> None:
    folder = SHARED / "models" / "autoencoder"
    if not folder.exists():
        pytest.skip("the autoencoder is not here")
    reference, quantized = (
        (folder / f"ad01_{kind}.tflite").read_bytes() for kind in ("fp32", "int8")
    )
    x = samples(64, 640)
    result = filepair.analyze(reference, quantized, Dataset("d", x), AnalysisConfig())
    assert [row.number for row in result.layers] == list(range(1, 11))
    assert result.skipped == {}
    expected = decibels(outputs(reference, x), outputs(quantized, x))
    assert result.summary.outputs[0].sqnr_db.mean == pytest.approx(expected, rel=1e-5)
    assert result.layers[-1].sqnr_pooled_db.mean == pytest.approx(expected, rel=1e-5)
