"""One registry of layer values: every entry is measured, written and documented, and no others."""

import csv
import io
import math
import re
from dataclasses import replace
from pathlib import Path

import handmade
import pytest
from reported import analyzed

from experiments.evidence import layerwise
from tfqdyn import report
from tfqdyn.remedies import sensitivity
from tfqdyn.report import layers as report_layers
from tfqdyn.report import named_runs, panels
from tfqdyn.results import layercsv
from tfqdyn.results.layervalues import LAYER_VALUES, mean_of, spans_decades
from tfqdyn.show import figures

METRICS_PAGE = Path(__file__).parents[2] / "docs" / "pages" / "metrics.md"
ASSETS = Path(report.__file__).parent / "assets"
FACTS = {"number", "name", "kind", "output_shape", "dtype", "reference"}
"""Columns of `layers.csv` that say what a layer is."""
OF_SIMULATIONS = {"weight_bits", "activation_bits"}


@pytest.mark.parametrize("name", LAYER_VALUES)
def test_every_value_is_a_number_in_a_real_result(name: str) -> None:
    layers = analyzed().layers
    if name in OF_SIMULATIONS:
        layers = tuple(replace(layer, weight_bits=8, activation_bits=8) for layer in layers)
    found = [mean_of(LAYER_VALUES[name].read(layer)) for layer in layers]
    if name == "saturated_share":
        assert all(value is None or 0 <= value <= 1 for value in found)
    else:
        assert [value for value in found if value is not None]


def test_values_are_read_from_their_own_fields() -> None:
    layer = analyzed().layers[0]
    by_hand = {
        "weight_range": layer.weights.range if layer.weights else None,
        "folded_weight_kurtosis": layer.folded_weights and layer.folded_weights.kurtosis,
        "activation_average_precision": layer.activations.average_precision,
        "sqnr_db": layer.sqnr_db,
        "sqnr_pooled_db": layer.sqnr_pooled_db,
        "source_sqnr_db_weights": layer.own and layer.own.source_sqnr_db["weights"],
        "kl_to_uniform": layer.kl_to_uniform,
    }
    assert {name: LAYER_VALUES[name].read(layer) for name in by_hand} == by_hand


def test_every_column_is_a_value() -> None:
    text = layercsv.text(analyzed().layers)
    header = next(csv.reader(io.StringIO(text)))
    assert tuple(header[: len(layercsv.FIRST_COLUMNS)]) == layercsv.FIRST_COLUMNS
    names = [column.removesuffix("_mean").removesuffix("_std") for column in header]
    assert set(names) - FACTS == set(LAYER_VALUES) - OF_SIMULATIONS
    rows = list(csv.DictReader(io.StringIO(text)))
    first = analyzed().layers[0]
    assert float(rows[0]["qmse_mean"]) == first.qmse.mean
    assert rows[-1]["weight_range"] == ""  # the softmax has no kernel
    undefined = replace(first, rms=float("nan"))
    assert ",nan" not in layercsv.text([undefined])


def test_what_is_drawn_and_tabulated_is_a_value() -> None:
    shown = {
        "figures": [name for panel in figures.PANELS.values() for name in panel.lines.values()],
        "report": [*report_layers.SHOWN, *report_layers.COLUMNS],
        "sensitivity": sensitivity.VALUES,
        "experiments": layerwise.COLUMNS.values(),
    }
    for place, names in shown.items():
        assert set(names) <= set(LAYER_VALUES), place
    scripts = "".join(path.read_text() for path in ASSETS.glob("*.js"))
    assert set(re.findall(r"\bfigures\.(\w+)", scripts)) <= set(report_layers.SHOWN)
    groups = panels.groups(named_runs([analyzed()]))
    drawn = {line["metric"] for g in groups for panel in g["panels"] for line in panel["lines"]}
    assert drawn <= set(report_layers.SHOWN)


def test_the_docs_list_every_value() -> None:
    text = METRICS_PAGE.read_text()
    for name, value in LAYER_VALUES.items():
        line = f"| `{name}` | {value.title} | {value.unit} | {value.better} |"
        assert line.replace("  ", " ") in text, line


def test_means_leave_out_what_is_no_number() -> None:
    assert mean_of(None) is None
    assert mean_of(math.nan) is None
    assert mean_of(2) == 2
    assert mean_of(handmade.spread(3.0)) == 3.0


def test_decades() -> None:
    assert spans_decades([1.0, 10**1.5])
    assert not spans_decades([1.0, 31.0])
    assert spans_decades([0.0, 1.0, 32.0])
    assert not spans_decades([1.0, math.inf])
    assert not spans_decades([])
