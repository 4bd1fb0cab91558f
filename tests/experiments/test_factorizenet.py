"""The thesis' chapter 5: artifacts and claims on rows made by hand, and on the published ones."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments import factorizenet
from experiments.engine.artifact import Scope
from experiments.engine.imagenet import ImageNet
from experiments.engine.jobs import analysis_of
from experiments.engine.networks import FACTORIZED
from experiments.engine.scales import PAPER, SMOKE
from experiments.engine.store import Store
from experiments.evidence.claims import Judgement
from experiments.factorizenet import claims, judging, pareto, tradeoffs
from experiments.factorizenet.sizing import Sizing, sizing_of
from experiments.factorizenet.spectrum import COMPARED, SPECTRUM

CLAIMS = {claim.name: claim for claim in claims.CLAIMS}
SCOPE = Scope(SMOKE, 0, ImageNet())
Row = dict[str, Any]

# Millions of MACs of models.factorizenet's docstring, and a made-up decrease where none is named.
SIZES = (266.01, 153.81, 104.27, 92.47, 67.70, 61.80, 46.47, 33.42)
DECREASES = (3.13, 7.50, 6.63, 6.2, 6.3, 6.4, 14.8, 4.21)


def published() -> list[Row]:
    """The figures that the text names as if they were ours."""
    rows = []
    for network, macs, decrease in zip(SPECTRUM, SIZES, DECREASES, strict=True):
        named = tradeoffs.PUBLISHED.get(network.name, (None,) * 4)
        figures = dict(zip(tradeoffs.COLUMNS, named, strict=True))
        rows.append(
            {
                "network": network.name,
                "status": "finished",
                "full_width_mmacs": macs,
                "images": 10_000,
                **figures,
                **{f"published_{name}": value for name, value in figures.items()},
                "percent_decrease": decrease,
            }
        )
    return rows


def judged(claim: str, **rows: list[Row]) -> Judgement:
    found = {
        f"factorizenet/{name}": of for name, of in ({"figure_5_4": published()} | rows).items()
    }
    return CLAIMS[f"factorizenet/{claim}"].judge(found)


def layers(values: dict[str, list[float]], column: str) -> list[Row]:
    """Rows of convolutions, and a dense layer that none of the rules may look at."""
    return [
        {"network": name, "number": number, "kind": kind, column: value}
        for name, of in values.items()
        for number, (kind, value) in enumerate([*(("group", v) for v in of), ("dense", 99.0)], 1)
    ]


def test_every_claim_reads_artifacts_that_there_are():
    names = {artifact.name for artifact in factorizenet.ARTIFACTS}
    assert {name for claim in claims.CLAIMS for name in claim.artifacts} <= names
    assert len(CLAIMS) == len(claims.CLAIMS) == 13
    assert names == {f"factorizenet/figure_5_{n}" for n in range(4, 18)} | {"factorizenet/pareto"}


def test_figures_show_the_networks_of_their_captions():
    scope = Scope(PAPER, 0, ImageNet())
    counts = {a.name.split("/")[1]: len(a.jobs(scope)) for a in factorizenet.ARTIFACTS}
    with_sizes = {"figure_5_4", "figure_5_5", "pareto"}
    compared = {f"figure_5_{number}" for number in (9, 10, 11, 12, 16, 17)}
    for name, count in counts.items():
        assert count == (16 if name in with_sizes else 3 if name in compared else 8), name
    assert [n.name for n in COMPARED] == ["FactorizeNet-f2", "FactorizeNet-f16", "DWS Conv"]


def test_the_spectrum_is_trained_as_its_own_family_was():
    ours = [analysis_of(network, PAPER, 0) for network in SPECTRUM]
    assert ours == [analysis_of(network, PAPER, 0) for network in FACTORIZED]
    assert {network.family for network in SPECTRUM} == {"FactorizeNet"}


def test_sizing_counts_dense_layers_apart(tmp_path: Path):
    options = (("factorization", "depthwise"), ("width", 0.125), ("dense_units", (16,)))
    counted = Sizing("factorizenet", options, (8, 8, 1), 10).run(tmp_path, Store(tmp_path))
    # Channels 8, 8, 16, 16, 16, 32, 32, 32; sides 8, 8, 4, 4, 4, 2, 2, 2; first layer, then blocks.
    depthwise = [9 * 8 * 64, 9 * 8 * 64, 9 * 8 * 16, 9 * 16 * 16, 9 * 16 * 16, 9 * 16 * 4]
    depthwise += [9 * 32 * 4, 9 * 32 * 4]
    pointwise = [8 * 8 * 64, 8 * 8 * 64, 8 * 16 * 16, 16 * 16 * 16, 16 * 16 * 16]
    pointwise += [16 * 32 * 4, 32 * 32 * 4, 32 * 32 * 4]
    assert counted == {
        "convolutions": 9 * 8 * 64 + sum(depthwise) + sum(pointwise),
        "dense": 2 * 2 * 32 * 16 + 16 * 10,
    }


def test_rows_leave_dense_layers_out_and_list_failures(finish: Callable[..., Store]):
    networks = SMOKE.networks(SPECTRUM)
    spread = {"mean": 0.5, "std": 0.25, "trials": [0.25, 0.75]}
    names = ("quantized_accuracy", "percent_accuracy_decrease", "qmse", "qce", "qkl_div")
    kinds = (("conv", 3_000_000), ("group", 1_500_000), ("dense", 7_000_000), ("softmax", 0))
    record = {
        "schema": 1,
        "data": {"images": 64},
        "layers": [{"kind": kind, "macs": macs} for kind, macs in kinds],
    }
    for position, network in enumerate(networks):
        summary = {"fp32_accuracy": 0.75} | dict.fromkeys(names, spread) if position else None
        found = {"status": "finished" if position else "diverged", "reason": "", "epoch": 4}
        job = analysis_of(network, SMOKE, 0)
        finish(job, {**found, "summary": summary}, results__json=json.dumps(record))
        store = finish(sizing_of(network), {"convolutions": 266_000_000, "dense": 1})
    failed, f2, _ = tradeoffs.rows(SCOPE, store)
    assert (failed["network"], failed["status"], failed["mmacs"]) == (
        "Regular Conv", "diverged", None,
    )  # fmt: skip
    assert (failed["published_mmacs"], failed["published_uint8_accuracy"]) == (266.0, 85.60)
    assert (f2["network"], f2["mmacs"], f2["full_width_mmacs"]) == ("FactorizeNet-f2", 4.5, 266.0)
    assert (f2["fp32_accuracy"], f2["uint8_accuracy"], f2["published_fp32_accuracy"]) == (
        75.0, 50.0, 86.54,
    )  # fmt: skip
    rows = pareto.rows(SCOPE, store)
    assert [(row["on_front_fp32"], row["on_front_uint8"]) for row in rows] == [
        (0, 0),
        (1, 1),
        (1, 1),
    ]
    axes: Any = pareto.draw(rows).axes[0]
    assert len(axes.containers) == 2  # error bars in fp32 and uint8; the failed one has no point
    assert list(axes.containers[0].lines[0].get_ydata()) == [75.0, 75.0]


def test_front():
    rows = [
        {"mmacs": macs, "accuracy": accuracy}
        for macs, accuracy in (
            (10.0, 50.0), (8.0, 50.0), (8.0, 50.0), (9.0, 49.0), (20.0, 60.0), (5.0, 10.0),
            (None, None), (20.0, 59.0), (4.0, None),
        )
    ]  # fmt: skip
    assert pareto.on_front(rows, "accuracy") == [0, 1, 1, 0, 1, 1, 0, 0, 0]


@pytest.mark.parametrize(
    "claim",
    ["finit2_equal_for_less", "finit2_small_loss", "f16_worst", "regular_most_robust",
     "dws_loses_less"],
)  # fmt: skip
def test_claims_about_figures_hold_of_those_named_in_the_text(claim: str):
    assert judged(claim, figure_5_4=published()).holds is True


def test_published_decreases_follow_from_accuracies():
    for _, fp32, uint8, decrease in tradeoffs.PUBLISHED.values():
        if fp32 is not None and uint8 is not None:
            assert decrease == pytest.approx((fp32 - uint8) / fp32 * 100, abs=0.01)


def test_equality_is_within_the_error_of_test_set_and_draws():
    rows = published()
    f2, finit2 = rows[1], rows[2]
    # 1e4 (0.8654 x 0.1346 + 0.8601 x 0.1399) / 10,000, and deviations of 0.3 and 0.4
    assert judging.error(f2, finit2, "fp32_accuracy") ** 2 == pytest.approx(0.23681, abs=1e-5)
    noisy = {**f2, "uint8_accuracy_std": 0.3}, {**finit2, "uint8_accuracy_std": 0.4}
    plain = judging.error(f2, finit2, "uint8_accuracy") ** 2
    assert judging.error(*noisy, "uint8_accuracy") ** 2 == pytest.approx(plain + 0.25)
    finit2["fp32_accuracy"] = 85.58
    judgement = judged("finit2_equal_for_less", figure_5_4=rows)
    assert judgement.holds is False  # 0.96 points, of which 0.95 count as equal
    finit2["fp32_accuracy"] = 85.61
    assert judged("finit2_equal_for_less", figure_5_4=rows).holds is True
    assert judged("finit2_equal_for_less", figure_5_4=rows[:2]).holds is None
    assert judged("finit2_small_loss", figure_5_4=rows).holds is False  # 2.76 points


def test_another_network_is_worse():
    rows = published()
    rows[1]["percent_decrease"] = 14.8
    assert judged("f16_worst", figure_5_4=rows).holds is False  # a tie is not the most
    rows[1] |= {"percent_decrease": 20.0, "percent_decrease_std": 6.0}
    judgement = judged("f16_worst", figure_5_4=rows)
    assert judgement.holds is False
    assert "place 2 of 8; nearest others FactorizeNet-f2 20 ± 6" in judgement.effect
    assert judgement.note == "the gap to the nearest is within a deviation over draws"


def test_first_layers():
    dws, f2, f16, regular = "DWS Conv", "FactorizeNet-f2", "FactorizeNet-f16", "Regular Conv"
    before = {name: [1.0, 0.5, 0.4, 0.3] for name in (dws, f2, f16, regular)}
    after = {
        dws: [2.0, 1, 1, 1], f2: [5.0, 1, 1, 1], f16: [4.0, 1, 1, 1], regular: [1.5, 1, 1, 1],
    }  # fmt: skip
    figures = {"figure_5_6": layers(before, "weight_range")}
    folded = layers(after, "folded_range")
    assert judged("dws_first_layer", **figures, figure_5_7=folded).holds is True
    assert judged("first_layer_spikes", **figures, figure_5_7=folded).holds is True
    assert judged("ranges_fall_with_depth", **figures).holds is None  # 4 of 4: p = 1 / 16
    five = layers({**before, "FactorizeNet-f4": [1.0, 0.9, 0.8, 0.7]}, "weight_range")
    assert judged("ranges_fall_with_depth", figure_5_6=five).holds is True
    after |= {dws: [4.5, 1, 1, 1], f2: [5.0, 6, 1, 1], f16: [4.0, 5, 1, 1], regular: [0.9] * 4}
    folded = layers(after, "folded_range")
    assert judged("dws_first_layer", **figures, figure_5_7=folded).holds is False
    judgement = judged("first_layer_spikes", **figures, figure_5_7=folded)
    assert judgement.holds is False
    assert "so 0.25 (n = 4" in judgement.effect


def test_layers_of_networks_that_failed_do_not_count():
    table = published()
    table[-1]["status"] = "vanished"
    values = {name: [1.0, 0.5, 0.4] for name in ("FactorizeNet-f2", "DWS Conv")}
    found = {judging.TABLE: table, "a": layers(values, "weight_range")}
    assert judging.by_network(found, "a", "weight_range") == {"FactorizeNet-f2": [1.0, 0.5, 0.4]}


def test_regular_has_the_smallest_ranges():
    values = {"Regular Conv": [1.0, 1.0, 9.0], "DWS Conv": [2.0] * 3, "FactorizeNet-f2": [3.0] * 3}
    figures = {
        "figure_5_6": layers(values, "weight_range"),
        "figure_5_7": layers(values, "folded_range"),
    }
    activations = layers(values, "activation_range")
    judgement = judged("regular_ranges_smallest", **figures, figure_5_8=activations)
    assert judgement.holds is True
    activations = layers({**values, "DWS Conv": [0.5] * 3}, "activation_range")
    judgement = judged("regular_ranges_smallest", **figures, figure_5_8=activations)
    assert judgement.holds is False
    assert "activation_range 1, smallest other 0.5 (DWS Conv)" in judgement.effect


def test_f2_against_f16():
    f2, f16 = "FactorizeNet-f2", "FactorizeNet-f16"
    precisions = {f2: [0.2, *[0.8] * 8], f16: [0.3, *[0.4] * 8]}
    rows = layers(precisions, "folded_precision")
    assert judged("f2_precision", figure_5_14=rows).holds is True
    precisions[f2][0] = 0.35
    rows = layers(precisions, "folded_precision")
    assert judged("f2_precision", figure_5_14=rows).holds is False
    ranges = layers({f2: [1.0] * 8, f16: [2.0] * 8}, "activation_range")
    assert judged("f2_activations", figure_5_8=ranges).holds is True
    ranges = layers({f2: [2.0] * 8, f16: [1.0] * 8}, "activation_range")
    assert judged("f2_activations", figure_5_8=ranges).holds is False
    early = layers({f16: [9.0, 8, 7, 6, 5, 4, 3, 2, 1]}, "folded_range")
    low = layers({f16: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]}, "folded_precision")
    assert judged("f16_early_layers", figure_5_7=early, figure_5_14=low).holds is True
    high = layers({f16: [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]}, "folded_precision")
    assert judged("f16_early_layers", figure_5_7=early, figure_5_14=high).holds is False


def test_factorization_against_spikes_and_precision():
    names = [network.name for network in SPECTRUM]
    ranges = layers({name: [1.0, float(n)] for n, name in enumerate(names)}, "folded_range")
    precisions = layers(
        {name: [0.5, 1 - n / 9] for n, name in enumerate(names)}, "folded_precision"
    )
    found = {"figure_5_4": published(), "figure_5_7": ranges}
    judgement = judged("factorization_spikes", **found, figure_5_14=precisions)
    assert judgement.holds is True
    rising = layers({name: [0.5, n / 9] for n, name in enumerate(names)}, "folded_precision")
    assert judged("factorization_spikes", **found, figure_5_14=rising).holds is False
