"""Yun & Wong's CIFAR artifacts on rows made by hand."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments import mobilenets
from experiments.engine.artifact import Scope
from experiments.engine.imagenet import ImageNet
from experiments.engine.jobs import Analysis, analysis_of
from experiments.engine.networks import ABLATION
from experiments.engine.scales import PAPER, SMOKE
from experiments.engine.store import Store
from experiments.mobilenets import engines, table_1
from tfqdyn.schemes import DEVIATIONS


def test_figures_show_all_networks_of_the_ablation():
    scope = Scope(PAPER, 0, ImageNet())
    artifacts = {artifact.name: artifact for artifact in mobilenets.ARTIFACTS}
    counts = {name: len(artifacts[f"mobilenets/{name}"].jobs(scope)) for name in (
        "table_1", "figure_1", "figure_2", "figure_4", "figure_5", "figure_s1", "figure_s2",
        "figure_s3", "figure_s4", "figure_s5", "figure_s6", "figure_s7",
    )}  # fmt: skip
    assert list(counts.values()) == [16, 4, 12, 12, 12, 12, 12, 4, 4, 4, 4, 12]


def test_table_shows_published_figures_and_failures(finish: Callable[..., Store]):
    scope = Scope(SMOKE, 0, ImageNet())
    networks = SMOKE.networks(ABLATION)
    spread = {"mean": 0.5, "std": 0.25, "trials": [0.25, 0.75]}
    summary = {"fp32_accuracy": 0.75, "qmse": {"mean": 0.125, "std": None, "trials": [0.125]}}
    names = ("quantized_accuracy", "percent_accuracy_decrease", "qce", "qkl_div")
    summary |= dict.fromkeys(names, spread)
    for position, network in enumerate(networks):
        job = analysis_of(network, SMOKE, 0)
        failed = position == 0
        result = {
            "status": "diverged" if failed else "finished",
            "reason": "loss nan" if failed else "",
            "epoch": 2,
            "steps": 16,
            "summary": None if failed else summary,
        }
        record = {"schema": 1, "data": {"images": 64}}
        store = finish(job, result, results__json=json.dumps(record))
    rows = table_1.ARTIFACT.rows(scope, store)
    assert len(rows) == len(networks) > 1
    failure, success = rows[0], rows[1]
    assert failure["network"] == "MobileNet With Gamma GlorotUni"
    assert (failure["status"], failure["reason"]) == ("diverged", "loss nan")
    assert failure["uint8_accuracy"] is None
    assert failure["published_uint8_accuracy"] == 65.87
    assert success["network"] == "DWS Conv With Gamma GlorotUni"
    assert (success["batch_norm"], success["initializer"]) == ("With Gamma", "GlorotUni")
    assert (success["fp32_accuracy"], success["uint8_accuracy"]) == (75.0, 50.0)
    assert (success["uint8_accuracy_std"], success["qmse"], success["qmse_std"]) == (
        25,
        0.125,
        None,
    )
    assert (success["published_qkl_div"], success["published_qkl_div_std"]) == (2.04, 1.34)


def test_networks_that_are_not_done_yet_are_named(tmp_path: Path):
    rows = table_1.ARTIFACT.rows(Scope(SMOKE, 0, ImageNet()), Store(tmp_path))
    assert [row["status"] for row in rows] == ["not done yet"] * len(SMOKE.networks(ABLATION))
    assert rows[0]["published_uint8_accuracy"] == 65.87
    assert "fp32_accuracy" not in rows[0]


@pytest.mark.realdata
def test_published_figures_are_the_supplements():
    name = "do_all_mobilenets_quantize_poorly_supplement.txt"
    path = Path(__file__).parents[3] / "shared" / "papers" / name
    if not path.exists():
        pytest.skip("the supplement is not here")
    cells = [line.split("\t") for line in path.read_text().splitlines()]
    found = {
        network: tuple(float(number) for cell in figures for number in cell.split(" +/- "))
        for network, *figures in cells
        if network in table_1.PUBLISHED
    }
    assert found == table_1.PUBLISHED


def test_points_of_every_switch(finish: Callable[..., Store]):
    """Losses by hand: 10 points with all deviations, 1 without any, 6 but for one, 3 by one."""
    scope = Scope(SMOKE, 0, ImageNet())
    found = engines.switched(scope)
    assert isinstance(found, dict)
    assert len(found) == 3 + 2  # the first deviation alone, at this scale
    losses = {"TFLite's uint8": 0.5, "all": 10.0, "none": 1.0}
    spread = {"mean": 0.5, "std": None, "trials": [0.5]}
    for name, job in found.items():
        lost = losses.get(name, 6.0 if name.startswith("all but") else 3.0)
        names = ("quantized_accuracy", "percent_accuracy_decrease", "qmse", "qce", "qkl_div")
        summary = {"fp32_accuracy": 0.75, **dict.fromkeys(names, spread)}
        points = {"mean": lost, "std": None, "trials": [lost]}
        summary["loss"] = {"points": points, "interval": [lost - 1, lost + 1]}
        done = {"status": "analyzed", "reason": "", "summary": summary, "changes": {}}
        store = finish(job, {**done, "images": 64, "calibration_images": 32})
    rows = {row["deviations"]: row for row in engines.switch_rows(scope, store)}
    assert [rows[name]["points_of_switch"] for name in losses] == [None, None, None]
    assert rows["all but bias_8bit"]["points_of_switch"] == 4.0
    assert rows["bias_8bit alone"]["points_of_switch"] == 2.0
    left = {name: job.config.deviations for name, job in found.items() if name != "none"}
    assert left["bias_8bit alone"] == ("bias_8bit",)
    assert left["all but bias_8bit"] == tuple(n for n in DEVIATIONS if n != "bias_8bit")
    assert left["all"] == tuple(DEVIATIONS)
    assert len(engines.variants(tuple(DEVIATIONS))) == 2 + 2 * len(DEVIATIONS)


def test_both_engines_have_a_row_for_every_network():
    scope = Scope(PAPER, 0, ImageNet())
    jobs = engines.jobs(scope)
    schemes = [job.config.scheme for job in jobs if isinstance(job, Analysis)]
    assert schemes == ["uint8", "graph_transform_tool"] * 16
