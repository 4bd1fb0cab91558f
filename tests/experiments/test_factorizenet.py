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
from experiments.factorizenet import architectures, figures, pareto, tradeoffs
from experiments.factorizenet.sizing import Sizing, sizing_of
from experiments.factorizenet.spectrum import SPECTRUM

SCOPE = Scope(SMOKE, 0, ImageNet())
Row = dict[str, Any]


def test_figures_show_the_networks_of_their_captions():
    scope = Scope(PAPER, 0, ImageNet())
    counts = {a.name.split("/")[1]: len(a.jobs(scope)) for a in factorizenet.ARTIFACTS}
    drawings = {a.name.split("/")[1] for a in architectures.ARTIFACTS}
    with_sizes = {"figure_5_4", "figure_5_5", "pareto"}
    compared = {f"figure_5_{number}" for number in (9, 10, 11, 12, 16, 17)}
    assert all(counts.pop(name) == 0 for name in drawings)
    for name, count in counts.items():
        assert count == (16 if name in with_sizes else 3 if name in compared else 8), name
    assert [n.name for n in figures.COMPARED] == ["FactorizeNet-f2", "FactorizeNet-f16", "DWS Conv"]


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


def test_front_holds_what_nothing_beats_for_certain():
    rows = [
        {"full_width_mmacs": macs, "uint8_accuracy": accuracy, "images": 10_000, "draws": 4,
         "uint8_accuracy_std": 1.0}
        for macs, accuracy in (
            (10.0, 50.0), (8.0, 51.0), (8.0, 55.0), (20.0, 60.0), (5.0, 10.0), (None, None),
        )
    ]  # fmt: skip
    # half of the interval: 1.96 sqrt(1e4 0.5 0.5 / 1e4 + 1 / 4) = 1.39, of a difference 1.96
    assert tradeoffs.error_of(rows[0], "uint8_accuracy") == pytest.approx(1.96 * 0.5**0.5, abs=1e-3)
    assert pareto.on_front(rows, "uint8_accuracy") == [0, 0, 1, 1, 1, 0]
    assert pareto.on_front(rows[:2], "uint8_accuracy") == [1, 1]  # a point is within the error


def test_published_decreases_follow_from_accuracies():
    for _, fp32, uint8, decrease in tradeoffs.PUBLISHED.values():
        if fp32 is not None and uint8 is not None:
            assert decrease == pytest.approx((fp32 - uint8) / fp32 * 100, abs=0.01)
