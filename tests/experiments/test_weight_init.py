"""The thesis' chapter 4: artifacts and claims on rows made by hand, and on the published ones."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import handmade
import pytest
from handmade import layer

from experiments import weight_init
from experiments.engine.artifact import Scope
from experiments.engine.imagenet import ImageNet
from experiments.engine.jobs import analysis_of, training_of
from experiments.engine.networks import OVER_TRAINING, WEIGHT_INIT
from experiments.engine.scales import CHECKPOINTS, PAPER, REDUCED, SMOKE
from experiments.engine.store import Store
from experiments.weight_init import (
    checkpoints,
    dynamics,
    early_ranking,
    table_4_1,
    table_4_2,
    table_4_3,
    table_4_4,
)
from models import initializers
from tfqdyn.results import ActivationRow, WeightRow, plain

SCOPE = Scope(SMOKE, 0, ImageNet())
Row = dict[str, Any]
Finish = Callable[..., Store]


def spread(mean: float) -> Row:
    return {"mean": mean, "std": 0.5, "trials": [mean]}


def summary(decrease: float, qmse: float = 0.25) -> Row:
    return {
        "fp32_accuracy": 0.5,
        "quantized_accuracy": spread(0.25),
        "percent_accuracy_decrease": spread(decrease),
        "qmse": spread(qmse),
        "qce": spread(2.0),
        "qkl_div": spread(1.0),
        "loss": {"points": spread(decrease), "interval": [decrease - 1, decrease + 1]},
    }


def record(*folded_ranges: float) -> str:
    """A results.json of numbered layers, and one op without a number."""
    same = layer(1, handmade.spread(0.0))
    activations = ActivationRow(handmade.spread(3.0), handmade.spread(0.25))
    layers = [
        dataclasses.replace(
            same,
            number=number,
            folded_weights=WeightRow(value, 0.5, 0.0, 0.0, 0.0),
            activations=activations,
        )
        for number, value in enumerate(folded_ranges, 1)
    ]
    op = layer(None, handmade.spread(9.0), kernel=False)
    record = {"schema": 1, "data": {"images": 500}, "layers": plain([*layers, op])}
    return json.dumps(record)


DYNAMICS = """epoch,number,name,weight_range,weight_average_precision,gradient_norm,activation_min,activation_max
1,1,conv_1,{0},0.5,1,0.0,4.0
1,2,conv_2,4.0,0.7,1,-1.0,5.0
2,1,conv_1,3.0,0.5,1,0.0,4.0
2,2,conv_2,4.0,0.7,1,0.0,5.0
"""  # noqa: E501


def test_published_table_has_the_thesis_rows():
    assert len(table_4_2.PUBLISHED) == 33
    assert table_4_2.PUBLISHED.keys() <= {network.name for network in WEIGHT_INIT}
    for fp32, uint8, _, _, decrease in table_4_2.PUBLISHED.values():
        assert decrease == pytest.approx(abs(fp32 - uint8) / fp32 * 100, abs=0.02)  # Eq. 4.11
    statuses = [row["published_status"] for row in map(table_4_2.published, WEIGHT_INIT)]
    assert [statuses.count(of) for of in ("finished", "vanished", "diverged")] == [32, 8, 8]


def test_published_checkpoints_end_as_table_4_2():
    for name, epochs in table_4_3.PUBLISHED.items():
        fp32, uint8, qmse, _, decrease = table_4_2.PUBLISHED[name]
        assert epochs[-1] == pytest.approx((fp32, uint8, decrease), abs=1e-9)
        assert table_4_4.PUBLISHED[name][-1] == (qmse,)
        for a32, a8, lost in epochs:
            assert lost == pytest.approx(abs(a32 - a8) / a32 * 100, abs=0.03)
    assert list(table_4_3.PUBLISHED) == list(table_4_4.PUBLISHED)
    assert list(table_4_3.PUBLISHED) == [network.name for network in OVER_TRAINING]


def test_table_4_2_lists_failures_beside_the_published(finish: Finish):
    networks = SMOKE.networks(WEIGHT_INIT)
    for position, network in enumerate(networks):
        status = "diverged" if position == 0 else "finished"
        found = {"status": status, "reason": "r", "epoch": 4}
        found["summary"] = None if position == 0 else summary(5.0)
        store = finish(analysis_of(network, SMOKE, 0), found, results__json=record(1.0))
    rows = table_4_2.ARTIFACT.rows(SCOPE, store)
    assert [row["network"] for row in rows] == [network.name for network in networks]
    failed, dead = rows[:2]
    assert (failed["network"], failed["status"]) == ("DWS Conv No BN RandNorm_Large", "diverged")
    assert (failed["percent_decrease"], failed["published_percent_decrease"]) == (None, 9.82)
    assert failed["published_status"] == "finished"
    assert (dead["network"], dead["percent_decrease"]) == ("DWS Conv No BN GlorotUni", 5.0)
    assert (dead["published_status"], dead["published_qce"]) == ("vanished", 2.303)
    assert (dead["fp32_accuracy"], dead["images"]) == (50.0, 500)


@pytest.mark.parametrize(
    ("scale", "epochs"),
    [(PAPER, [5, 50, 75, 150, 200]), (REDUCED, [1, 5, 8, 15, 20]), (SMOKE, [1, 1, 2, 3, 4])],
)
def test_checkpoints_are_as_far_into_training_and_are_kept(scale: Any, epochs: list[int]):
    network = scale.networks(OVER_TRAINING)[0]
    scope = Scope(scale, 0, ImageNet())
    found = [checkpoints.analysis_at(network, scope, epoch) for epoch in CHECKPOINTS]
    assert [analysis.epoch for analysis in found] == epochs
    trained = training_of(network, scale, 0)
    assert all(a.training == trained and a.epoch in trained.checkpoints for a in found)
    assert found[-1] == analysis_of(network, scale, 0)


def test_table_4_4_has_a_row_for_each_network_and_epoch(finish: Finish):
    jobs: Any = table_4_4.ARTIFACT.jobs(SCOPE)
    for job in jobs:
        found = {"status": "finished", "reason": "", "epoch": job.epoch}
        store = finish(job, {**found, "summary": summary(1.0, job.epoch)}, results__json=record(1))
    rows = table_4_4.ARTIFACT.rows(SCOPE, store)
    assert len(rows) == 4 * 5
    assert [row["qmse"] for row in rows[:5]] == [1, 1, 2, 3, 4]
    told = {"seed": 0, "steps": 0, "scale": "smoke", "train_minutes": 0.0}
    assert told.items() <= rows[7].items()
    digests = ("train_images_sha256", "images_sha256", "network_sha256", "code_sha256")
    assert all(len(str(rows[7][name])) == 12 for name in digests)
    own = {k: v for k, v in rows[7].items() if k not in (*told, *digests) and "commit" not in k}
    assert own == {
        "network": "DWS Conv With BN HeNorm", "family": "DWS", "published_epoch": 75, "epoch": 2,
        "status": "finished", "images": 500, "draws": 2, "loss": 1.0, "loss_low": 0.0,
        "loss_high": 2.0, "qmse": 2, "qmse_std": 0.5, "published_qmse": 0.023,
    }  # fmt: skip


def test_dynamics_give_all_layers_and_name_a_network_without(finish: Finish):
    artifact = next(a for a in weight_init.ARTIFACTS if a.name == "weight_init/figure_4_8")
    regular, depthwise = artifact.jobs(SCOPE)
    finish(regular, {"status": "diverged"})
    store = finish(depthwise, {"status": "finished"}, dynamics__csv=DYNAMICS.format(2.0))
    rows = artifact.rows(SCOPE, store)
    assert rows[0] == {
        "network": "Regular Conv No BN HeUni", "family": "Regular", "epoch": None, "number": None,
        "layer": None, "activation_range": None,
    }  # fmt: skip
    assert [row["activation_range"] for row in rows[1:]] == [4.0, 6.0, 4.0, 5.0]
    left, right = dynamics.draw(rows, ("activation_range",)).axes
    assert len(left.lines) == 0
    assert [list(line.get_ydata()) for line in right.lines] == [[4.0, 4.0], [6.0, 5.0]]


def test_early_ranking_correlates_living_networks(finish: Finish):
    networks = SMOKE.networks(WEIGHT_INIT)
    final = [None, 1.0, 2.0, 3.0, 4.0, 5.0]  # the first one's training vanishes
    early = [9.0, 1.0, 2.0, 3.0, 5.0, 4.0]
    for network, end, start in zip(networks, final, early, strict=True):
        status = "vanished" if end is None else "finished"
        for epoch, job in early_ranking.analyses(network, SCOPE).items():
            figures = summary(start if epoch < 200 else end or 0.0)
            found = {"status": status, "reason": "", "epoch": 1, "summary": figures}
            finish(job, found, results__json=record(start, 3 * start))
        training = training_of(network, SMOKE, 0)
        dynamics_csv = DYNAMICS.format(-start)
        store = finish(training, {"status": status}, dynamics__csv=dynamics_csv)
    rows = early_ranking.rows(SCOPE, store)
    by_name = {(r["source"], r["statistic"], r["published_epoch"]): r for r in rows}
    assert len(by_name) == len(rows) == 8 * 5 + 3 * 2
    at_5 = by_name["analysis", "loss", 5]
    assert at_5["rho"] == pytest.approx(1 - 6 * 2 / (5 * 24))
    assert (at_5["networks"], at_5["worst"], at_5["rank_of_worst"]) == (5, networks[-1].name, 2)
    assert by_name["analysis", "loss", 200]["rho"] == pytest.approx(1.0)
    assert by_name["analysis", "folded_range", 75]["rho"] == pytest.approx(0.9)
    assert by_name["analysis", "folded_precision", 75]["rho"] is None
    assert by_name["dynamics", "weight_range", 50]["rho"] == pytest.approx(-0.9)
    assert by_name["dynamics", "weight_range", 100]["rho"] is None
    left, right = early_ranking.draw(rows).axes
    assert list(left.lines[0].get_ydata()) == pytest.approx([0.9, 0.9, 0.9, 0.9, 1.0])
    assert len(right.lines) == 2  # the statistic that varies at all, and the line of zero


def test_means_over_layers_leave_out_ops(finish: Finish):
    analysis = analysis_of(WEIGHT_INIT[-1], SMOKE, 0)
    found = {"status": "finished", "reason": "", "epoch": 4, "summary": summary(7.0)}
    store = finish(analysis, found, results__json=record(1.0, 2.0, 6.0))
    assert early_ranking.of_analysis(analysis, store) == {
        "loss": 7.0, "qmse": 0.25, "qkl_div": 1.0, "fp32_accuracy": 50.0,
        "folded_range": 3.0, "folded_precision": 0.5, "activation_range": 3.0,
        "activation_precision": 0.25,
    }  # fmt: skip


def test_low_precision_is_bad():
    final = {"a": 1.0, "b": 2.0, "c": 3.0}
    values = {"a": 0.9, "b": 0.2, "c": 0.5}
    assert early_ranking.foretold(values, final, "folded_precision")["rank_of_worst"] == 2
    assert early_ranking.foretold(values, final, "folded_range")["rank_of_worst"] == 2
    values["c"] = 0.1
    assert early_ranking.foretold(values, final, "folded_precision")["rank_of_worst"] == 1
    assert early_ranking.foretold(values, final, "folded_range")["rank_of_worst"] == 3


def test_initializations_draw_what_table_4_1_says(tmp_path: Path):
    rows = {row["initialization"]: row for row in table_4_1.rows(SCOPE, Store(tmp_path))}
    assert list(rows) == list(initializers.STRATEGIES)
    for row in rows.values():
        assert row["std"] == pytest.approx(row["std_of_equations"], rel=0.02)
    assert rows["ModGlorotUni_Large"]["largest"] == pytest.approx((1296 / 1152) ** 0.5, rel=0.01)
    assert rows["RandUni_Small"]["largest"] == pytest.approx(0.25, rel=0.01)
    assert rows["HeNorm"]["std_of_equations"] == pytest.approx(1 / 288**0.5)
