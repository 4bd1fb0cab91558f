"""Everything -> one HTML file."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tfqdyn.files import wholefiles
from tfqdyn.report import blockrows, summary
from tfqdyn.report.bundle import vega
from tfqdyn.report.charts import specifications
from tfqdyn.report.inputs import Result, Run, named_runs
from tfqdyn.report.layers import COLUMNS, layer_records
from tfqdyn.report.panels import groups
from tfqdyn.report.templates import joined, template
from tfqdyn.results.layervalues import LAYER_VALUES
from tfqdyn.show import causes

SCRIPTS = ("page.js", "chart.js", "layerwise.js", "table.js", "channels.js", "start.js")
"""Our script's files in their order; the page holds them as one."""


def write_report(
    runs: Mapping[str, Result] | Sequence[Result], path: Path, title: str | None = None
) -> None:
    """Writes the report of one or several runs, which it draws over one another.

    Args:
        runs: `RunResult`s, or records that `results.read` gives; by the names that the page shows,
            or a sequence (see `named_runs`). The first is what the others are held against.
        path: the HTML file; its folder exists.
        title: the page's; by default the networks' names.

    Raises:
        ValueError: no runs, or a record that is not a run's.
    """
    wholefiles.write(path, render(named_runs(runs), title).encode())


def render(runs: Sequence[Run], title: str | None = None) -> str:
    """The page's text."""
    found = [causes.causes(run.result) for run in runs]
    networks = dict.fromkeys(run.result.model.name for run in runs)
    return template("page.html").render(
        title=title or ", ".join(networks),
        headline=summary.headline(runs, found),
        runs=runs,
        strips=[summary.strip(run.result.summary) for run in runs],
        summary=summary.rows(runs),
        setup=summary.setup(runs),
        causes=found,
        all_well=[causes.ALL_WELL if causes.loses_nothing(r.result) else "" for r in runs],
        more=[_more(run) for run in runs],
        data=_script_data(_data(runs)),
        style=joined("page.css"),
        script=joined(*SCRIPTS),
        vega=Markup(vega()),
        unlike=_unlike(runs),
        worst=summary.worst(runs),
        blocks=[blockrows.of_run(run, place) for place, run in enumerate(runs)],
        version=runs[0].result.versions.get("tfqdyn", ""),
    )


def _more(run: Run) -> tuple[str, str]:
    """What measuring own errors would add, and the command; nothing where they were measured."""
    if run.result.warnings or causes.measured(run.result):
        return "", ""
    return causes.WOULD_ADD, causes.own_error_command(run.result)


def _unlike(runs: Sequence[Run]) -> str:
    """That lines of different networks share an axis, where they do."""
    plans = {tuple((row.number, row.name, row.kind) for row in run.result.layers) for run in runs}
    if len(plans) < 2:
        return ""
    names = {tuple(row.name for row in run.result.layers if row.number) for run in runs}
    if len(names) < 2:
        return "The runs differ in ops without a kernel; layers of one number are the same layers."
    return (
        "The runs are of different networks: each layer stands at its number in its own network, "
        "so layers above one another are not the same layer."
    )


def _data(runs: Sequence[Run]) -> dict[str, Any]:
    return {
        "runs": [
            {
                "name": run.name,
                "colour": run.colour,
                "marker": run.marker,
                "network": run.result.model.name,
                "layers": layer_records(run.result.layers),
            }
            for run in runs
        ],
        "groups": groups(runs),
        "columns": {name: LAYER_VALUES[name].label for name in COLUMNS},
        "charts": specifications(),
    }


def _script_data(data: Any) -> Markup:
    """JSON that is safe in a script element: no character that HTML knows, as escapes of JSON."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
