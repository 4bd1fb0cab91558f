"""A run as people want it: loaded by its folder, as a data frame, in a notebook."""

import contextlib
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from reported import HOSTILE, analyzed, renamed

import tfqdyn
from tfqdyn import console, results


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
    assert f"{100 * (result.summary.fp32_accuracy or 0):.2f} %" in text
    lowest = min(result.layers, key=lambda layer: layer.sqnr_pooled_db.mean)
    assert f"<td>{lowest.sqnr_pooled_db.mean:.1f}</td>" in text


def test_pythons_prompt_shows_one_line() -> None:
    result = analyzed()
    line = repr(result)
    assert line.startswith(f"<RunResult of {result.model.name}: images {result.data.images}, fp32")
    assert line.endswith(f", {len(result.layers)} layers>")
    accuracy = 100 * result.summary.quantized_accuracy.mean
    assert f", uint8 accuracy {accuracy:.2f} %, output QKL-Div " in line
    assert len(line) < 200
    alarmed = repr(replace(result, warnings=("It guesses.",)))
    assert alarmed.endswith(", warning: It guesses.>")
    outputs = replace(result.summary, fp32_accuracy=None, quantized_accuracy=None, qkl_div=None)
    (output,) = outputs.outputs
    expected = f", output {output.name} {output.sqnr_db.mean:.1f} dB, "
    assert expected in repr(replace(result, summary=outputs))


def test_notebooks_have_bars_only_where_something_draws_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[str] = []

    class Bars(contextlib.nullcontext):
        def __init__(self, *columns: object, **how: object) -> None:
            super().__init__(self)

        def track(self, items: list[int], total: int, description: str) -> list[int]:
            drawn.append(description)
            return items

    notebook = SimpleNamespace(is_jupyter=True, is_terminal=True)
    monkeypatch.setattr(console, "Console", lambda **how: notebook)
    monkeypatch.setattr(console.bars, "Progress", Bars)
    for found, expected in ((None, []), (object(), ["loop"])):
        monkeypatch.setattr(console, "find_spec", lambda name, found=found: found)
        assert list(console.if_watched([1, 2], "loop", 2)) == [1, 2]
        assert drawn == expected
