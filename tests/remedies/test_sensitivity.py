"""`tfqdyn sensitivity` through the entry point: scores, files, what to run next, resuming."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import complaints, images, residual_net

from tfqdyn import cli
from tfqdyn.remedies import sensitivity

KERNELS = ["stem", "dw", "pw", "grouped", "logits"]


def run(folder: Path, *given: str) -> int:
    if not (folder / "m.keras").exists():
        data = images(20)
        np.savez(folder / "d.npz", x_test=data.x_test, y_test=data.y_test)
        residual_net().save(folder / "m.keras")
    defaults = [f"--model={folder}/m.keras", f"--data={folder}/d.npz", f"--out={folder}/out"]
    small = ["--calibration_size=8", "--preprocessing=tf"]
    return cli.run(["sensitivity", *defaults, *small, *given])


def test_every_layer_is_scored_and_a_killed_command_goes_on(
    tmp_path: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[int] = []
    score = sensitivity.Sweep.score

    def dying(self: sensitivity.Sweep, float_layers: tuple[str, ...]) -> sensitivity.Score:
        if len(scored) == 5:  # uint8, then stem and dw twice each
            raise KeyboardInterrupt
        scored.append(len(float_layers))
        return score(self, float_layers)

    with monkeypatch.context() as patch:
        patch.setattr(sensitivity.Sweep, "score", dying)
        assert run(tmp_path) == cli.INTERRUPTED
        assert "carries on where it stopped" in capfd.readouterr().err
    rest: list[int] = []

    def counting(self: sensitivity.Sweep, float_layers: tuple[str, ...]) -> sensitivity.Score:
        rest.append(len(float_layers))
        return score(self, float_layers)

    monkeypatch.setattr(sensitivity.Sweep, "score", counting)
    assert run(tmp_path) == 0
    assert scored[::2] == [0, scored[2], scored[2]]
    assert scored[1::2] == [1, 1]
    assert len(rest) == 2 * 3  # pw, grouped and logits
    out = capfd.readouterr().out
    assert "points won in fp32" in out
    assert "tfqdyn analyze --float_layers=" in out or "tfqdyn remedy" in out
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["sensitivity.csv", "sensitivity.json", "sensitivity.png"]
    rows = list(csv.DictReader((tmp_path / "out/sensitivity.csv").read_text().splitlines()))
    assert [row["name"] for row in rows] == KERNELS
    record = json.loads((tmp_path / "out/sensitivity.json").read_text())
    assert all(0 <= float(row["qkl_div_alone"]) < 1 for row in rows)
    # A layer alone in uint8 costs less than all of them.
    assert min(float(row["qkl_div_alone"]) for row in rows) < record["uint8"]["qkl_div"]


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--scheme=dynamic", "sensitivity is for schemes uint8 and int8, received 'dynamic'"),
        ("--calibration_size=20", "all of which calibrate"),
        ("--float_layers=nobody", "nobody"),
    ],
)
def test_one_clear_error(
    flag: str, message: str, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    assert run(tmp_path, flag) == 1
    err = complaints(capfd.readouterr().err)
    assert err.startswith("tfqdyn: ")
    assert message in err
    assert not (tmp_path / "out").exists()


def test_what_is_worth_fp32_takes_five_percent_away() -> None:
    def cost(name: str, qkl_div: float) -> sensitivity.LayerCost:
        score = sensitivity.Score(0.5, qkl_div)
        return sensitivity.LayerCost(1, name, "conv", score, score)

    whole = sensitivity.Score(0.5, 1.0)
    costs = (cost("a", 0.96), cost("b", 0.94), cost("c", 0.2), cost("d", 0.5), cost("e", 0.6))
    done = sensitivity.Sensitivity(whole, whole, costs, (), None)  # pyright: ignore
    assert done.worth_fp32 == ("c", "d", "e")
    assert "--float_layers=c,d,e" in sensitivity.next_step(done)
    zero = sensitivity.Score(0.5, 0.0)
    exact = sensitivity.Sensitivity(whole, zero, costs, (), None)  # pyright: ignore
    assert exact.worth_fp32 == ()
    none = sensitivity.Sensitivity(whole, whole, costs[:1], (), None)  # pyright: ignore
    assert "tfqdyn remedy" in sensitivity.next_step(none)
