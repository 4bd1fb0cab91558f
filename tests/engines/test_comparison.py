"""Engines on one file: what differs first, whose doing it is, and what becomes of crashes."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from built import STEP, Builder, chain, codes_feed, in_process, with_bias_moved, with_weights_behind

from tfqdyn.engines import calls, dumps
from tfqdyn.engines.arrays import packed, unpacked
from tfqdyn.engines.comparison import Subject, compare
from tfqdyn.engines.cutting import Cutter
from tfqdyn.engines.feeding import Feed
from tfqdyn.results.kernelrecords import CONTEXT, INHERITED, OWN, EngineRecord
from tfqdyn.tflite import interpreter
from tfqdyn.tflite.file import TfliteFileError, parse

PLACES = 20
IMAGES = 6


def subject(content: bytes, images: int = IMAGES, **fields: object) -> Subject:
    return Subject("net.tflite", content, "random", codes_feed(parse(content), images), **fields)


def tensors(content: bytes, feed: Feed) -> list[dict[int, np.ndarray]]:
    """What LiteRT's interpreter holds after every run."""
    model = parse(content)
    run = interpreter.observed(content)
    run.allocate_tensors()
    found = []
    for inputs in feed.runs(0, len(feed)):
        run.set_tensor(model.inputs[0], inputs[0])
        run.invoke()
        made = (t for operator in model.operators for t in operator.outputs)
        found.append({t: run.get_tensor(t) for t in (*model.inputs, *made)})
    return found


def check_found(engine: EngineRecord, place: int) -> None:
    """The fault is the first to diverge, its own doing; all before it agree, none behind is at
    fault."""
    assert (engine.first, engine.first_cause) == (place, OWN), engine.name
    before, after = engine.operators[:place], engine.operators[place + 1 :]
    assert all(f.chained.differing == 0 and f.cause == "" for f in before)
    assert all(f.alone.differing == 0 and f.cause in (INHERITED, "") for f in after)


@pytest.mark.parametrize("by", [STEP, 1], ids=["a step of the output", "a step of the bias"])
def test_a_planted_fault_is_the_first_to_diverge(
    by: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One operator's bias is off in a copy of the file, in each of twenty places: by one step of
    its output, and by the least that there is."""
    monkeypatch.setattr(calls, "run_apart", in_process)
    content = chain(PLACES)
    whole = subject(content)
    model = parse(content)
    found = []
    for place in range(PLACES):
        folder = tmp_path / f"place{place}"
        faulty = with_bias_moved(content, place, by)
        dumps.write(folder, model, tensors(faulty, whole.feed), "a device with a fault")
        found.append(dumps.read(folder, model))
    record = compare(whole, ["builtin"], found)
    for place in range(PLACES):
        check_found(record.engine(f"place{place}"), place)
    if by == STEP:  # inside the grid's ends, every code is one higher
        first = record.engine("place0").operators[0]
        assert first.chained.largest == 1
        assert first.chained.share > 0.5


def test_an_engine_with_a_planted_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same where the engine itself computes: alone, it is fed with what the base's read."""
    content, model = chain(PLACES), parse(chain(PLACES))
    place = 0

    def with_fault(function: str, argument: bytes, seconds: float) -> bytes:
        record, arrays = unpacked(argument)
        faulty = with_bias_moved(content, place, STEP)
        if record["engine"] == "reference":
            record["engine"] = "builtin"
            if "file" in arrays:
                arrays["file"] = np.frombuffer(faulty, np.uint8)
            elif f"file.{place}" in arrays:
                alone = Cutter(faulty, model, {}).alone(place, {})
                arrays[f"file.{place}"] = np.frombuffer(alone, np.uint8)
        return in_process(function, packed(record, arrays), seconds)

    monkeypatch.setattr(calls, "run_apart", with_fault)
    whole = subject(content, 2)
    for place in range(PLACES):
        record = compare(whole, ["builtin", "reference"])
        check_found(record.engine("reference"), place)
        assert record.engine("reference").deployed.differing > 0
        assert record.engine("builtin").first is None


def steep_softmax() -> bytes:
    """A reshape, then a softmax over 1,000 classes, on whose sum the reference kernel gives up."""
    build = Builder()
    given = build.tensor("scores", (1, 10, 100), "uint8", 0.1, 0)
    flat = build.tensor("flat", (1, 1000), "uint8", 0.1, 0)
    shape = build.tensor("shape", (2,), "int32", data=np.array([1, 1000], np.int32))
    answer = build.tensor("answer", (1, 1000), "uint8", 1 / 256, 0)
    build.operator("RESHAPE", (given, shape), (flat,))
    build.operator("SOFTMAX", (flat,), (answer,), beta=1.0)
    return build.file((given,), (answer,))


def test_a_native_abort_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference softmax aborts its process where all scores are alike; the others go on."""
    content = steep_softmax()
    feed = Feed(parse(content), [np.zeros((2, 10, 100), np.float32)], np.arange(2), "none")
    labels = np.array([0, 1])
    record = compare(
        Subject("f.tflite", content, "zeros", feed, labels), ["reference", "builtin", "xnnpack"]
    )
    assert record.base == "builtin"
    reference = record.engine("reference")
    assert "crashed (SIGABRT)" in str(reference.refused)
    assert reference.deployed is reference.accuracy is reference.first is None
    reshape, softmax = reference.operators
    assert reshape.alone.differing == 0
    assert "crashed (SIGABRT)" in str(softmax.refused)
    assert record.engine("builtin").accuracy == 0.5  # ties go to the lowest class
    assert record.engine("xnnpack").refused is None


def test_what_no_engine_runs_is_one_error() -> None:
    content = steep_softmax()
    feed = Feed(parse(content), [np.zeros((1, 10, 100), np.float32)], np.arange(1), "none")
    with pytest.raises(TfliteFileError, match=r"no engine runs the file: reference: .*SIGABRT"):
        compare(Subject("f.tflite", content, "zeros", feed), ["reference"])


def test_micro_refuses_uint8_and_says_so() -> None:
    pytest.importorskip("tflite_micro")
    content = with_bias_moved(chain(3), 0, 0)
    record = compare(subject(content, 2), ["builtin", "micro"], runs=3)
    micro = record.engine("micro")
    assert micro.refused is None
    assert (micro.arena or 0) > 2 * 16 * 8  # an input and an output at least
    assert len(micro.operators) == 3
    assert all((f.milliseconds or 0) > 0 for f in micro.operators)
    assert all(f.alone.values == 2 * 16 * 8 for f in micro.operators)
    uint8 = steep_softmax()
    record = compare(subject(uint8, 2), ["builtin", "micro"])
    assert record.engine("micro").refused.startswith("TensorFlow Lite Micro refuses it: ")
    assert record.engine("builtin").refused is None


def test_micro_gets_weights_that_lie_behind_the_flatbuffer() -> None:
    """Micro reads none there, and computes without an error."""
    pytest.importorskip("tflite_micro")
    content = chain(2)
    record = compare(subject(with_weights_behind(content), 2), ["builtin", "micro"])
    assert "keeps weights behind its flatbuffer, where micro does not look" in record.notes[0]
    plain = compare(subject(content, 2), ["builtin", "micro"])
    assert plain.notes == ()
    found, expected = record.engine("micro"), plain.engine("micro")
    assert (found.deployed, found.first) == (expected.deployed, expected.first)
    assert found.deployed.share < 0.05


def test_what_differs_only_in_the_whole_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that computes something else from equal inputs than the operator does alone."""
    content = chain(3)

    def other_file(function: str, argument: bytes, seconds: float) -> bytes:
        record, arrays = unpacked(argument)
        if record["engine"] == "reference":
            record["engine"] = "builtin"
            if "file" in arrays:
                arrays["file"] = np.frombuffer(with_bias_moved(content, 1, STEP), np.uint8)
        return in_process(function, packed(record, arrays), seconds)

    monkeypatch.setattr(calls, "run_apart", other_file)
    found = compare(subject(content, 2), ["builtin", "reference"]).engine("reference")
    assert (found.first, found.first_cause) == (1, CONTEXT)
    assert [f.cause for f in found.operators] == ["", CONTEXT, INHERITED]


@pytest.mark.filterwarnings("ignore:.*debugging purposes")
def test_xnnpack_deployed_and_op_by_op(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "run_apart", in_process)
    record = compare(subject(chain(4)), ["builtin", "xnnpack"], runs=2)
    xnnpack = record.engine("xnnpack")
    values = IMAGES * 16 * 8
    assert [f.delegated for f in xnnpack.operators] == [True] * 4
    assert xnnpack.deployed.values == xnnpack.kept.values == xnnpack.keeping.values == values
    assert (xnnpack.milliseconds or 0) > 0
    kinds = {figures.kind: figures for figures in xnnpack.kinds}
    assert kinds["CONV_2D"].operators == 2
    assert kinds["CONV_2D"].alone.values == 2 * values
    builtin = record.engine("builtin")
    assert [f.delegated for f in builtin.operators] == [None] * 4
    assert all(f.alone.differing == 0 for f in builtin.operators)
    assert record.notes == ()


def test_unknown_engines() -> None:
    for engines in (["builtin", "cuda"], ["builtin", "builtin"], []):
        with pytest.raises(ValueError, match="engines must be different ones of"):
            compare(subject(chain(1)), engines)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from tfqdyn.engines import comparison

    monkeypatch.setattr(calls, "run_apart", in_process)
    whole = subject(chain(3))
    one = compare(whole, ["builtin", "reference"])
    monkeypatch.setattr(comparison, "MOST_SAMPLES", 4)
    assert compare(whole, ["builtin", "reference"]) == one
    assert dataclasses.asdict(one)["images"] == IMAGES
