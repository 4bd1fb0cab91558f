"""How much of the published losses is the engine's: TFLite against the Graph Transform Tool.

    python -m experiments.run --artifact=mobilenets/engines --scale=reduced
    python -m experiments.run --artifact=mobilenets/engine_switches --scale=reduced
        --imagenet_data=photographs.npz --mobilenet_v1=mobilenet.keras

The works quantized with TensorFlow 1.15's Graph Transform Tool. The first table has the networks of
Yun & Wong's Tables 1 and 2 in TFLite's true uint8 and in that tool, simulated
(`tfqdyn.quantization.graph_transform_tool`), on the same calibration images and the same scored
ones. The second takes the MobileNet-V1 trained on ImageNet through every deviation of the tool from
TFLite: all of them, none, all but one, one alone.

Cost: the trainings of Table 1; an analysis by the tool takes about twice as long as one in uint8.
The second table is 19 analyses of the full network; smoke takes one deviation alone.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.engine.artifact import Artifact, Row, Scope
from experiments.engine.imagenet import Missing
from experiments.engine.jobs import Analysis, analysis_of
from experiments.engine.networks import ABLATION
from experiments.engine.store import Job, Store
from experiments.engine.subjects import (
    SubjectAnalysis,
    analysis_of_subject,
    subject,
    subject_columns,
)
from experiments.evidence import outcomes
from experiments.evidence.missing_networks import missing_row
from experiments.mobilenets import table_1, table_2
from experiments.mobilenets.imagenet_layers import analyses
from tfqdyn.schemes import DEVIATIONS, GRAPH_TRANSFORM_TOOL, UINT8

ENGINES = (UINT8, GRAPH_TRANSFORM_TOOL)
"""Schemes: TFLite's, and the works'."""
FIGURES = ("uint8_accuracy", "loss", "loss_low", "loss_high", "qkl_div", "percent_decrease")
"""Columns of a network in an engine."""


def variants(single: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Names of the ways through the deviations, and which of them each leaves out.

    Args:
        single: deviations that are left out, and taken alone.
    """
    names = tuple(DEVIATIONS)
    return {
        "all": (),
        "none": names,
        **{f"all but {name}": (name,) for name in single},
        **{f"{name} alone": tuple(n for n in names if n != name) for name in single},
    }


def _in_engine(job: Any, scheme: str, without: tuple[str, ...] = ()) -> Any:
    config = dataclasses.replace(job.config, scheme=scheme, without=without)
    return dataclasses.replace(job, config=config)


def _analyses(scope: Scope) -> list[tuple[str, str, Analysis]]:
    """Network, engine and analysis of Table 1."""
    return [
        (network.name, engine, _in_engine(analysis_of(network, scope.scale, seed), engine))
        for network, seed in scope.replicates(ABLATION)
        for engine in ENGINES
    ]


def _of_subjects(scope: Scope) -> list[tuple[str, str, SubjectAnalysis | Missing]]:
    """Architecture, engine and analysis of Table 2; why there is none."""
    return [
        (arch, engine, one if isinstance(one, Missing) else _in_engine(one, engine))
        for arch, one in analyses(scope).items()
        for engine in ENGINES
    ]


def jobs(scope: Scope) -> Sequence[Job]:
    """All networks in both engines."""
    found: list[Job] = [analysis for _, _, analysis in _analyses(scope)]
    return found + [one for _, _, one in _of_subjects(scope) if not isinstance(one, Missing)]


def rows(scope: Scope, store: Store) -> Sequence[Row]:
    """A row a network and engine."""
    found: list[Row] = []
    for network, engine, analysis in _analyses(scope):
        published = table_1.published(network)
        found.append({
            "network": network, "engine": engine,
            **outcomes.outcome_or_pending(analysis, scope, store),
            **{name: published[name] for name in _PUBLISHED},
        })  # fmt: skip
    for arch, engine, one in _of_subjects(scope):
        row = missing_row(arch, one) if isinstance(one, Missing) else _columns(one, store)
        published = table_2.published(row["network"])
        found.append({**row, "engine": engine, **{name: published[name] for name in _PUBLISHED}})
    return found


def _columns(one: SubjectAnalysis, store: Store) -> dict[str, Any]:
    """`subject_columns`; `network` and `status` of an analysis that is not done."""
    if not store.done(one):
        return {"network": one.subject.name, "status": outcomes.PENDING}
    return subject_columns(one, store)


_PUBLISHED = ("published_uint8_accuracy", "published_qkl_div", "published_percent_decrease")

TABLE = Artifact(
    "mobilenets/engines",
    "Yun & Wong, Tables 1 and 2",
    "The networks of Tables 1 and 2 in TFLite's uint8 and in the works' own engine",
    jobs,
    rows,
    columns=("network", "engine", "status", "fp32_accuracy", *FIGURES, *_PUBLISHED),
)


def switched(scope: Scope) -> dict[str, SubjectAnalysis] | Missing:
    """The analyses of MobileNet-V1 by the name of the variant, TFLite's uint8 first."""
    found = subject("mobilenet_v1", scope)
    if isinstance(found, Missing):
        return found
    plain = analysis_of_subject(found, scope)
    single = tuple(DEVIATIONS)[: 1 if scope.scale.name == "smoke" else None]
    tool = {
        name: _in_engine(plain, GRAPH_TRANSFORM_TOOL, without)
        for name, without in variants(single).items()
    }
    return {"TFLite's uint8": _in_engine(plain, UINT8), **tool}


def switch_jobs(scope: Scope) -> Sequence[Job]:
    """The analyses."""
    found = switched(scope)
    return [] if isinstance(found, Missing) else list(found.values())


def switch_rows(scope: Scope, store: Store) -> Sequence[Row]:
    """A row a variant; `points_of_switch` is what turning it off, or it alone on, changes.

    That is: the loss with all deviations less that without this one, or the loss with this one
    alone less that without any, in points.
    """
    found = switched(scope)
    if isinstance(found, Missing):
        return [missing_row("mobilenet_v1", found)]
    columns = {name: _columns(analysis, store) for name, analysis in found.items()}
    every, none = (columns[name].get("loss") for name in ("all", "none"))

    def points(name: str, loss: float | None) -> float | None:
        if loss is None or every is None or none is None:
            return None
        if name.startswith("all but "):
            return every - loss
        return loss - none if name.endswith(" alone") else None

    return [
        {"deviations": name, **row, "points_of_switch": points(name, row.get("loss"))}
        for name, row in columns.items()
    ]


SWITCHES = Artifact(
    "mobilenets/engine_switches",
    "Yun & Wong, Table 2",
    "What each deviation of the Graph Transform Tool from TFLite costs MobileNet-V1",
    switch_jobs,
    switch_rows,
    columns=("network", "deviations", "status", "fp32_accuracy", *FIGURES, "points_of_switch"),
)
ARTIFACTS = (TABLE, SWITCHES)
