"""The layerwise figures of the two ImageNet networks (Yun & Wong, section 6; supplement A.3)."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from experiments.engine import imagenet
from experiments.engine.artifact import Artifact, Row, Scope
from experiments.engine.imagenet import Missing
from experiments.engine.store import Job, Store
from experiments.engine.subjects import (
    SubjectAnalysis,
    analysis_of_subject,
    subject,
    subject_columns,
)
from experiments.evidence import layerwise, missing_networks
from experiments.evidence.figure_table import Entry


def analyses(scope: Scope) -> Mapping[str, SubjectAnalysis | Missing]:
    """The analysis of each network as it was trained, or why there is none, by architecture."""
    found = {arch: subject(arch, scope) for arch in imagenet.NETWORKS}
    return {
        arch: one if isinstance(one, Missing) else analysis_of_subject(one, scope)
        for arch, one in found.items()
    }


def jobs(scope: Scope) -> Sequence[Job]:
    """The analyses."""
    return [one for one in analyses(scope).values() if not isinstance(one, Missing)]


def artifact(name: str, source: str, entry: Entry) -> Artifact:
    """A layerwise figure of both networks; one that is not to be had is named in rows and figure.

    Args:
        name: `group/name`.
        source: the work and its number there.
        entry: of its group's table; its values are of `layerwise.COLUMNS`.
    """

    def rows(scope: Scope, store: Store) -> Sequence[Row]:
        found: list[Row] = []
        for arch, one in analyses(scope).items():
            if isinstance(one, Missing):
                found.append(missing_networks.missing_row(arch, one))
                continue
            columns = subject_columns(one, store)
            same = {key: columns[key] for key in ("network", "family", "status")}
            found += layerwise.layer_rows(store.folder(one), entry.values, **same)
        return found

    def drawn(found: Sequence[Row]) -> Figure:
        return draw(found, entry.values)

    return Artifact(name, source, entry.title, jobs, rows, drawn, published=entry.published)


def draw(rows: Sequence[Row], values: Sequence[str]) -> Figure:
    """Panels of the networks that were analyzed, each with its own axis; the rest are named.

    Why they are not there is in the rows.
    """
    analyzed = [row for row in rows if row.get("number") is not None]
    rest = [row for row in rows if row.get("number") is None]
    if not analyzed:
        return missing_networks.in_words(rest)
    labelled = [{**row, "label": row["network"]} for row in analyzed]
    figure = layerwise.draw(labelled, values, stacked=True)
    if rest:
        names = ", ".join(dict.fromkeys(str(row["network"]) for row in rest))
        figure.axes[0].set_title(f"{names}: not available", fontsize="x-small", loc="right")
    return figure
