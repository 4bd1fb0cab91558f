"""Vega specifications of the charts: marks, scales and axes; the page's script fills in the data.

Every chart takes its width and data from the script, which also sets the domain and the type of the
y scale ("linear" or "log") and the theme's colours (`config`). Data sets of each chart:

    layerwise   points: line, colour, marker, x, y, low, high, text; stripes: x
    channels    points: x, colour, marker, y, text; bars: x, colour, low, high, text;
                levels: y, label, left
    histogram   bins: x0, x1, text; filled: x, y; steps: x, y; codes: x; beyond: x0, x1
"""

from typing import Any

SCHEMA = "https://vega.github.io/schema/vega/v6.json"
"""Names the language; nothing is fetched from there."""


_SHORT = "format(datum.value, datum.value && abs(datum.value) < 0.001 ? '~e' : '~g')"
"""A tick's label: 0.02 and 1e-5."""


def specifications() -> dict[str, Any]:
    """Every chart's specification by its name."""
    return {"layerwise": _layerwise(), "channels": _channels(), "histogram": _histogram()}


def _chart(
    height: int, data: list[str], scales: list[Any], axes: list[Any], marks: list[Any]
) -> dict[str, Any]:
    return {
        "$schema": SCHEMA,
        "autosize": {"type": "fit", "contains": "padding"},
        "height": height,
        "padding": {"left": 2, "right": 8, "top": 6, "bottom": 2},
        "data": [{"name": name, "values": []} for name in data],
        "scales": scales,
        "axes": axes,
        "marks": marks,
    }


_X = {
    "name": "x",
    "type": "linear",
    "domain": {"signal": "domain"},
    "range": "width",
    "zero": False,
}
_Y = {"name": "y", "type": "linear", "domain": [0, 1], "range": "height", "zero": False}


def _y_axis(title: str | None = None) -> dict[str, Any]:
    return {
        "scale": "y", "orient": "left", "grid": True, "labelOverlap": "greedy", "tickCount": 5,
        "title": title, "minExtent": 46, "domain": False, "ticks": False,
        "encode": {"labels": {"update": {"text": {"signal": _SHORT}}}},
    }  # fmt: skip


def _x_axis(title: str, **more: Any) -> dict[str, Any]:
    return {
        "scale": "x", "orient": "bottom", "title": title, "labelOverlap": "greedy",
        "labelFlush": False, "tickCount": {"signal": "max(2, floor(width / 55))"}, **more,
    }  # fmt: skip


def _layerwise() -> dict[str, Any]:
    line = {
        "type": "line", "from": {"data": "line"}, "aria": False, "encode": {"update": {
            "x": {"scale": "x", "field": "x"}, "y": {"scale": "y", "field": "y"},
            "defined": {"signal": "isValid(datum.y)"}, "strokeWidth": {"value": 1.6},
            "stroke": {"field": "colour"}}},
    }  # fmt: skip
    band = {
        "type": "area", "from": {"data": "line"}, "aria": False, "encode": {"update": {
            "x": {"scale": "x", "field": "x"}, "y": {"scale": "y", "field": "low"},
            "y2": {"scale": "y", "field": "high"}, "defined": {"signal": "isValid(datum.y)"},
            "fill": {"field": "colour"}, "fillOpacity": {"value": 0.22}}},
    }  # fmt: skip
    stripes = {
        "type": "rect", "from": {"data": "stripes"}, "clip": True, "aria": False,
        "encode": {"update": {
            "x": {"scale": "x", "signal": "datum.x - 0.5"},
            "x2": {"scale": "x", "signal": "datum.x + 0.5"},
            "y": {"value": 0}, "y2": {"signal": "height"}, "fill": {"signal": "stripe"}}},
    }  # fmt: skip
    focused = {
        "type": "rule", "clip": True, "aria": False, "encode": {"update": {
            "x": {"scale": "x", "signal": "focus"}, "y": {"value": 0}, "y2": {"signal": "height"},
            "stroke": {"signal": "ink"}, "strokeWidth": {"value": 1},
            "opacity": {"signal": "focus === null ? 0 : 0.55"}}},
    }  # fmt: skip
    points = {
        "type": "symbol", "from": {"data": "points"}, "clip": True, "encode": {"update": {
            "x": {"scale": "x", "field": "x"}, "y": {"scale": "y", "field": "y"},
            "opacity": {"signal": "isValid(datum.y) ? 1 : 0"},
            "shape": {"field": "marker"}, "fill": {"field": "colour"},
            "size": {"signal": "datum.x === focus ? 90 : 26"}, "stroke": {"signal": "paper"},
            "strokeWidth": {"value": 0.6}, "description": {"field": "text"}}},
    }  # fmt: skip
    lines = {
        "type": "group", "clip": True, "aria": False,
        "from": {"facet": {"name": "line", "data": "points", "groupby": "line"}},
        "encode": {"update": {"width": {"signal": "width"}, "height": {"signal": "height"}}},
        "marks": [band, line],
    }  # fmt: skip
    chart = _chart(
        210,
        ["stripes", "points"],
        [_X, _Y],
        [_y_axis(), _x_axis("layer", format="d", tickMinStep=1)],
        [stripes, focused, lines, points],
    )
    names = ("domain", "focus", "ink", "paper", "stripe")
    return {**chart, "signals": [{"name": name, "value": None} for name in names]}


def _channels() -> dict[str, Any]:
    width = {"signal": "max(1, 0.7 * width / span(domain('x')))"}
    bars = {
        "type": "rule", "from": {"data": "bars"}, "clip": True, "encode": {"update": {
            "x": {"scale": "x", "field": "x"}, "y": {"scale": "y", "field": "low"},
            "y2": {"scale": "y", "field": "high"}, "stroke": {"field": "colour"},
            "strokeWidth": width, "strokeCap": {"value": "square"},
            "tooltip": {"field": "text"}, "description": {"field": "text"}}},
    }  # fmt: skip
    points = {
        "type": "symbol", "from": {"data": "points"}, "clip": True, "encode": {"update": {
            "x": {"scale": "x", "field": "x"}, "y": {"scale": "y", "field": "y"},
            "shape": {"field": "marker"}, "fill": {"field": "colour"},
            "size": {"signal": "clamp(8 * width / span(domain('x')), 9, 42)"},
            "fillOpacity": {"value": 0.85},
            "tooltip": {"field": "text"}, "description": {"field": "text"}}},
    }  # fmt: skip
    levels = {
        "type": "rule", "from": {"data": "levels"}, "encode": {"update": {
            "x": {"value": 0}, "x2": {"signal": "width"}, "y": {"scale": "y", "field": "y"},
            "stroke": {"signal": "ink"}, "strokeDash": {"value": [5, 3]},
            "strokeWidth": {"value": 1}, "opacity": {"value": 0.7}}},
    }  # fmt: skip
    chart = _chart(
        200,
        ["points", "bars", "levels"],
        [_X, _Y],
        [_y_axis(), _x_axis("channel", format="d", tickMinStep=1)],
        [bars, points, levels, _labels(halo=True), _labels(halo=False)],
    )
    return {
        **chart,
        "signals": [{"name": name, "value": None} for name in ("domain", "ink", "paper")],
    }


def _labels(halo: bool) -> dict[str, Any]:
    """What the levels are called, above them; or the halo that goes behind those words."""
    background = {"stroke": {"signal": "paper"}, "strokeWidth": {"value": 3}}
    return {
        "type": "text", "from": {"data": "levels"}, "encode": {"update": {
            "x": {"signal": "datum.left ? 3 : width - 3"},
            "y": {"scale": "y", "field": "y", "offset": -4},
            "align": {"signal": "datum.left ? 'left' : 'right'"},
            "text": {"field": "label"}, "fontSize": {"value": 11}, "fill": {"signal": "ink"},
            **(background if halo else {})}},
    }  # fmt: skip


def _histogram() -> dict[str, Any]:
    beyond = {
        "type": "rect", "from": {"data": "beyond"}, "aria": False, "encode": {"update": {
            "x": {"scale": "x", "field": "x0"}, "x2": {"scale": "x", "field": "x1"},
            "y": {"value": 0}, "y2": {"signal": "height"}, "fill": {"signal": "colour"},
            "fillOpacity": {"value": 0.16}}},
    }  # fmt: skip
    fp32 = {
        "type": "area", "from": {"data": "filled"}, "aria": False, "clip": True,
        "interactive": False, "encode": {"update": {
            "x": {"scale": "x", "field": "x"}, "y": {"scale": "y", "field": "y"},
            "y2": {"signal": "height"}, "interpolate": {"value": "step-after"},
            "fill": {"signal": "ink"}, "fillOpacity": {"value": 0.25}}},
    }  # fmt: skip
    pointed_at = {
        "type": "rect", "from": {"data": "bins"}, "clip": True, "encode": {"update": {
            "x": {"scale": "x", "field": "x0"}, "x2": {"scale": "x", "field": "x1"},
            "y": {"value": 0}, "y2": {"signal": "height"}, "fill": {"value": "transparent"},
            "tooltip": {"field": "text"}, "description": {"field": "text"}}},
    }  # fmt: skip
    quantized = {
        "type": "line", "from": {"data": "steps"}, "aria": False, "clip": True,
        "interactive": False, "encode": {"update": {
            "x": {"scale": "x", "field": "x"}, "y": {"scale": "y", "field": "y"},
            "interpolate": {"value": "step-after"}, "stroke": {"signal": "colour"},
            "strokeWidth": {"value": 1.5}}},
    }  # fmt: skip
    halo = {
        **quantized, "encode": {"update": {
            **quantized["encode"]["update"], "stroke": {"signal": "paper"},
            "strokeWidth": {"value": 4}, "strokeOpacity": {"value": 0.75}}},
    }  # fmt: skip
    codes = {
        "type": "rule", "from": {"data": "codes"}, "aria": False, "encode": {"update": {
            "x": {"scale": "x", "field": "x"}, "y": {"signal": "height"},
            "y2": {"signal": "height + 5"}, "stroke": {"signal": "ink"},
            "strokeWidth": {"value": 0.5}}},
    }  # fmt: skip
    chart = _chart(
        220,
        ["bins", "filled", "steps", "codes", "beyond"],
        [_X, _Y],
        [
            {**_y_axis("share of values"), "titlePadding": 6},
            _x_axis("value (ticks: the codes of the grid)", format="~g", offset=6, ticks=False),
        ],
        [beyond, fp32, halo, quantized, codes, pointed_at],
    )
    return {
        **chart,
        "signals": [{"name": name, "value": None} for name in ("domain", "ink", "paper", "colour")],
    }
