"""A run as people want it: loaded by its folder, as a data frame, in a notebook."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from reported import HOSTILE, analyzed, renamed

import tfqdyn
from tfqdyn import results


@pytest.mark.parametrize("as_given", [str, Path])
def test_a_run_is_loaded_by_its_folder(as_given, tmp_path: Path) -> None:
    results.write(analyzed(), tmp_path / "run")
    loaded = tfqdyn.load(as_given(tmp_path / "run"))
    assert loaded.to_json() == analyzed().to_json()
    with pytest.raises(ValueError, match="nowhere is no folder"):
        tfqdyn.load(as_given(tmp_path / "nowhere"))


def test_a_data_frame_has_a_row_for_each_layer() -> None:
    pandas = pytest.importorskip("pandas")
    frame = analyzed().to_dataframe()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["name"]) == [layer.name for layer in analyzed().layers]
    dw = frame.set_index("name").loc["dw"]
    (layer,) = (row for row in analyzed().layers if row.name == "dw")
    assert dw["sqnr_pooled_db_mean"] == layer.sqnr_pooled_db.mean
    assert dw["folded_weight_range"] == layer.folded_weights.range
    assert frame["qmse_mean"].dtype == float
    assert frame.set_index("name")["folded_weight_range"].isna()["add"]


def test_without_pandas_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        analyzed().to_dataframe()


def test_a_notebook_shows_summary_and_warnings_as_text() -> None:
    result = replace(renamed(analyzed(), "dw", HOSTILE), warnings=("It <guesses>.",))
    text = result._repr_html_()
    assert "<script>" not in text
    assert "It &lt;guesses&gt;." in text
    assert f"{result.summary.fp32_accuracy:.2%}" in text
    lowest = min(result.layers, key=lambda layer: layer.sqnr_pooled_db.mean)
    assert f"<td>{lowest.sqnr_pooled_db.mean:.1f}</td>" in text
