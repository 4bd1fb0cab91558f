"""A choice of remedies that was cut goes on behind the last attempt."""

from pathlib import Path

import faulty_networks
import pytest
from test_course import CONFIG, labelled
from test_steps import StoppedError, contents, stopping

from tfqdyn.files.steps import FOLDER
from tfqdyn.remedies import auto, remedy


def test_choosing_goes_on_behind_the_last_attempt(tmp_path: Path, monkeypatch) -> None:
    model, attempt = faulty_networks.dead_model(), auto._try
    data = labelled(model)
    counting, calls = stopping(attempt, -1)
    monkeypatch.setattr(auto, "_try", counting)
    remedy(model, data, ["auto"], CONFIG, tmp_path / "whole")
    total = len(calls)
    assert total >= 2  # of two trials
    cut, _ = stopping(attempt, total)
    monkeypatch.setattr(auto, "_try", cut)
    with pytest.raises(StoppedError):
        remedy(model, data, ["auto"], CONFIG, tmp_path / "cut")
    assert {path.name for path in (tmp_path / "cut").iterdir()} == {FOLDER}
    going_on, calls = stopping(attempt, -1)
    monkeypatch.setattr(auto, "_try", going_on)
    remedy(model, data, ["auto"], CONFIG, tmp_path / "cut")
    assert len(calls) == 1
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
