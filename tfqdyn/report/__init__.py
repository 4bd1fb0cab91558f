"""Results -> `report.html`: one self-contained page that opens from disk and loads nothing.

    inputs.py     runs as they are given -> runs with names and colours
    summary.py    headline, summary and setup in words and figures
    layers.py     rows and channels as the page's data
    facts.py      a layer in words
    panels.py     which figure is drawn where
    charts.py     Vega specifications of the charts
    differences.py  what changed from the first run to the others
    bundle.py     the charts' library as one script
    page.py       everything -> HTML (Jinja2, autoescape)
    assets/       template, style sheet, and our script

Charts are drawn by Vega 6, bundled by vl-convert-python, which ships it. Of the three candidates it
weighs least in the page: Vega-Embed with all that it needs 0.9 MB, Bokeh 3.9 1.4 MB, Plotly 7.1
4.8 MB, of the 6 MB that a report may weigh. It draws SVG, so charts print sharply, can be saved as
they are seen, and give every mark an ARIA label, where Bokeh draws on a canvas. And its
specifications are plain records, so how a chart looks is written here in Python, not in a page's
script. Making the bundle takes one to two seconds; it is kept.
"""

from tfqdyn.report.differences import Difference, differences, to_csv
from tfqdyn.report.inputs import Run, named_runs
from tfqdyn.report.page import write_report
from tfqdyn.report.summary import rows as summary_rows

__all__ = [
    "Difference",
    "Run",
    "differences",
    "named_runs",
    "summary_rows",
    "to_csv",
    "write_report",
]
