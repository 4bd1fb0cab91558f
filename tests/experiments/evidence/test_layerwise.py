"""Layerwise figures: what is drawn, in which panel, and what the legend calls it."""

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from experiments.evidence import display, layerwise

NAMES = {
    "Regular": "Regular Conv",
    "DWS": "DWS Conv",
    "Others": "Others",
    "FactorizeNet": "FactorizeNet",
}
Row = dict[str, Any]


def rows(family: str, variants: list[str], kinds: str, **values: list[Any]) -> list[Row]:
    kind = {"c": "conv", "d": "depthwise", "p": "pointwise", "g": "group", "f": "dense"}
    return [
        {
            "network": f"{NAMES[family]} {variant}",
            "family": family,
            "number": number,
            "kind": kind[letter],
            **{name: of[number - 1] for name, of in values.items()},
        }
        for variant in variants
        for number, letter in enumerate(kinds, 1)
    ]


def legend(figure: Figure) -> list[str]:
    (found,) = figure.legends
    return [text.get_text() for text in found.get_texts()]


def shaded(axes: Any) -> list[float]:
    return sorted(patch.get_x() + patch.get_width() / 2 for patch in axes.patches)


def test_families_are_columns_and_values_rows():
    found = rows("DWS", ["A", "B"], "cdp", qmse=[1.0, 2.0, 3.0], qce=[1.0, 1.0, 1.0])
    found += rows("Regular", ["B"], "cc", qmse=[4.0, 5.0], qce=[1.0, 1.0])
    figure = layerwise.draw(found, ("qmse", "qce"))
    panels = figure.axes
    titles = [axes.get_title() for axes in panels]
    assert titles == ["Regular-ConvNets", "DWS-ConvNets", "", ""]
    assert [axes.get_ylabel() for axes in panels] == ["QMSE", "", "QCE in nats", ""]
    assert [list(line.get_ydata()) for line in panels[1].lines] == [[1, 2, 3], [1, 2, 3]]
    assert panels[0].get_ylim() == panels[1].get_ylim()


def test_a_variant_has_one_colour_and_one_entry():
    found = rows("Regular", ["B"], "cc", qmse=[4.0, 5.0])
    found += rows("DWS", ["A", "B"], "cdp", qmse=[1.0, 2.0, 3.0])
    figure = layerwise.draw(found, ("qmse",))
    assert legend(figure) == ["B", "A", "depthwise layers"]
    regular, dws = figure.axes
    assert regular.lines[0].get_color() == dws.lines[1].get_color() != dws.lines[0].get_color()
    labelled = [row | {"label": "all"} for row in found]
    assert legend(layerwise.draw(labelled, ("qmse",))) == ["all", "depthwise layers"]


@pytest.mark.parametrize(
    ("kinds", "numbers", "entry"),
    [
        ("cdpdp", [2, 4], ["depthwise layers"]),
        ("cgpgp", [2, 4], ["group convolutions"]),
        ("ccpcc", [3], ["1x1 convolutions"]),
        ("ccccc", [], []),
    ],
)
def test_layers_of_one_kind_are_shaded(kinds: str, numbers: list[int], entry: list[str]):
    figure = layerwise.draw(rows("DWS", ["A"], kinds, qce=[1.0] * 5), ("qce",))
    assert shaded(figure.axes[0]) == numbers
    assert legend(figure) == ["A", *entry]


def test_stacked_panels_have_their_own_axes():
    found = rows("Regular", ["A"], "cc", qmse=[1.0, 5.0])
    found += rows("DWS", ["A"], "cd", qmse=[1.0, 5000.0])
    above, below = layerwise.draw(found, ("qmse",), stacked=True).axes
    assert (above.get_title(), below.get_title()) == ("Regular-ConvNets", "DWS-ConvNets")
    assert (above.get_yscale(), below.get_yscale()) == ("linear", "log")
    assert above.get_ylabel() == below.get_ylabel() == "QMSE"
    beside = layerwise.draw(found, ("qmse",)).axes
    assert [axes.get_yscale() for axes in beside] == ["log", "log"]


def test_infinite_and_absent_values_leave_gaps_and_bands_are_cut():
    values = {"qmse": [1.0, None, float("inf"), 100.0], "qmse_std": [2.0, None, None, 1.0]}
    figure = layerwise.draw(rows("DWS", ["A"], "cdpd", **values), ("qmse",))
    (axes,) = figure.axes
    (line,) = axes.lines
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([1, 4], [1, 100])
    assert axes.get_ylim() == pytest.approx((1 / 1.6, 101 * 1.6))


def test_unknown_families_come_last_under_their_names():
    found = rows("Others", ["A"], "cc", qce=[1.0, 2.0])
    found += rows("Regular", ["A"], "cc", qce=[1.0, 2.0])
    figure = layerwise.draw(found, ("qce",))
    assert [axes.get_title() for axes in figure.axes] == ["Regular-ConvNets", "Others"]
    assert legend(figure) == ["A", "Others A"]


def test_shallower_networks_stand_block_by_block():
    deep = rows("DWS", ["A"], "cdpdpff", qmse=[1.0] * 7)
    flat = rows("DWS", ["B"], "cccff", qmse=[1.0] * 5)
    found = layerwise.places([*deep, *flat])
    of = {name: [at for (n, _), at in found.items() if n.endswith(name)] for name in "AB"}
    assert of["A"] == [1, 2, 3, 4, 5, 6, 7]
    assert of["B"] == [1, 3, 5, 6, 7]  # each convolution at its block's end, dense ones last
    figure = layerwise.draw([*deep, *flat], ("qmse",))
    assert figure.axes[0].get_xlabel() == "layer of the deepest network"


def test_group_and_depthwise_layers_are_shaded_together():
    found = rows("FactorizeNet", ["A"], "cdp", qmse=[1.0, 2.0, 3.0])
    found += rows("FactorizeNet", ["B"], "cgp", qmse=[1.0, 2.0, 3.0])
    figure = layerwise.draw(found, ("qmse",))
    assert legend(figure)[-1] == "depthwise or group convolutions"


def test_eight_networks_of_a_family_have_eight_colours():
    found = [r for n in "ABCDEFGH" for r in rows("FactorizeNet", [n], "cc", qmse=[1.0, 2.0])]
    lines = layerwise.draw(found, ("qmse",)).axes[0].lines
    assert len({line.get_color() for line in lines}) == 8


def test_the_axis_of_qce_is_the_hidden_layers():
    found = rows("DWS", ["A"], "ccf", qce=[2.0, 2.5, 9.0])
    (axes,) = layerwise.draw(found, ("qce",)).axes
    assert axes.get_ylim() == pytest.approx((1.96, 2.54))
    assert [text.get_text() for text in axes.texts] == ["outputs: 9"]


def test_bands_end_above_0_on_logarithmic_axes():
    found = rows("DWS", ["A"], "cc", qmse=[1.0, 100.0])
    found = [{**row, "qmse_std": 2 * row["qmse"]} for row in found]
    (axes,) = layerwise.draw(found, ("qmse",)).axes
    low = np.asarray(axes.collections[0].get_paths()[0].vertices)[:, 1].min()
    assert low == pytest.approx(1 / 3)  # as far below as 3 is above


@pytest.mark.parametrize("variants", [1, 12])
@pytest.mark.parametrize("families", [1, 3])
def test_nothing_overlaps(variants: int, families: int):
    names = [f"With Gamma ModGlorotUni_Large {n}" for n in range(variants)]
    found = [
        row
        for family in list(NAMES)[:families]
        for row in rows(family, names, "cdpdp", folded_precision=[1.0, 2.0, 3.0, 2.0, 1.0])
    ]
    figure = layerwise.draw(found, ("folded_precision",))
    figure.draw_without_rendering()
    below = figure.legends[0].get_window_extent()
    panels = [axes.get_tightbbox() for axes in figure.axes]
    assert all(panel is not None and panel.y0 >= below.y1 for panel in panels)
    assert below.x0 >= 0
    assert below.x1 <= figure.bbox.width
    assert all(axes.get_position().height * figure.bbox.height > 100 for axes in figure.axes)
    styles = [display.line_style(position) for position in range(variants)]
    assert len({tuple(style.values()) for style in styles}) == variants
