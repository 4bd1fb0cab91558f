"""`results.json` against an implementation that shares nothing with the library."""

import ast
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import independent
import numpy as np
import pytest
from conftest import images, randomize

from tfqdyn import pipeline, results
from tfqdyn.config import AnalysisConfig

FIXED_POINT = 5e-3
"""Ops are recomputed in float64; in the interpreter their rescaling has 31 bits and rounds twice,
which moves up to one code in 200 to the neighbour that is almost as near."""
TOLERANCES = {
    "qmse": 1e-4, "sqnr_db": 1e-4, "sqnr_pooled_db": 1e-4, "qkl_div": 5e-3,
    "own_qmse": FIXED_POINT, "own_sqnr_db": FIXED_POINT, "own_sqnr_pooled_db": FIXED_POINT,
    "own_bias_share": 10 * FIXED_POINT, "source_sqnr_db": 1e-4,
}  # fmt: skip
"""Relative; of all other figures `CLOSE`."""
CLOSE = 1e-5
ASIDE = {"flags", "reference", "operator", "metrics", "outputs", "wrong", "deployed", "task"}
"""Words, places, and what has tests of its own; not figures of layers."""
RUNS = [
    *(("uint8", name) for name in ("minmax", "percentile", "percentile_of_runs", "mse")),
    *(("int8", name) for name in (None, "minmax", "percentile_of_runs")),
    ("int16x8", None),
]


def test_it_shares_nothing_with_the_library() -> None:
    tree = ast.parse(Path(independent.__file__).read_text())
    found = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        )
    }  # fmt: skip
    assert found == {
        "ai_edge_litert", "collections", "keras", "math", "numpy", "pathlib", "scipy", "typing",
    }  # fmt: skip


def tolerance(path: str) -> float:
    """Relative tolerance of a figure, by the last of its path's names that has one."""
    return next((TOLERANCES[n] for n in reversed(path.split(".")) if n in TOLERANCES), CLOSE)


def differences(found: Any, expected: Any, path: str = "") -> Iterator[str]:
    """Figures of `results.json` that are not the recomputed ones, and figures that are missing."""
    if isinstance(expected, dict):
        if not isinstance(found, dict) or found.keys() - ASIDE != expected.keys():
            keys = found.keys() ^ expected.keys() if isinstance(found, dict) else found
            yield f"{path}: {keys}"
            return
        spread = expected.keys() == {"mean", "std", "trials"}
        for key, value in expected.items():
            if spread and key == "std" and value is not None:  # of values that may be this far off
                value = pytest.approx(value, abs=1.5 * tolerance(path) * abs(expected["mean"]))
            yield from differences(found[key], value, f"{path}.{key}")
    elif path.endswith(("histogram.fp32", "histogram.quantized")):
        moved = np.abs(np.subtract(found, expected)).sum() / 2
        if moved > 1e-4 * sum(expected):  # values on a bin's edge
            yield f"{path}: {moved} values elsewhere"
    elif isinstance(expected, list):
        if len(found) != len(expected):
            yield f"{path}: {found} for {expected}"
            return
        for i, (a, b) in enumerate(zip(found, expected)):
            yield from differences(a, b, f"{path}.{i}")
    elif isinstance(expected, float) and not isinstance(found, (str, type(None))):
        if found != expected and not math.isclose(
            found, expected, rel_tol=tolerance(path), abs_tol=1e-12
        ):
            yield f"{path}: {found!r} for {expected!r}, {found - expected:.1e} off"
    elif found != expected:
        yield f"{path}: {found!r} for {expected!r}"


@pytest.mark.parametrize(("scheme", "calibrator"), RUNS)
def test_every_figure_of_results_json(scheme: str, calibrator: str | None, tmp_path: Path) -> None:
    model = randomize(independent.network())
    data = images(24, classes=5)
    config = AnalysisConfig(
        "tf", scheme, calibrator, trials=2, calibration_size=12, max_images=20,
    )  # fmt: skip
    results.write(pipeline.analyze(model, data, config), tmp_path)
    record = json.loads((tmp_path / "results.json").read_text())
    assert record["config"]["calibrator"] == (calibrator or "minmax")
    assert record["config"]["own_ranges"] == (calibrator is not None)
    again = independent.Recomputed(model, tmp_path, record, data.x_train, data.x_test, data.y_test)
    plain = lambda value: json.loads(json.dumps(results.plain(value)))  # noqa: E731
    asked = {k: v for k, v in record["summary"].items() if v is not None}
    wrong = list(differences(asked, plain(again.summary()), "summary"))
    assert [layer["name"] for layer in record["layers"]] == list(independent.ROWS)
    for layer in record["layers"]:
        measured = {k: v for k, v in layer.items() if not (v is None and k in ON_REQUEST)}
        expected = plain(again.layer(layer["name"]))
        wrong += differences(measured, expected, layer["name"])
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("scheme", ["uint8", "int8"])
def test_every_own_error(scheme: str, tmp_path: Path) -> None:
    """What `--own_error` adds: each op once more in float64, on what the files hold."""
    model = randomize(independent.network())
    data = images(24, classes=5)
    config = AnalysisConfig(
        "tf", scheme, trials=2, calibration_size=12, max_images=20, own_error=True
    )
    results.write(pipeline.analyze(model, data, config), tmp_path)
    record = json.loads((tmp_path / "results.json").read_text())
    again = independent.Recomputed(model, tmp_path, record, data.x_train, data.x_test, data.y_test)
    stem = record["layers"][0]  # nothing is before it: the interpreter's own codes, twice
    assert stem["own_qmse"]["trials"] == pytest.approx(stem["qmse"]["trials"], rel=1e-12)
    wrong: list[str] = []
    for layer in record["layers"]:
        expected = results.plain(again.own(layer["name"], layer["qmse"]["trials"]))
        if layer["kind"] == "mean":  # TFLite's rescaling is coarser here: 5 % of the codes
            expected = {name: expected[name] for name in ("source_sqnr_db", "saturated_share")}
            wrong += differences({name: layer[name] for name in expected}, expected, "gap")
            continue
        inherited = expected.pop("inherited_qmse")["trials"]  # a small difference of two figures
        near = pytest.approx(inherited, abs=FIXED_POINT * max(layer["qmse"]["trials"]))
        assert layer["inherited_qmse"]["trials"] == near, layer["name"]
        wrong += differences({name: layer[name] for name in expected}, expected, layer["name"])
    assert not wrong, "\n".join(wrong)


ON_REQUEST = {
    "own_qmse", "own_sqnr_db", "own_sqnr_pooled_db", "own_sqnr_infinite", "inherited_qmse",
    "own_bias_share", "source_sqnr_db", "saturated_share", "weight_bits", "activation_bits",
}  # fmt: skip
