"""Finished steps of killed commands: kept to the last digit, taken up by the same command alone."""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import dead_channel_net, images

from tfqdyn import datasets, remedies, results
from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import Dataset
from tfqdyn.files import recordfile
from tfqdyn.files.recordfile import RecordFileError
from tfqdyn.files.steps import FOLDER, Steps
from tfqdyn.network.folding import Folded, fold_batchnorm
from tfqdyn.network.graph import Graph, Node
from tfqdyn.network.lowering import lower
from tfqdyn.pipeline import analyze
from tfqdyn.qat import Schedule, finetuning, qat
from tfqdyn.remedies import course
from tfqdyn.results import RunResult, layercsv
from tfqdyn.results.modelexplorer import NODE_DATA

CONFIG = AnalysisConfig(preprocessing="tf", trials=2, calibration_size=8)


@dataclass(frozen=True, eq=False)
class Inner:
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class Outer:
    first: Inner
    second: Inner | None
    some: dict[str, Any] = field(default_factory=dict)


HELD = {
    "none": None, "yes": True, "whole": 2**60 + 1, "third": 1 / 3, "text": "\N{MINUS SIGN}\n",
    "infinite": float("-inf"), "bytes": b"\x00\xff", "empty": (), "nested": [1, (2, [3.5, "x"])],
    "set": frozenset({"b", "a"}), "by number": {1: "one"}, "scalar": np.float32(0.1),
}  # fmt: skip


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    arrays = [
        np.arange(6, dtype=np.uint8).reshape(2, 3), np.array(1 / 3), np.zeros((0, 2), np.float32),
        np.float64([np.nan, np.inf, -0.0, 5e-324]), np.broadcast_to(np.int64(7), (4,)),
    ]  # fmt: skip
    shared = Inner(arrays[0])
    recordfile.write(tmp_path / "r.npz", Outer(shared, shared, {**HELD, "arrays": arrays}))
    found = recordfile.read(tmp_path / "r.npz", Outer)
    assert found.first is found.second
    assert {key: found.some[key] for key in HELD} == HELD
    assert [type(found.some[key]) for key in HELD] == [type(value) for value in HELD.values()]
    for array, expected in zip(found.some["arrays"], arrays, strict=True):
        assert (array.dtype, array.shape) == (expected.dtype, expected.shape)
        assert array.tobytes() == expected.tobytes()


@pytest.mark.parametrize("held", [object(), {1, 2}, np.array([None]), lambda: None])
def test_what_no_record_holds_is_refused(held: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="cannot"):
        recordfile.write(tmp_path / "r.npz", Outer(Inner(np.zeros(1)), None, {"held": held}))
    assert not list(tmp_path.iterdir())


def test_files_make_only_what_is_expected(tmp_path: Path) -> None:
    path = tmp_path / "r.npz"
    recordfile.write(path, Outer(Inner(np.zeros(1)), None, {"node": Node("a", "relu", (), ())}))
    with pytest.raises(
        RecordFileError, match=r"r\.npz is damaged, or of another version: KeyError"
    ):
        recordfile.read(path, Outer)  # nothing in its annotations names nodes
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(RecordFileError, match="is damaged"):
        recordfile.read(path, Outer)
    np.savez(path, description=np.array([Inner(np.zeros(1))], object))
    with pytest.raises(RecordFileError, match="allow_pickle"):
        recordfile.read(path, Outer)


def test_a_network_comes_back_whole(tmp_path: Path) -> None:
    folded = fold_batchnorm(lower(dead_channel_net()))
    recordfile.write(tmp_path / "f.npz", folded)
    found: Folded = recordfile.read(tmp_path / "f.npz", Folded)
    assert found.graph is found.reference  # as it was: nothing is held against another network
    assert found.graph.digest == folded.graph.digest
    assert found.graph.nodes[1].config == folded.graph.nodes[1].config
    assert found.batch_norms.keys() == folded.batch_norms.keys()


def test_a_digest_tells_networks_apart() -> None:
    graph = lower(dead_channel_net())
    assert graph.digest == lower(dead_channel_net()).digest

    def changed(**changes: Any) -> Graph:
        nodes = (graph.nodes[0], dataclasses.replace(graph.nodes[1], **changes), *graph.nodes[2:])
        return dataclasses.replace(graph, nodes=nodes)

    first = graph.nodes[1]
    kernel = first.weights["kernel"].copy()
    kernel[0, 0, 0, 0] = np.nextafter(kernel[0, 0, 0, 0], np.float32(9))
    others = [
        changed(weights={**first.weights, "kernel": kernel}), changed(name="other"),
        changed(config={**first.config, "padding": "valid"}),
    ]  # fmt: skip
    assert len({graph.digest, *(other.digest for other in others)}) == 4


def test_a_fingerprint_tells_data_sets_apart(tmp_path: Path) -> None:
    data = images(300)
    assert datasets.fingerprint(data) == datasets.fingerprint(images(300))
    last = data.x_train.copy()
    last[299, 11, 11, 2] ^= 1
    other = datasets.fingerprint(dataclasses.replace(data, x_train=last))
    assert {key for key, value in datasets.fingerprint(data).items() if other[key] != value} == {
        "x_train"
    }
    np.savez(tmp_path / "d.npz", x_test=data.x_test, y_test=data.y_test)
    on_disk = datasets.fingerprint(datasets.load(str(tmp_path / "d.npz")))
    np.savez(tmp_path / "d.npz", x_test=last, y_test=data.y_test)
    changed = datasets.fingerprint(datasets.load(str(tmp_path / "d.npz")))
    assert changed["x_test"] != on_disk["x_test"]
    assert changed["y_test"] == on_disk["y_test"]


def test_steps_are_of_one_command(tmp_path: Path) -> None:
    steps = Steps(tmp_path, {"seed": 1})
    assert not list(tmp_path.iterdir())  # nothing is written before something is finished
    made: list[str] = []

    def make() -> Inner:
        made.append("made")
        return Inner(np.ones(2))

    for found in (
        steps.once("a", Inner, make),
        Steps(tmp_path, {"seed": 1}).once("a", Inner, make),
    ):
        assert found.values.tolist() == [1.0, 1.0]
    assert made == ["made"]
    (tmp_path / FOLDER / "a.npz").write_bytes(b"rubbish")
    with pytest.raises(RecordFileError, match=f"; delete {tmp_path / FOLDER} to begin anew"):
        steps.kept("a", Inner)
    assert Steps(tmp_path, {"seed": 2}).kept("a", Inner) is None
    assert not (tmp_path / FOLDER).exists()
    steps.keep("b", Inner(np.zeros(1)))
    steps.forget()
    assert not list(tmp_path.iterdir())


class StoppedError(RuntimeError):
    """Stands for a kill."""


def stopping(function: Callable, at: int) -> tuple[Callable, list[int]]:
    """A function that stops at its call of a number, from 1; and the calls so far."""
    calls: list[int] = []

    def wrapped(*given: Any, **named: Any) -> Any:
        calls.append(len(calls) + 1)
        if len(calls) == at:
            raise StoppedError
        return function(*given, **named)

    return wrapped, calls


def contents(folder: Path) -> dict[str, bytes]:
    """All files but networks, which hold the date."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".keras"
    }


@pytest.fixture(scope="module")
def data() -> Dataset:
    return images(24, classes=6)


NAMES = ("zero_variance", "equalization", "bias_correction")


def test_remedies_go_on_behind_the_last_stage(data: Dataset, tmp_path: Path, monkeypatch) -> None:
    model, analyze_stage = dead_channel_net(), course.analyze_stage
    remedies.remedy(model, data, NAMES, CONFIG, tmp_path / "whole")
    cut, _ = stopping(analyze_stage, 4)  # in the last stage
    monkeypatch.setattr(course, "analyze_stage", cut)
    with pytest.raises(StoppedError):
        remedies.remedy(model, data, NAMES, CONFIG, tmp_path / "cut")
    left = {path.name for path in (tmp_path / "cut").iterdir()}
    assert left == {"0_none", "1_zero_variance", "2_equalization", FOLDER}

    going_on, calls = stopping(analyze_stage, -1)
    monkeypatch.setattr(course, "analyze_stage", going_on)
    done = remedies.remedy(model, data, NAMES, CONFIG, tmp_path / "cut")
    assert len(calls) == 1
    assert [stage.name for stage in done.stages][2:] == ["2_equalization", "3_bias_correction"]
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_another_course_begins_anew(data: Dataset, tmp_path: Path, monkeypatch) -> None:
    model, analyze_stage = dead_channel_net(), course.analyze_stage
    cut, _ = stopping(analyze_stage, 2)
    monkeypatch.setattr(course, "analyze_stage", cut)
    with pytest.raises(StoppedError):
        remedies.remedy(model, data, ["zero_variance"], CONFIG, tmp_path)
    counting, calls = stopping(analyze_stage, -1)
    monkeypatch.setattr(course, "analyze_stage", counting)
    remedies.remedy(model, data, ["bias_correction"], CONFIG, tmp_path)
    assert len(calls) == 2
    assert not (tmp_path / FOLDER).exists()


@pytest.mark.parametrize("scheme", ["uint8", "int8"])
def test_training_goes_on_behind_the_last_epoch(
    scheme: str, data: Dataset, tmp_path: Path, monkeypatch
) -> None:
    import tf_keras

    model, schedule = dead_channel_net(), Schedule(epochs=3, batch_size=8)

    def train(out: str) -> Any:
        tf_keras.backend.clear_session()  # names in files count networks of a process
        return qat(model, data, schedule, scheme, CONFIG, tmp_path / out)

    whole = train("whole")
    epoch = finetuning.Epoch
    cut, _ = stopping(epoch, 3)  # at the end of the third
    monkeypatch.setattr(finetuning, "Epoch", cut)
    with pytest.raises(StoppedError):
        train("cut")
    assert json.loads((tmp_path / "cut" / "0_ptq" / "results.json").read_text())["schema"]
    assert not (tmp_path / "cut" / "qat.json").exists()
    monkeypatch.setattr(finetuning, "Epoch", epoch)
    monkeypatch.setattr("tfqdyn.qat.runner._before", whole_before(whole.before))
    done = train("cut")
    assert done.history == whole.history
    assert done.tflite == whole.tflite
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def whole_before(before: RunResult) -> Callable[..., RunResult]:
    """Stands for the analysis before training: it is finished, and not done again."""

    def kept(analysis: Callable[[], RunResult], out: Path, steps: Steps) -> RunResult:
        found = steps.kept("0_ptq", RunResult)
        assert found is not None
        assert found.to_json() == before.to_json()
        return found

    return kept


def test_a_run_takes_an_earlier_runs_place_whole(data: Dataset, tmp_path: Path) -> None:
    model = dead_channel_net()
    results.write(analyze(model, data, CONFIG), tmp_path)
    for name in ("report.html", "layers.png"):
        (tmp_path / name).touch()
    one = analyze(model, data, dataclasses.replace(CONFIG, trials=1))
    results.write(one, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "results.json", "layers.csv", "trial_0.tflite", *(data.file for data in NODE_DATA),
    }  # fmt: skip
    assert (tmp_path / "layers.csv").read_text() == layercsv.text(one.layers)
