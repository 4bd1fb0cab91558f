"""What the plots show, and that it can be read: nothing overlaps, colours keep their meaning."""

from dataclasses import replace
from pathlib import Path

import pytest
from handmade import layer, spread
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from tfqdyn.results import ActivationRow, LayerResult
from tfqdyn.show import figures

OKABE_ITO = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"]


def network(count: int, factor: float = 1.0) -> tuple[LayerResult, ...]:
    """Numbered layers whose QMSE falls by four decades, and one without a number."""
    layers = [layer(n, spread(factor * 10 ** (-4 * n / count))) for n in range(1, count + 1)]
    return (*layers, layer(None, spread(1.0), kernel=False))


def drawn(figure: Figure) -> list[list[Bbox]]:
    """The boxes of letters, axis by axis, then of titles, axis labels and legend, once drawn."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    groups, others = [], []
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = axis.get_major_ticks()
            shown = [tick.label1 for tick in ticks if low <= tick.get_loc() <= high]
            groups.append([text.get_window_extent(renderer) for text in shown if text.get_text()])
        texts = (axes.title, axes.xaxis.label, axes.yaxis.label)
        others += [text.get_window_extent(renderer) for text in texts if text.get_text()]
    others += [legend.get_window_extent(renderer) for legend in figure.legends]
    return [*groups, others]


@pytest.mark.parametrize("layers", [1, 60, 250])
@pytest.mark.parametrize("networks", [1, 9])
def test_no_letters_overlap(layers: int, networks: int) -> None:
    runs = {f"{n}_a_remedy_of_some_name": network(layers, 1 + n) for n in range(networks)}
    figure = figures.overview(runs if networks > 1 else {"": network(layers)})
    groups = drawn(figure)
    assert len(groups[0]) >= min(layers, 4)
    for boxes in groups:
        for place, one in enumerate(boxes):
            assert not [other for other in boxes[place + 1 :] if one.overlaps(other)]
    (legend,) = figure.legends
    assert not [ax for ax in figure.axes if ax.bbox.overlaps(legend.get_window_extent())]
    page = figure.bbox
    for box in (box for boxes in groups for box in boxes):
        assert page.x0 <= box.x0
        assert box.x1 <= page.x1


def test_a_network_has_one_colour_in_every_panel() -> None:
    figure = figures.overview({"a": network(5), "b": network(5, 2.0)})
    for axes in figure.axes:
        colours = {}
        for line in axes.get_lines():
            label = str(line.get_label()).split(", ")[0]
            colours.setdefault(label, set()).add(to_hex(line.get_color()))
        assert colours == {"a": {"#0072b2"}, "b": {"#d55e00"}}
    shown = [text.get_text() for text in figure.legends[0].get_texts()]
    assert shown == ["a", "b", "weights", "folded weights", "activations"]


def test_colours_are_okabe_and_itos_and_dashes_tell_values_apart() -> None:
    runs = {str(n): network(3) for n in range(7)}
    lines = figures.layerwise(runs, "qmse").get_lines()
    assert [to_hex(line.get_color()) for line in lines] == OKABE_ITO
    assert len({str(line.get_marker()) for line in lines}) == 7
    dashes = [line.get_linestyle() for line in figures.layerwise({"": network(3)}, "range").lines]
    assert dashes == [":", "--", "-"]


def test_axes_given_are_drawn_on_and_sized_for_print() -> None:
    axes = Figure().subplots()
    assert figures.layerwise({"": network(3)}, "qmse", axes) is axes
    assert figures.overview({"": network(3)}).get_figwidth() == 7.0
    alone = figures.layerwise({"": network(3)}, "qmse").get_figure()
    assert isinstance(alone, Figure)
    assert alone.get_figwidth() == 3.5


def test_decades_make_an_axis_logarithmic_where_bands_end_above_0() -> None:
    wide = (layer(1, spread(1e-6, 5e-6)), layer(2, spread(1e-2, 1e-2)))
    axes = figures.layerwise({"": wide}, "qmse")
    assert axes.get_yscale() == "log"
    assert axes.get_ylim() == pytest.approx((1e-6 / 1.6, 2e-2 * 1.6))
    narrow = (layer(1, spread(1e-3)), layer(2, spread(2e-3)))
    assert figures.layerwise({"": narrow}, "qmse").get_yscale() == "linear"
    precision = figures.layerwise({"": wide}, "average_precision")
    assert (precision.get_yscale(), precision.get_ylim()) == ("linear", (0.0, 1.04))
    clipped = replace(wide[0], activations=ActivationRow(spread(1.0), spread(1.5)))
    shown = figures.layerwise({"": [clipped]}, "average_precision")
    assert shown.get_ylim() == (0.0, pytest.approx(1.56))


def test_infinite_and_absent_values_leave_gaps() -> None:
    rows = (layer(1, spread(float("inf"))), layer(2, spread(1.0)), layer(3, spread(1.0), False))
    assert figures.layerwise({"": rows}, "qmse").get_ylim()[1] < 2
    weights = figures.layerwise({"": rows}, "range").get_lines()[0]
    assert list(weights.get_xdata()) == [1, 2]


def test_channels_stand_under_the_tensors_range() -> None:
    axes = figures.channels(layer(1, spread(0.0)))
    assert list(axes.get_lines()[0].get_ydata()) == [2.0, 2.0]
    (bars,) = axes.collections
    assert isinstance(bars, LineCollection)
    assert [segment.tolist() for segment in bars.get_segments()] == [
        [[0.0, 0.0], [0.0, 0.5]], [[1.0, 0.0], [1.0, 2.0]],
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"'layer_None' \(conv\) has no weights"):
        figures.channels(layer(None, spread(0.0), kernel=False))


def test_history_and_dynamics_run_over_epochs(tmp_path: Path) -> None:
    rows = [{"epoch": n, "accuracy": n / 4, "val_accuracy": n / 8} for n in (1, 2)]
    lines = figures.history(rows).get_lines()
    assert [list(line.get_ydata()) for line in lines] == [[0.25, 0.5], [0.125, 0.25]]
    layers = [
        {"epoch": epoch, "number": number, "name": f"conv_{number}", "weight_range": epoch * number}
        for epoch in (1, 2)
        for number in (1, 2, 3)
    ]
    axes = figures.dynamics(layers, "weight_range")
    assert [list(line.get_ydata()) for line in axes.get_lines()] == [[1, 2], [2, 4], [3, 6]]
    assert axes.get_lines()[2].get_label() == "3: conv_3"
    assert len({line.get_color() for line in axes.get_lines()}) == 3
    figures.save(axes.get_figure(), tmp_path / "dynamics.svg")
    assert [path.name for path in tmp_path.iterdir()] == ["dynamics.svg"]


def test_the_same_figure_gives_the_same_files(tmp_path: Path) -> None:
    figure = Figure()
    figure.subplots().plot([1, 2], [3, 4])
    for suffix in ("svg", "png"):
        one, two = tmp_path / f"one.{suffix}", tmp_path / f"two.{suffix}"
        figures.save(figure, one)
        figures.save(figure, two)
        assert one.read_bytes() == two.read_bytes()
