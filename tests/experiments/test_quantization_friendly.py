"""Sheng et al.: alpha by hand, five best classes, rows drawn, and claims by hand-made rows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.engine.imagenet import SHOWN
from experiments.engine.networks import STAGE_NAMES
from experiments.engine.store import Store
from experiments.engine.subjects import STAND_IN, Subject
from experiments.evidence import drawtests
from experiments.quantization_friendly import alpha, claims, retrained, sqnr, top5
from tfqdyn.config import AnalysisConfig

REAL = SHOWN["mobilenet_v1"]
MISSING = {"network": REAL, "status": "not available: no photographs (--imagenet_data)"}


def test_alpha_is_gamma_over_sigma(small: Subject, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    job = alpha.Alphas(small)
    assert store.finish(job)["result"] == {"layers": 1, "channels": 4}
    rows = json.loads((store.folder(job) / alpha.FILE).read_text())
    # sigma = sqrt(variance + 0.01), for variances 0.09, 0, 0.24, 3.99
    sigma = [np.sqrt(0.1), 0.1, 0.5, 2.0]
    assert [row["sigma"] for row in rows] == pytest.approx(sigma, rel=1e-6)
    wanted = [2 / np.sqrt(0.1), 30.0, 2.0, 2.0]
    assert [row["alpha"] for row in rows] == pytest.approx(wanted, rel=1e-6)
    assert [row["zero_variance"] for row in rows] == [0, 1, 0, 0]
    assert {(row["number"], row["layer"]) for row in rows} == {(2, "conv_dw_1")}


def test_best_is_by_probability_then_number() -> None:
    found = top5.best(np.log([0.1, 0.3, 0.3, 0.05, 0.05, 0.2]))
    assert [k for k, _ in found] == [1, 2, 5, 0, 3]
    assert [p for _, p in found] == pytest.approx([0.3, 0.3, 0.2, 0.1, 0.05])


def test_top_five_of_the_wanted_class(small: Subject, tmp_path: Path) -> None:
    config = AnalysisConfig(preprocessing="tf", calibration_size=8)
    job = top5.TopFive(small, config, ("zero_variance",), wanted=4)
    found = Store(tmp_path / "store").finish(job)["result"]
    assert (found["image"], found["label"], found["reason"]) == (4, 4, "")
    fp32, uint8 = dict(found["fp32"]), dict(found["uint8"])
    for p in (fp32, uint8):
        assert list(p.values()) == sorted(p.values(), reverse=True)
    common = set(fp32) & set(uint8)
    assert len(common) >= 4
    assert [uint8[k] for k in common] == pytest.approx([fp32[k] for k in common], abs=0.02)


def test_top_five_without_the_wanted_class_is_of_the_first_image(
    small: Subject, tmp_path: Path
) -> None:
    job = top5.TopFive(small, AnalysisConfig(preprocessing="tf", calibration_size=8), (), 270)
    assert Store(tmp_path / "store").finish(job)["result"]["image"] == 0


def test_published_rows_are_those_of_the_networks() -> None:
    assert list(retrained.PUBLISHED) == list(STAGE_NAMES.values())


def layer(number: int, activation: str, handling: str, decibels: float, std: float) -> dict:
    row = {"network": REAL, "family": "MobileNet", "status": "analyzed", "number": number}
    row |= {"activation": activation, "handling": handling, "kind": "pointwise", "draws": 3}
    return row | {"sqnr_db": decibels, "sqnr_db_std": std}


def test_sqnr_is_drawn_by_handling() -> None:
    rows = [
        layer(n, activation, handling, 20.0 + n, 0.5)
        for n in (1, 2, 3)
        for activation in ("ReLU6", "ReLU")
        for handling in sqnr.SHOWN
    ]
    figure = sqnr.draw(rows)
    assert [axes.get_title() for axes in figure.axes] == list(sqnr.SHOWN)
    assert [len(axes.lines) for axes in figure.axes] == [2, 2]
    words = sqnr.draw([MISSING])
    assert words.texts[0].get_text() == f"{REAL}: {MISSING['status']}"


def test_alpha_is_drawn_in_two_panels() -> None:
    same = {"network": REAL, "status": "analyzed", "layer": "conv_dw_1"}
    rows = [
        {**same, "number": n, "channel": c, "alpha": 10.0**c, "zero_variance": int(c == 2)}
        for n in (2, 4)
        for c in range(3)
    ]
    top, bottom = alpha.draw(rows).axes
    assert [list(line.get_xdata()) for line in top.lines[:2]] == [[0, 1], [2]]
    assert bottom.get_yscale() == "log"


def test_above_is_welchs_test() -> None:
    first = {"x": 3.0, "x_std": 1.0, "draws": 4}
    second = {"x": 1.0, "x_std": 1.0, "draws": 4}
    found = drawtests.above(first, second, "x")
    # t = 2 / sqrt(1 / 4 + 1 / 4) = 2.828 with 6 degrees of freedom
    assert (found.figure, found.number) == (2.0, 8)
    assert found.p == pytest.approx(0.0150, abs=1e-4)
    still = {"x": 1.0, "x_std": 0.0, "draws": 4}
    assert drawtests.above(still, still, "x").p is None


def test_loses_is_a_t_test() -> None:
    row = {"fp32_accuracy": 70.0, "uint8_accuracy": 68.0, "uint8_accuracy_std": 2.0, "draws": 4}
    found = drawtests.loses(row)
    # t = 2 / (2 / sqrt(4)) = 2 with 3 degrees of freedom
    assert (found.figure, found.number) == (2.0, 4)
    assert found.p == pytest.approx(0.0697, abs=1e-4)


def handled(handling: str, uint8: float, network: str = REAL) -> dict[str, Any]:
    row = {"network": network, "status": "analyzed", "handling": handling, "draws": 3}
    return row | {"fp32_accuracy": 90.0, "uint8_accuracy": uint8, "uint8_accuracy_std": 1.0}


@pytest.mark.parametrize(
    ("rows", "holds"),
    [
        ([handled("as it is", 4.0), handled("zero-variance handling", 60.0)], True),
        ([handled("as it is", 4.0), handled("zero-variance handling", 40.0)], False),
        ([handled("as it is", 4.0), {**MISSING, "handling": "zero-variance handling"}], None),
        ([handled(h, 50.0, STAND_IN) for h in ("as it is", "zero-variance handling")], None),
    ],
)
def test_zero_variance_must_give_half_back(rows: list[dict], holds: bool | None) -> None:
    found = claims.zero_variance({"quantization_friendly/zero_variance": rows})
    assert found.holds is holds
    assert holds is None or "4.0 ± 1.0 ->" in found.effect


def test_relu_must_raise_the_first_pointwise_layer() -> None:
    def holds(relu: float, std: float = 0.2) -> bool | None:
        rows = [
            layer(3, "ReLU6", "as it is", 20.0, std),
            layer(3, "ReLU", "as it is", relu, std),
            layer(5, "ReLU6", "as it is", 0.0, std),
            layer(5, "ReLU", "as it is", 50.0, std),
        ]
        return claims.relu_sqnr({"quantization_friendly/sqnr": rows}).holds

    assert holds(25.0) is True
    assert holds(15.0) is False
    assert holds(20.1, std=5.0) is None
    assert claims.relu_sqnr({"quantization_friendly/sqnr": [MISSING]}).holds is None


def test_alpha_must_spread_where_variance_is_zero() -> None:
    def holds(largest: float) -> bool | None:
        rows = [
            {
                "network": REAL,
                "status": "analyzed",
                "number": number,
                "alpha": largest if number < 6 and channel == 0 else 1.0 + number / 10,
                "zero_variance": int(number < 6 and channel == 0),
            }
            for number in range(12)
            for channel in range(5)
        ]
        return claims.alpha_spread({"quantization_friendly/alpha": rows}).holds

    assert holds(1000.0) is True
    assert holds(5.0) is False
    assert claims.alpha_spread({"quantization_friendly/alpha": [MISSING]}).holds is None


def stages(**lost: float) -> dict[str, list[dict[str, Any]]]:
    """Rows of trained stages by the points that they lose."""
    rows = [
        {
            "network": STAGE_NAMES[stage],
            "status": "finished",
            "fp32_accuracy": 70.0,
            "uint8_accuracy": 70.0 - points,
            "uint8_accuracy_std": 1.0,
            "draws": 5,
        }
        for stage, points in lost.items()
    ]
    return {"quantization_friendly/retrained": rows}


def test_removing_depthwise_batch_norm_must_halve_the_loss() -> None:
    def holds(original: float, without: float) -> bool | None:
        rows = stages(original=original, no_depthwise_bn_relu6=without)
        return claims.depthwise_batch_norm(rows).holds

    assert holds(60.0, 10.0) is True
    assert holds(60.0, 40.0) is False
    assert holds(0.5, 0.0) is None


def test_further_stages_must_lose_less() -> None:
    assert claims.relu_retrained(stages(no_depthwise_bn_relu6=10.0, relu=3.0)).holds is True
    assert claims.relu_retrained(stages(no_depthwise_bn_relu6=3.0, relu=10.0)).holds is False
    assert claims.l2_retrained(stages(relu=3.0, depthwise_l2=2.9)).holds is None
    dead = stages(relu=3.0, depthwise_l2=2.0)
    dead["quantization_friendly/retrained"][0]["status"] = "diverged"
    found = claims.l2_retrained(dead)
    assert found.holds is None
    assert "Replace all ReLU6 by ReLU (diverged)" in found.note
