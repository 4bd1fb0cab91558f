"""The command's parts: draws, merging of trials, the automatic choice, files."""

import json
from dataclasses import replace
from pathlib import Path

import faulty_networks
import keras
import numpy as np
import pytest

from tfqdyn import pipeline, results
from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import DataError, Dataset
from tfqdyn.measurement.runs import assemble
from tfqdyn.measurement.sampling import disjoint_draws
from tfqdyn.network import modelfile
from tfqdyn.network.folding import Folded, fold_batchnorm
from tfqdyn.network.lowering import lower
from tfqdyn.remedies import CalibrationImages, Remedied, RemedyError, choose, remedy, runner
from tfqdyn.remedies.auto import Attempt, Choice
from tfqdyn.remedies.catalogue import REMEDIES
from tfqdyn.remedies.report import attempts_table, findings_table, named

CONFIG = AnalysisConfig(preprocessing="tf", trials=2, calibration_size=48, calibrator="minmax")


def labelled(model: keras.Model) -> Dataset:
    """Images whose labels are what the fp32 network says."""
    x = faulty_networks.photographs()
    logits = np.asarray(model(x / np.float32(127.5) - np.float32(1)))
    return Dataset("images", x, logits.argmax(axis=1).astype(np.int64))


def test_images_that_calibrate_are_never_scored() -> None:
    data = labelled(faulty_networks.small_net())
    drawn = disjoint_draws(data, CONFIG)
    assert len(drawn) == 2
    for d in drawn:
        assert len(d.calibration) == 48
        assert sorted([*d.calibration, *d.scored]) == list(range(72))
    few = disjoint_draws(data, replace(CONFIG, max_images=10))
    assert all(len(d.scored) == 10 and not np.isin(d.scored, d.calibration).any() for d in few)
    with pytest.raises(DataError, match="all of which calibrate"):
        disjoint_draws(data, replace(CONFIG, calibration_size=72))


def test_training_images_calibrate_where_there_are_any() -> None:
    data = labelled(faulty_networks.small_net())
    both = replace(data, x_train=data.x_test[:30], y_train=data.y_test[:30])
    assert [len(d.scored) for d in disjoint_draws(both, CONFIG)] == [72, 72]
    done = remedy(faulty_networks.small_net(), both, ["bias_correction"], CONFIG)
    assert done.stages[1].result.data.calibration_split == "x_train"
    assert len(done.stages[1].result.summary.qmse.trials) == 2


def test_command_writes_every_step(tmp_path) -> None:
    model = faulty_networks.dead_model()
    names = ["zero_variance", "bias_correction"]
    done = remedy(model, labelled(model), names, CONFIG, tmp_path / "out")
    folders = ["0_none", "1_zero_variance", "2_bias_correction"]
    assert [stage.name for stage in done.stages] == folders
    qkl = [stage.result.summary.qkl_div.mean for stage in done.stages]
    assert qkl[1] < 0.5 * qkl[0]
    for folder in folders:
        record = results.read(tmp_path / "out" / folder)
        assert len(record["summary"]["quantized_accuracy"]["trials"]) == 2
        held_out = zip(record["data"]["calibration_images"], record["data"]["scored"], strict=True)
        assert all(not set(drawn) & set(scored) for drawn, scored in held_out)
        for file in ("layers.csv", "layers.png", "trial_0.tflite", "trial_1.tflite"):
            assert (tmp_path / "out" / folder / file).stat().st_size > 0
    assert results.read(tmp_path / "out/0_none")["layers"][0]["own_sqnr_db"]["mean"] > 0
    (first, second) = json.loads((tmp_path / "out/1_zero_variance/remedy.json").read_text())
    assert {c["channel"] for c in first["changes"]} == {3, 8}
    assert first == second | {"figures": first["figures"]}
    cured = modelfile.load(tmp_path / "out" / "cured.keras")
    deployed = done.stages[-1].folded[0].deployed
    x = faulty_networks.photographs()[:4] / np.float32(127.5) - np.float32(1)
    kernel = fold_batchnorm(lower(cured)).graph.by_name["pw"].weights["kernel"]
    np.testing.assert_array_equal(kernel, deployed.by_name["pw"].weights["kernel"])
    assert np.asarray(cured(x)).shape == (4, 10)
    file = (tmp_path / "out" / "cured.tflite").read_bytes()
    assert file == (tmp_path / "out" / "2_bias_correction" / "trial_0.tflite").read_bytes()


def test_auto_follows_the_diagnosis_and_stops(tmp_path) -> None:
    model = faulty_networks.dead_model()
    done = remedy(model, labelled(model), config=replace(CONFIG, trials=1), out=tmp_path)
    (choice,) = done.choices
    assert choice.remedies[0] == "zero_variance"
    assert choice.findings[0].fault == "dead_variance"
    kept = [attempt.remedy for attempt in choice.attempts if attempt.kept]
    assert list(choice.remedies) == kept
    assert done.stages[-1].name == f"{len(kept)}_{kept[-1]}"
    qkl = [stage.result.summary.qkl_div.mean for stage in done.stages]
    assert qkl[-1] < 0.5 * qkl[0]
    (record,) = json.loads((tmp_path / "choices.json").read_text())
    assert record["remedies"] == kept
    assert record["attempts"][0]["qkl_div"] == list(choice.attempts[0].distance)
    assert findings_table(done).row_count >= 1
    assert attempts_table(done.choices).row_count == len(choice.attempts)
    assert named(done.stages[0]).model.name == "0_none"


def test_auto_judges_networks_without_classes_by_their_outputs(tmp_path: Path) -> None:
    """The sick network as an encoder of images, which has neither labels nor scores."""
    sick = faulty_networks.dead_model()
    head = keras.layers.Conv2D(3, 1, name="image")
    model = keras.Model(sick.inputs, head(sick.get_layer("pw_relu").output))
    data = Dataset("images", faulty_networks.photographs())
    done = remedy(model, data, config=replace(CONFIG, trials=1), out=tmp_path)
    (choice,) = done.choices
    assert choice.remedies[0] == "zero_variance"
    assert {attempt.yardstick.name for attempt in choice.attempts} == {"output noise over signal"}
    sqnr = [stage.result.summary.outputs[0].sqnr_db.mean for stage in done.stages]
    assert sqnr[-1] > sqnr[0] + 6
    before, after = choice.attempts[0].distance
    assert -10 * np.log10(before) == pytest.approx(sqnr[0], abs=2)  # of other images
    assert -10 * np.log10(after) == pytest.approx(sqnr[1], abs=2)
    for attempt in choice.attempts:
        assert attempt.kept == (attempt.distance[1] <= 0.9 * attempt.distance[0])
    (record,) = json.loads((tmp_path / "choices.json").read_text())
    tried = record["attempts"][0]
    assert (tried["yardstick"], tried["noise"]) == ("output noise over signal", [before, after])
    assert "output noise over signal" in str(attempts_table(done.choices).columns[1].header)


def test_every_trial_chooses_on_its_own_images() -> None:
    model = faulty_networks.dead_model()
    data = labelled(model)
    done = remedy(model, data, config=CONFIG)
    drawn = disjoint_draws(data, CONFIG)
    assert len(done.choices) == len(drawn) == 2
    for k, (choice, own) in enumerate(zip(done.choices, drawn, strict=True)):
        assert len(choice.held_out) == 12  # a quarter of 48
        assert set(choice.held_out) <= set(own.calibration)
        for stage in done.stages:
            scored = list(stage.result.data.scored[k])
            assert scored == own.scored.tolist()
            assert not set(scored) & set(choice.held_out)
    assert done.choices[0].held_out != done.choices[1].held_out
    assert done.choices[0].attempts[0].distance != done.choices[1].attempts[0].distance


def chosen(monkeypatch: pytest.MonkeyPatch, *courses: tuple[str, ...]) -> None:
    """`auto` chooses these courses, trial by trial."""
    left = [Choice(course, (), (), ()) for course in courses]
    monkeypatch.setattr(runner, "choose", lambda *_: left.pop(0))


@pytest.mark.parametrize("split", ["x_test", "x_train"])
def test_trials_may_choose_differently(split: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = faulty_networks.dead_model()
    data = labelled(model)
    if split == "x_train":
        data = replace(data, x_train=data.x_test, y_train=data.y_test)
    chosen(monkeypatch, ("zero_variance", "equalization"), ("zero_variance",))
    done = remedy(model, data, config=CONFIG)
    assert [stage.name for stage in done.stages] == ["0_none", "1_zero_variance", "2_auto"]
    last = done.stages[-1]
    assert last.remedied[0] is not None
    assert last.remedied[0].remedy == "equalization"
    assert last.remedied[1] is None
    assert last.folded[1] is done.stages[1].folded[1]
    summary = last.result.summary
    assert len(summary.qkl_div.trials) == 2
    assert summary.qkl_div.trials[1] == done.stages[1].result.summary.qkl_div.trials[1]
    assert summary.fp32_accuracy == done.stages[0].result.summary.fp32_accuracy == 1.0
    rows = {row.name: row.reference for row in last.result.layers}
    assert rows["dw"] == "remedied"
    assert all(len(row.qmse.trials) == 1 for row in last.result.layers)
    assert last.result.notes[-3] == (
        "Networks of trials differ in their rows; layers are of trials 1."
    )
    assert last.result.notes[-1] == (
        "Trials chose different remedies: equalization in 1 of 2, no more remedy in 1 of 2."
    )
    assert len(last.result.tflite) == 2


def test_a_chosen_remedy_that_refuses_all_images_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuses(folded: Folded, images: CalibrationImages) -> Remedied:
        raise RemedyError("not on these images")

    monkeypatch.setitem(REMEDIES, "zero_variance", refuses)
    model = faulty_networks.small_net()
    one = replace(CONFIG, trials=1)
    chosen(monkeypatch, ("zero_variance",))
    stage = remedy(model, labelled(model), config=one).stages[1]
    assert stage.result.notes[-1] == "zero_variance: not on these images"
    assert stage.folded[0].graph is stage.folded[0].reference
    with pytest.raises(RemedyError, match="not on these images"):
        remedy(model, labelled(model), ["zero_variance"], one)


def test_tables_count_trials() -> None:
    attempts = [Attempt("adaround", "coarse", (0.4, after), after < 0.2) for after in (0.1, 0.3)]
    refused = Attempt("zero_variance", "dead", (0.4, 0.4), False, "no change")
    choices = [
        Choice(("adaround",), (attempts[0], refused), (), ()), Choice((), (attempts[1],), (), ()),
    ]  # fmt: skip
    table = attempts_table(choices)
    cells = [list(column.cells) for column in table.columns]
    assert cells[:3] == [
        ["adaround", "zero_variance"],
        ["0.4 to 0.2", "0.4 to 0.4"],
        ["1 of 2 trials", "0 of 2 trials; no change"],
    ]


def test_auto_leaves_a_healthy_network_alone() -> None:
    ward = faulty_networks.ward()
    assert choose(faulty_networks.healthy(), ward.material).remedies == ()


def test_auto_needs_images() -> None:
    material = replace(faulty_networks.ward().material, indices=np.arange(3))
    with pytest.raises(ValueError, match="at least 4 images, received 3"):
        choose(faulty_networks.healthy(), material)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["zero_varianc"], "some of .*'zero_variance'.*received zero_varianc"),
        (["auto", "adaround"], "received auto, adaround"),
        (["adaround", "adaround"], "each remedy once"),
        ([], "received nothing"),
    ],
)
def test_unknown_names_are_refused(names, message) -> None:
    model = faulty_networks.small_net()
    with pytest.raises(ValueError, match=message):
        remedy(model, labelled(model), names, CONFIG)


def test_trials_that_score_different_images_are_one_run() -> None:
    """Sums are joined: no figure is a mean of figures."""
    ward, folded = faulty_networks.ward(), faulty_networks.healthy()
    labels = np.arange(len(ward.images)) % 10
    data = Dataset("images", ward.images, labels)
    scored = [np.arange(40, 60), np.arange(50, 72)]
    config = replace(faulty_networks.CONFIG, calibrator="minmax")
    parts = [
        pipeline.measure_draws([folded], data, [ward.material.indices[k::2]], indices, config)
        for k, indices in enumerate(scored)
    ]
    both = assemble(parts, data, config)
    one, two = (assemble([part], data, config) for part in parts)
    for read in (lambda r: r.summary.qmse, lambda r: r.layers[0].own.qmse):
        assert read(both).trials == (*read(one).trials, *read(two).trials)
    assert both.data.scored == tuple(tuple(indices.tolist()) for indices in scored)
    assert json.loads(both.to_json())["config"]["trials"] == 2
    first_fp32, second_fp32 = (run.summary.fp32_accuracy or 0.0 for run in (one, two))
    assert both.summary.fp32_accuracy == pytest.approx((20 * first_fp32 + 22 * second_fp32) / 42)
    first, second, joined = (r.layers[0] for r in (one, two, both))
    assert joined.rms**2 == pytest.approx((20 * first.rms**2 + 22 * second.rms**2) / 42)
    assert len(joined.quantization) == 2
    assert joined.kernel_grid == first.kernel_grid
    signal, error = np.sum([part.measured.pairs[0][0].channels for part in parts], axis=0)
    assert joined.channels.sqnr_db == pytest.approx(10 * np.log10(signal / error))
