"""Sheng et al.: alpha by hand, five best classes, rows drawn, and claims by hand-made rows."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.engine.imagenet import SHOWN
from experiments.engine.networks import STAGE_NAMES
from experiments.engine.store import Store
from experiments.engine.subjects import Subject
from experiments.quantization_friendly import alpha, retrained, sqnr, top5
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
    assert (found["label"], found["reason"]) == (4, "")
    assert small.dataset().y_test[found["image"]] == 4
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
