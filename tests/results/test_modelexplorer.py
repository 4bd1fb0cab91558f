"""Node data of a run: keyed as Model Explorer keys the file's nodes, coloured alike in all runs."""

import dataclasses
import json
import math
from pathlib import Path

import keras
import pytest

from tfqdyn import pipeline, results
from tfqdyn.cli import show
from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import Dataset
from tfqdyn.results import RunResult, modelexplorer
from tfqdyn.results.spreads import spread


@pytest.fixture(scope="module")
def runs() -> tuple[RunResult, RunResult]:
    """The same network in uint8 and in floats."""
    from conftest import images, residual_net

    keras.utils.set_random_seed(1)
    network, data = residual_net(), images(16)
    config = AnalysisConfig(preprocessing="tf", trials=1, calibration_size=8)
    return tuple(  # pyright: ignore[reportReturnType]
        pipeline.analyze(network, data, dataclasses.replace(config, scheme=scheme))
        for scheme in ("uint8", "float32")
    )


def test_every_run_writes_its_node_data(runs: tuple[RunResult, RunResult], tmp_path: Path) -> None:
    run = runs[0]
    results.write(run, tmp_path)
    for one in modelexplorer.NODE_DATA:
        graph = json.loads((tmp_path / one.file).read_text())["main"]
        ends = [threshold["value"] for threshold in graph.get("thresholds", [])]
        assert ends == sorted(ends)
        assert graph["results"], one.file
    sqnr = json.loads((tmp_path / "model_explorer.json").read_text())["main"]["results"]
    stem = next(layer for layer in run.layers if layer.name == "stem")
    assert sqnr[str(stem.operator)] == {"value": stem.sqnr_pooled_db.mean}
    assert len(sqnr) == len(run.layers)
    results.write(dataclasses.replace(run, tflite=(), layers=()), tmp_path)
    assert not list(tmp_path.glob("model_explorer*"))  # of the earlier run


def test_infinite_and_undefined_figures_are_numbers_or_left_out(
    runs: tuple[RunResult, RunResult],
) -> None:
    values = (math.inf, -math.inf, math.nan)
    layers = tuple(
        dataclasses.replace(layer, sqnr_pooled_db=spread([value]))
        for layer, value in zip(runs[0].layers, values, strict=False)
    )
    text = modelexplorer.files(dataclasses.replace(runs[0], layers=layers))["model_explorer.json"]
    found = [entry["value"] for entry in json.loads(text)["main"]["results"].values()]
    assert sorted(found) == [-200.0, 200.0]


def test_graphs_are_linked_layer_by_layer(runs: tuple[RunResult, RunResult]) -> None:
    entries = json.loads(modelexplorer.synchronized(*runs))["mappingEntries"]
    left, right = (modelexplorer.operators_of(run.layers) for run in runs)
    assert len(entries) == len(left.keys() & right.keys()) > 5
    assert {
        "leftNodeIds": [str(left["stem"])], "rightNodeIds": [str(right["stem"])]
    } in entries  # fmt: skip


def test_model_explorer_itself_has_these_nodes(
    runs: tuple[RunResult, RunResult], tmp_path: Path
) -> None:
    """The real package: graph id, node ids and what each node's tensor is."""
    adapter = pytest.importorskip("ai_edge_model_explorer_adapter")
    for run in runs:
        results.write(run, tmp_path)
        config = adapter.VisualizeConfig()
        told = adapter.ConvertFlatbufferDirectlyToJson(config, str(tmp_path / "trial_0.tflite"))
        (graph,) = json.loads(told)[0]["subgraphs"]
        data = json.loads((tmp_path / "model_explorer.json").read_text())
        assert list(data) == [graph["id"]]
        nodes = {node["id"]: node for node in graph["nodes"]}
        assert data["main"]["results"].keys() <= nodes.keys()
        labels = {layer.name: nodes[str(layer.operator)]["label"] for layer in run.layers}
        assert (labels["stem"], labels["dw"], labels["gap"]) == (
            "conv_2d", "depthwise_conv_2d", "mean",
        )  # fmt: skip


def test_the_builders_of_model_explorer_take_the_data(runs: tuple[RunResult, RunResult]) -> None:
    builder = pytest.importorskip("model_explorer.node_data_builder")
    for text in modelexplorer.files(runs[0]).values():
        graph = json.loads(text)["main"]
        built = builder.GraphNodeData(
            results={k: builder.NodeDataResult(**v) for k, v in graph["results"].items()},
            name=graph["name"],
            thresholds=[builder.ThresholdItem(**t) for t in graph.get("thresholds", [])],
        )
        again = json.loads(builder.ModelNodeData({"main": built}).to_json_string())["main"]
        assert {key: again[key] for key in graph} == graph


@pytest.mark.parametrize("opened", [True, False])
def test_show_hands_a_run_to_model_explorer(
    runs: tuple[RunResult, RunResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: bool
) -> None:
    model_explorer = pytest.importorskip("model_explorer")
    with pytest.raises(ValueError, match=r"has no trial_0\.tflite and no model_explorer\.json"):
        show.serve(tmp_path, 8080, opened)
    results.write(runs[0], tmp_path)
    shown: list = []
    monkeypatch.setattr(
        model_explorer, "visualize_from_config", lambda config, **how: shown.append((config, how))
    )
    show.serve(tmp_path, 8080, opened)
    ((config, how),) = shown
    assert how == {"port": 8080, "no_open_in_browser": not opened}
    assert [source["url"] for source in config.model_sources] == [str(tmp_path / "trial_0.tflite")]
    names = [one.file for one in modelexplorer.NODE_DATA]
    assert config.node_data_sources == [str(tmp_path / name) for name in names]


def test_a_simulation_has_no_graph(network: keras.Model, dataset: Dataset) -> None:
    config = AnalysisConfig(preprocessing="tf", scheme="simulated", trials=1, calibration_size=8)
    assert modelexplorer.files(pipeline.analyze(network, dataset, config)) == {}
