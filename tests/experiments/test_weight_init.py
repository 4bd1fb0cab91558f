"""The thesis' chapter 4: artifacts and claims on rows made by hand, and on the published ones."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from experiments import weight_init
from experiments.engine.artifact import Scope
from experiments.engine.imagenet import ImageNet
from experiments.engine.jobs import analysis_of, training_of
from experiments.engine.networks import BATCH_NORM, OVER_TRAINING, WEIGHT_INIT
from experiments.engine.scales import CHECKPOINTS, PAPER, REDUCED, SMOKE
from experiments.engine.store import Store
from experiments.evidence.claims import Judgement
from experiments.weight_init import (
    checkpoints,
    claims,
    course_judging,
    dynamics,
    early_ranking,
    table_4_2,
    table_4_3,
    table_4_4,
)
from experiments.weight_init.selection import DISCUSSED, DYING, LIVING

CLAIMS = {claim.name: claim for claim in claims.CLAIMS}
SCOPE = Scope(SMOKE, 0, ImageNet())
Row = dict[str, Any]
Finish = Callable[..., Store]


def published_table() -> list[Row]:
    """Table 4.2 as if it were ours: one draw without a deviation."""
    rows = []
    for network in WEIGHT_INIT:
        theirs = table_4_2.published(network)
        rows.append(
            {
                "network": network.name,
                "family": network.family,
                "batch_norm": BATCH_NORM[network.batch_norm],
                "initializer": network.initializer,
                "status": theirs["published_status"],
                "percent_decrease_std": None,
                "draws": 1,
                **{name: theirs[f"published_{name}"] for name in table_4_2.FIGURES},
                **theirs,
            }
        )
    return rows


def published_checkpoints() -> tuple[list[Row], list[Row]]:
    """Tables 4.3 and 4.4 as if they were ours."""
    tables = ((table_4_3.PUBLISHED, "percent_decrease"), (table_4_4.PUBLISHED, "qmse"))
    first, second = (
        [
            {"network": name, "published_epoch": epoch, "status": "finished", column: at[-1]}
            for name, epochs in published.items()
            for epoch, at in zip(CHECKPOINTS, epochs, strict=True)
        ]
        for published, column in tables
    )
    return first, second


def judged(claim: str, **rows: list[Row]) -> Judgement:
    found = {"table_4_2": published_table()} | rows
    return CLAIMS[f"weight_init/{claim}"].judge({f"weight_init/{n}": of for n, of in found.items()})


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
    }


def record(*folded_ranges: float) -> str:
    """A results.json of numbered layers, and one op without a number."""
    layer = {
        "folded_weights": {"average_precision": 0.5},
        "activations": {"range": spread(3.0), "average_precision": spread(0.25)},
    }
    layers = [
        {
            **layer,
            "number": number,
            "folded_weights": {"range": value, "average_precision": 0.5},
        }
        for number, value in enumerate(folded_ranges, 1)
    ]
    record = {"schema": 1, "data": {"images": 500}, "layers": [*layers, {"number": None}]}
    return json.dumps(record)


DYNAMICS = """epoch,number,name,weight_range,weight_average_precision,gradient_norm,activation_min,activation_max
1,1,conv_1,{0},0.5,1,0.0,4.0
1,2,conv_2,4.0,0.7,1,-1.0,5.0
2,1,conv_1,3.0,0.5,1,0.0,4.0
2,2,conv_2,4.0,0.7,1,0.0,5.0
"""  # noqa: E501


def test_every_claim_reads_artifacts_that_there_are():
    names = {artifact.name for artifact in weight_init.ARTIFACTS}
    assert {name for claim in claims.CLAIMS for name in claim.artifacts} <= names
    assert len(CLAIMS) == len(claims.CLAIMS) == 20
    assert len(names) == len(weight_init.ARTIFACTS) == 11


def test_published_table_has_the_thesis_rows():
    assert len(table_4_2.PUBLISHED) == 33
    assert table_4_2.PUBLISHED.keys() <= {network.name for network in WEIGHT_INIT}
    for fp32, uint8, _, _, decrease in table_4_2.PUBLISHED.values():
        assert decrease == pytest.approx(abs(fp32 - uint8) / fp32 * 100, abs=0.02)  # Eq. 4.11
    statuses = [row["published_status"] for row in published_table()]
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
        "status": "finished", "images": 500, "qmse": 2, "qmse_std": 0.5, "published_qmse": 0.023,
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
    at_5 = by_name["analysis", "percent_decrease", 5]
    assert at_5["rho"] == pytest.approx(1 - 6 * 2 / (5 * 24))
    assert (at_5["networks"], at_5["worst"], at_5["rank_of_worst"]) == (5, networks[-1].name, 2)
    assert by_name["analysis", "percent_decrease", 200]["rho"] == pytest.approx(1.0)
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
        "percent_decrease": 7.0, "qmse": 0.25, "qkl_div": 1.0, "fp32_accuracy": 50.0,
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


@pytest.mark.parametrize(
    "claim",
    ["randuni_large_best", "he_worst", "modglorot_med_worst", "dws_no_bn_dies",
     "regular_no_bn_lives", "batch_norm_lets_all_train"],
)  # fmt: skip
def test_claims_about_the_table_hold_of_the_published_one(claim: str):
    assert judged(claim, table_4_2=published_table()).holds is True


def test_batch_norm_costs_in_the_published_table_but_not_beyond_chance():
    judgement = judged("batch_norm_costs_accuracy", table_4_2=published_table())
    assert judgement.holds is None
    assert judgement.effect == (
        "5 of 8 pairs lose more with batch norm; median points 0.83 (n = 8, p = 0.098)"
    )  # 25 of the 256 assignments of signs to ranks have a negative sum of at most 8


def test_batch_norm_that_helps_refutes_the_claim():
    rows = published_table()
    for row in rows:
        if row["batch_norm"] == "With BN":
            row["percent_decrease"] = 0.1
    assert judged("batch_norm_costs_accuracy", table_4_2=rows).holds is False


def test_batch_norm_costs_depthwise_networks_more():
    judgement = judged("batch_norm_costs_depthwise_more", table_4_2=published_table())
    assert judgement.holds is None  # 13 of 16 pairs above, as many or more in 7 of 70 orders
    assert judgement.effect == (
        "median points 3.37 depthwise, 0.17 regular; pairs above 0.812 (n = 8, p = 0.1)"
    )


def test_ranks_that_are_not_the_claimed_ones():
    rows = published_table()
    best = next(row for row in rows if row["network"] == "DWS Conv With BN RandUni_Large")
    best["percent_decrease"] = 10.5
    judgement = judged("randuni_large_best", table_4_2=rows)
    assert judgement.holds is False
    assert "place 2 of 12; nearest others DWS Conv With BN ModGlorotUni_Large 10.1" in (
        judgement.effect
    )
    best["status"] = "vanished"
    assert judged("randuni_large_best", table_4_2=rows).holds is None


def test_another_survivor_or_fewer_initializations():
    rows = published_table()
    row = next(row for row in rows if row["network"] == "DWS Conv No BN RandUni_Med")
    row["status"] = "finished"
    judgement = judged("dws_no_bn_dies", table_4_2=rows)
    assert judgement.holds is False
    assert "alike 11 of 12, Fisher's exact p = 0.01" in judgement.effect  # 5 / 495
    assert judged("dws_no_bn_dies", table_4_2=rows[:11]).holds is None


def test_initializations_against_draws():
    rows = [
        {"family": "DWS", "batch_norm": "With BN", "status": "finished", "network": str(value),
         "percent_decrease": value, "percent_decrease_std": 2.0, "draws": 3}
        for value in (1.0, 3.0, 5.0)
    ]  # fmt: skip
    judgement = judged("initialization_decides", table_4_2=rows)
    assert judgement.effect.startswith("DWS With BN F(2, 6) = 3, p = 0.12")  # 3 x 4 / 4; 1 / 2**3
    assert judgement.holds is False
    for row in rows:
        row["percent_decrease_std"] = 0.5
    assert judged("initialization_decides", table_4_2=rows).holds is True


def layers(values: dict[str, list[float]], column: str) -> list[Row]:
    """Rows of convolutions, and a dense layer that none of the rules may look at."""
    return [
        {"network": name, "number": number, "kind": kind, column: value}
        for name, of in values.items()
        for number, (kind, value) in enumerate([*(("conv", v) for v in of), ("dense", 99.0)], 1)
    ]


def test_vanishing_activations():
    table = published_table()
    ranges = {DYING.name: [5.0, 1.0, 0.1, 0.02, 0.01], LIVING.name: [5.0, 9.0, 2.0, 3.0, 1.0]}
    figure = layers(ranges, "activation_range")
    assert judged("vanishing_activations", table_4_2=table, figure_4_2=figure).holds is True
    ranges[LIVING.name][2] = 0.005
    figure = layers(ranges, "activation_range")
    assert judged("vanishing_activations", table_4_2=table, figure_4_2=figure).holds is False
    next(row for row in table if row["network"] == LIVING.name)["status"] = "vanished"
    assert judged("vanishing_activations", table_4_2=table, figure_4_2=figure).holds is None


def test_weights_range_is_not_the_whole_story():
    best, *others = (network.name for network in DISCUSSED)
    ranges = {best: [2.0, 2.1, 2.2, 2.3, 2.4, 2.5], **dict.fromkeys(others, [1.0] * 6)}
    table, figure = published_table(), layers(ranges, "weight_range")
    claim = "weights_range_is_not_all"
    assert judged(claim, table_4_2=table, figure_4_3=figure).holds is True
    ranges[best] = [0.5] * 6
    figure = layers(ranges, "weight_range")
    assert judged(claim, table_4_2=table, figure_4_3=figure).holds is False


def test_layer_2():
    best, he_norm, he_uni, glorot = (network.name for network in DISCUSSED)
    spikes = {best: [3, 2, 4], he_norm: [1, 5, 2], he_uni: [1, 4, 3], glorot: [1, 1, 1]}
    assert judged("folded_range_at_layer_2", figure_4_4=layers(spikes, "folded_range")).holds
    spikes[he_uni] = [1, 2, 3]
    judgement = judged("folded_range_at_layer_2", figure_4_4=layers(spikes, "folded_range"))
    assert judgement.holds is False
    precisions = {best: [0.3, 0.4, 1], he_norm: [0.5, 0.2, 1], glorot: [0.5, 0.4, 1]}
    rows = layers(precisions, "folded_precision")
    assert judged("folded_precision_at_layer_2", figure_4_4=rows).holds is True
    precisions[best] = [0.3, 0.3, 1]
    rows = layers(precisions, "folded_precision")
    assert judged("folded_precision_at_layer_2", figure_4_4=rows).holds is False
    precisions = {best: [0.5, 0.45, 1], he_norm: [0.5, 0.2, 1], glorot: [0.5, 0.4, 1]}
    rows = layers(precisions, "activation_precision")
    for row in rows:
        row["activation_range"] = float(row["number"])
    assert judged("activations_at_layer_2", figure_4_5=rows).holds is True
    rows[1]["activation_precision"] = 0.39
    assert judged("activations_at_layer_2", figure_4_5=rows).holds is False


def test_the_worst_are_known_by_75_in_the_published_tables():
    first, second = published_checkpoints()
    judgement = judged("worst_known_by_75", table_4_3=first)
    assert judgement.holds is True
    assert "HeNorm 22.2 then (place 1 of 8), 30.1 at the end" in judgement.effect
    assert judged("two_worst_known_by_75", table_4_4=second).holds is True
    next(r for r in first if r["published_epoch"] == 75)["percent_decrease"] = 50.0
    assert judged("worst_known_by_75", table_4_3=first).holds is False
    assert judged("worst_known_by_75", table_4_3=first[:15]).holds is None


def early(rho: float, p: float, networks: int = 30) -> list[Row]:
    return [
        {"source": "analysis", "statistic": name, "published_epoch": epoch, "networks": networks,
         "rho": rho if epoch == 5 else 0.1, "p": p}
        for name in ("percent_decrease", "qmse") for epoch in CHECKPOINTS
    ]  # fmt: skip


def test_early_epochs_say_nothing_or_something():
    judgement = judged("epoch_5_says_nothing", early_ranking=early(0.1, 0.6))
    assert judgement.holds is True
    # Published ranks: 8 2 5 7 3 4 6 1 at epoch 5, 3 6 8 7 1 4 5 2 in the end.
    assert f"published eight {1 - 6 * 56 / (8 * 63):.3g} (n = 8" in judgement.effect
    assert judged("epoch_5_says_nothing", early_ranking=early(0.6, 0.001)).holds is False
    assert judged("epoch_5_says_nothing", early_ranking=early(0.6, 0.001, 8)).holds is None
    assert judged("ranking_hard_to_predict", early_ranking=early(0.7, 0.001)).holds is True
    assert judged("ranking_hard_to_predict", early_ranking=early(0.71, 0.001)).holds is False


def course(steps: list[float], column: str, scale: float = 1.0) -> list[Row]:
    """Six layers of one network that all take the same course."""
    return [
        {"network": "n", "number": number, "epoch": epoch, column: number * (1 + scale * step)}
        for number in range(1, 7)
        for epoch, step in enumerate(steps, 1)
    ]


def test_convergence_and_early_variation():
    settles = [0.0, 0.4, 0.6, 0.7, 0.75, 0.77, 0.78, 0.78, 0.78]
    both = [
        {**row, "weight_precision": row["weight_range"]} for row in course(settles, "weight_range")
    ]
    other = [{**row, "network": "m"} for row in both]
    figures = {"figure_4_6": both, "figure_4_7": other}
    wild = course(settles, "activation_range", 3.0)
    judgement = judged("statistics_converge", **figures, figure_4_8=wild)
    assert judgement.holds is True
    assert "0.00% in the last" in judgement.effect
    assert judged("activations_vary_most", **figures, figure_4_8=wild).holds is True
    calm = course(settles, "activation_range", 0.1)
    assert judged("activations_vary_most", **figures, figure_4_8=calm).holds is False
    short = {name: [r for r in rows if r["epoch"] < 8] for name, rows in figures.items()}
    assert judged("statistics_converge", **short, figure_4_8=[]).holds is None
    (steps, *_) = course_judging.changes(
        course([0.0, 2.0], "weight_range"), "weight_range"
    ).values()
    assert steps == [1.0]  # from 1 to 3, mean 2
