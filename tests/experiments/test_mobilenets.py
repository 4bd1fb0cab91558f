"""Yun & Wong's CIFAR artifacts and claims on rows made by hand."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments import mobilenets
from experiments.engine.artifact import Scope
from experiments.engine.imagenet import ImageNet
from experiments.engine.jobs import analysis_of
from experiments.engine.networks import ABLATION, GAMMA
from experiments.engine.scales import PAPER, SMOKE
from experiments.engine.store import Store
from experiments.evidence.claims import Judgement
from experiments.mobilenets import claims, judging, layer_judging, table_1

CLAIMS = {claim.name: claim for claim in claims.CLAIMS}
Row = dict[str, Any]


def table() -> list[Row]:
    """The published table as if it were ours."""
    return [
        {
            "network": network.name,
            "family": network.family,
            "batch_norm": GAMMA[str(network.batch_norm)],
            "initializer": network.initializer,
            "status": "finished",
            "draws": 5,
            **dict(zip(table_1.COLUMNS, table_1.PUBLISHED[network.name], strict=True)),
            **table_1.published(network.name),
        }
        for network in ABLATION
    ]


def judged(name: str, rows: list[Row], **layers: list[Row]) -> Judgement:
    found = {f"mobilenets/{figure}": of for figure, of in layers.items()}
    return CLAIMS[f"mobilenets/{name}"].judge({"mobilenets/table_1": rows, **found})


def test_every_claim_reads_artifacts_that_there_are():
    names = {artifact.name for artifact in mobilenets.ARTIFACTS}
    assert {name for claim in claims.CLAIMS for name in claim.artifacts} <= names
    assert len(CLAIMS) == len(claims.CLAIMS)


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


@pytest.mark.parametrize("claim", [c.name for c in claims.CLAIMS if len(c.artifacts) == 1])
def test_claims_about_the_table_hold_of_the_published_one(claim: str):
    judgement = CLAIMS[claim].judge({"mobilenets/table_1": table()})
    assert judgement.holds is True
    assert judgement.note == ""


def test_effect_has_the_families_means():
    # (10.29 + 3.83 + 8.80 + 6.27) / 4 and so on; 30 of 32 pairs, all but 8.70 < 10.29, 8.80
    effect = judged("depthwise_percent_decrease", table()).effect
    assert effect.startswith("Regular 7.3 ± 2.8; DWS 20.8 ± 14; MobileNet 14.2 ± 3.7")
    assert "pairs above 0.938 (n = 12, p = 0.0081)" in effect


def test_families_against_the_claim_by_chance_and_too_few():
    few = {"Regular": [1.0, 2.0], "DWS": [3.0], "MobileNet": [4.0]}
    assert judging.families(few).holds is None
    assert "too few" in judging.families(few).note
    chance = {"Regular": [1.0, 2.0, 6.0], "DWS": [3.5, 5.0], "MobileNet": [4.0, 2.5]}
    assert judging.families(chance).holds is None
    assert "chance" in judging.families(chance).note
    against = {"Regular": [1.0, 2.0, 3.0], "DWS": [9.0, 9.0, 9.0], "MobileNet": [1.0, 1.0, 1.0]}
    assert judging.families(against).holds is False
    assert judging.families({"Regular": [1.0]}).note == "no trained network of DWS, MobileNet"


def test_failed_networks_are_left_out_and_named():
    rows = table()
    rows[7] |= {"status": "vanished", "qce": None}
    judgement = judged("depthwise_qce", rows)
    assert judgement.note == "left out: DWS Conv With Gamma GlorotUni (vanished)"
    assert "DWS 0.917" in judgement.effect  # (1.03 + 0.88 + 0.84) / 3


def test_resnet_unlike_regular():
    rows = table()
    for row in rows:
        if row["family"] == "ResNet34":
            row["qmse"] *= 10
    judgement = judged("resnet_like_regular", rows)
    assert judgement.holds is False
    assert "nearer in 3 of 4" in judgement.effect


def test_moves_are_of_pairs_and_their_errors_of_draws():
    effect = judged("initialization_moves", table()).effect
    # depthwise: (7.46 + 0.10 + 4.76 + 30.10) / 4; regular: (6.46 + 2.53) / 2, error
    # sqrt((3.06^2 + 0.87^2 + 0.88^2 + 2.51^2) / 5) / 2
    error = math.sqrt((3.06**2 + 0.87**2 + 0.88**2 + 2.51**2) / 5) / 2
    assert f"depthwise 10.6 ± 3.4 (4 pairs), Regular 4.5 ± {error:.2g} (2 pairs)" in effect
    same = [row | {"percent_decrease": 5.0} for row in table()]
    assert judged("gamma_moves", same).holds is False


def layers(family: str, kinds: str, **values: list[float]) -> list[Row]:
    """Rows of all four networks of a family: kinds by their first letter, values by layer."""
    names = {"c": "conv", "d": "depthwise", "p": "pointwise"}
    return [
        {
            "network": network.name,
            "family": family,
            "number": number,
            "kind": names[kind],
            **{column: of[number - 1] for column, of in values.items()},
        }
        for network in ABLATION
        if network.family == family
        for number, kind in enumerate(kinds, 1)
    ]


def test_dips_are_below_both_neighbours():
    dips = [0.5, 0.2, 0.6, 0.4, 0.3]  # layer 2 dips, layer 4 does not
    rows = layers("DWS", "cdpdp", folded_precision=dips)
    rows += layers("MobileNet", "cdpdp", folded_precision=[0.5, 0.2, 0.6, 0.4, 0.7])
    judgement = judged("precision_dips", table(), figure_5=rows)
    assert judgement.holds is True
    assert "75% of 16 depthwise layers (chance 33%), in a network 50% to 100%" in judgement.effect
    assert "networks above chance 1 (n = 8, p = 0.0039)" in judgement.effect
    peaks = [row | {"folded_range": row["folded_precision"]} for row in rows]
    assert judged("range_peaks", table(), figure_5=peaks).holds is False


def test_projections_are_cases_by_themselves():
    spikes = layers("ResNet34", "ccpcc", weight_range=[1.0, 1.0, 2.0, 1.0, 1.0])
    judgement = judged("projections_spike", table(), figure_s3=spikes)
    assert judgement.holds is True
    assert "layers 1 (n = 4, p = 0.012)" in judgement.effect  # (1/3)^4
    flat = [row | {"weight_range": 1.0} for row in spikes]
    assert judged("projections_spike", table(), figure_s3=flat).holds is False


def test_fluctuation_is_the_mean_step():
    rows = layers("DWS", "cdp", folded_range=[1.0, 10.0, 0.1], folded_precision=[0.5, 0.1, 0.4])[:3]
    assert layer_judging.fluctuation("folded_range", log=True)(rows) == pytest.approx(1.5)
    assert layer_judging.fluctuation("folded_precision", log=False)(rows) == pytest.approx(0.35)


@pytest.mark.parametrize(("depthwise", "holds"), [([1.0, 9.0], True), ([1.0, 2.0], False)])
def test_accumulated_qmse_is_compared_by_network(depthwise: list[float], holds: bool):
    rows = layers("Regular", "cc", qmse=[1.0, 3.0])
    rows += layers("DWS", "cd", qmse=depthwise) + layers("MobileNet", "cd", qmse=[1.0, 9.0])
    judgement = judged("qmse_accumulates", table(), figure_2=rows)
    assert judgement.holds is holds
    assert judgement.effect.startswith("Regular 2 ± 0; DWS")


def test_ranges_that_vary_by_more_than_a_step():
    for std, holds in ((0.5, True), (0.3, False)):  # a step of 100 / 255 is 0.39
        rows = [
            row
            for family in ("Regular", "DWS")
            for row in layers(
                family, "cc", activation_range=[100.0, 100.0], activation_range_std=[std, std]
            )
        ]
        judgement = judged("draws_move_ranges", table(), figure_s2=rows)
        assert judgement.holds is holds
        assert f"deviation {std:.2f}% of the range" in judgement.effect


def test_folding_that_lowers_precision():
    plain = layers("DWS", "cd", weight_precision=[0.9, 0.5])
    plain += layers("MobileNet", "cd", weight_precision=[0.9, 0.6])
    for folded, holds in ((0.4, True), (0.7, False)):
        after = layers("DWS", "cd", folded_precision=[0.9, folded])
        after += layers("MobileNet", "cd", folded_precision=[0.9, folded])
        judgement = judged("folding_aggravates", table(), figure_s1=plain, figure_5=after)
        assert judgement.holds is holds
        assert f"change {folded - 0.55:.3g} ± 0.053" in judgement.effect


def test_qce_peaks_late_where_qkl_is_low():
    # the last layer is the output; of the four hidden ones the third is the first late one
    qce, qkl = [1.0, 2.0, 3.0, 1.0, 9.0], [0.1, 0.5, 0.2, 0.9, 0.9]
    rows = layers("Regular", "ccccc", qce=qce, qkl_div=qkl)
    early = layers("DWS", "ccccc", qce=[3.0, 2.0, 1.0, 1.0, 9.0], qkl_div=qkl)
    high = layers("DWS", "ccccc", qce=qce, qkl_div=[0.1, 0.5, 0.6, 0.9, 0.9])
    late = layers("DWS", "ccccc", qce=qce, qkl_div=qkl)
    assert judged("qkl_drops_late", table(), figure_4=rows + late).holds is True
    for other, peaks in ((early, 4), (high, 8)):
        judgement = judged("qkl_drops_late", table(), figure_4=rows + other)
        assert judgement.holds is False
        assert f"late in {peaks} of 8 networks; with a low QKL-Div 0.5 (n = 8" in judgement.effect


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
