"""What the report's page holds: data, words, differences, size, and nothing from anywhere else."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import images, residual_net
from reported import HOSTILE, analyzed, renamed, without_histograms

from tfqdyn import cli, results
from tfqdyn.report import differences, named_runs, summary, to_csv, write_report
from tfqdyn.report.facts import facts
from tfqdyn.report.inputs import COLOURS
from tfqdyn.results import RunResult, Spread, diagnosis, restore, spread
from tfqdyn.show.causes import TITLES, causes


class Elements(HTMLParser):
    """The page's elements as a browser reads them: tags with attributes, and scripts' texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
            self._in_script = True

    def handle_endtag(self, tag: str) -> None:
        self._in_script = self._in_script and tag != "script"

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data


Page = Callable[..., tuple[str, dict]]


@pytest.fixture
def page(tmp_path: Path) -> Page:
    """Writes a report; the page's text and its data."""

    def write(*runs: RunResult, **named: RunResult) -> tuple[str, dict]:
        write_report(named or list(runs), tmp_path / "report.html")
        text = (tmp_path / "report.html").read_text()
        return text, json.loads(Elements(text).scripts[0])

    return write


def test_data_are_the_results(page: Page) -> None:
    result = analyzed()
    _, data = page(result)
    rows = data["runs"][0]["layers"]
    assert [row["name"] for row in rows] == [layer.name for layer in result.layers]
    for row, layer in zip(rows, result.layers, strict=True):
        assert row["figures"]["qmse"] == pytest.approx([layer.qmse.mean, layer.qmse.std], rel=1e-4)
        assert ("folded_weight_range" in row["figures"]) == (layer.folded_weights is not None)
        assert len(row["channels"]["activations"]) == layer.output_shape[-1]
        assert row["grid"][1] == layer.quantization[0][1]
    assert rows[0]["shape"] == "12 \N{MULTIPLICATION SIGN} 12 \N{MULTIPLICATION SIGN} 8"


def test_ops_without_a_kernel_stand_between_their_neighbours(page: Page) -> None:
    """stem 1, dw 2, pw 3, then add and pad, then grouped 4, pool, concat and gap, then logits 5."""
    _, data = page(analyzed())
    places = {row["name"]: row["place"] for row in data["runs"][0]["layers"]}
    assert [places[name] for name in ("stem", "dw", "pw", "grouped", "logits")] == [1, 2, 3, 4, 5]
    between = [(name, p) for name, p in places.items() if p != int(p)]
    after_pw = [p for _, p in between if 3 < p < 4]
    thirds = [3 + k / (len(after_pw) + 1) for k in range(1, len(after_pw) + 1)]
    assert after_pw == pytest.approx(thirds, abs=1e-4)
    assert [p for _, p in between if p > 5] == [5.5]  # the softmax


def test_histograms_count_the_activations() -> None:
    """The counts of `stem` against numpy's on Keras' own activations."""
    result = analyzed()
    keras.utils.set_random_seed(1)
    model = residual_net()
    x = images(24).x_test[list(result.data.scored[0])].astype(np.float32)
    values = keras.Model(model.inputs, model.get_layer("stem_relu").output).predict(x, verbose=0)
    found = result.layers[0].histogram
    expected, _ = np.histogram(np.clip(values, found.low, found.high), 128, (found.low, found.high))
    assert sum(found.fp32) == sum(found.quantized) == values.size
    assert np.abs(np.array(found.fp32) - expected).sum() <= 4  # values on an edge between bins


def test_least_weights_of_channels_lie_below_their_ranges() -> None:
    layer = next(row for row in analyzed().layers if row.name == "dw")
    lows = np.array(layer.channels.folded_weight_low)
    highs = lows + np.array(layer.channels.folded_weight_range)
    assert max(highs) - min(lows) == pytest.approx(layer.folded_weights.range, rel=1e-6)


def test_names_are_text_never_code(page: Page) -> None:
    result = renamed(analyzed(), "dw", HOSTILE)
    hostile = result.named(HOSTILE)
    text, data = page(**{HOSTILE: hostile, "b": analyzed()})
    assert "<script>window" not in text
    elements = Elements(text)
    assert "img" not in {tag for tag, _ in elements.tags}
    assert len(elements.scripts) == 3
    assert not [attributes for _, attributes in elements.tags if "onerror" in attributes]
    assert data["runs"][0]["name"] == HOSTILE
    assert data["runs"][0]["layers"][1]["name"] == HOSTILE


def test_nothing_is_fetched(page: Page) -> None:
    elements = Elements(page(analyzed())[0])
    links = [a.get("src") or a.get("href") for _, a in elements.tags if "src" in a or "href" in a]
    assert all(link.startswith(("#", "data:")) for link in links)
    policy = [a["content"] for tag, a in elements.tags if tag == "meta" and "http-equiv" in a]
    assert policy[0].startswith("default-src 'none'; ")
    style = re.search("<style>(.*?)</style>", page(analyzed())[0], re.S).group(1)
    assert "url(" not in style
    assert "@import" not in style


def test_colours_are_constant_and_apart(page: Page) -> None:
    runs = {name: analyzed() for name in "abcdefg"}
    _, data = page(**runs)
    shown = [(run["colour"], run["marker"]) for run in data["runs"]]
    assert [colour for colour, _ in shown[:6]] == list(COLOURS)
    assert len(set(shown)) == 7
    _, fewer = page(a=analyzed(), b=analyzed())
    assert [(run["colour"], run["marker"]) for run in fewer["runs"]] == shown[:2]


def test_undefined_figures_are_dashes(page: Page) -> None:
    """Where fp32 gets no image right, the percent decrease is undefined."""
    result = analyzed()
    undefined = Spread(float("nan"), None, (float("nan"),))
    nothing = replace(result, summary=replace(result.summary, percent_accuracy_decrease=undefined))
    (row,) = (r for r in summary.rows(named_runs([nothing])) if r.heading.startswith("percent"))
    assert [cell.text for cell in row.cells] == [summary.MISSING]
    page(nothing)
    page(before=result, after=nothing)
    found = differences(named_runs({"before": result, "after": nothing}))
    assert not [one for one in found if one.figure.startswith("percent accuracy")]


def test_runs_of_one_network_are_told_apart_by_their_settings() -> None:
    result = analyzed()
    other = replace(result, config={**result.config, "calibrator": "mse"})
    names = [run.name for run in named_runs([result, other])]
    assert names == ["residual, calibrator percentile_of_runs", "residual, calibrator mse"]
    assert [run.name for run in named_runs([result, result])] == ["residual (1)", "residual (2)"]
    with pytest.raises(ValueError, match="at least one run"):
        named_runs([])


def test_one_run_overlays_tensors_several_overlay_runs(page: Page) -> None:
    _, one = page(analyzed())
    assert [line["label"] for line in one["groups"][0]["panels"][0]["lines"]] == [
        "weights", "folded weights", "activations",
    ]  # fmt: skip
    assert [group["title"] for group in one["groups"]][-1] == "Own and inherited error"
    _, two = page(a=analyzed(), b=analyzed())
    assert all(len(panel["lines"]) == 1 for group in two["groups"] for panel in group["panels"])


def test_every_fault_has_a_heading() -> None:
    assert set(TITLES) == set(diagnosis.RULES)


def test_findings_name_layers_of_the_run(page: Page) -> None:
    for result in (analyzed(), estimated(analyzed())):
        names = {layer.name for layer in result.layers}
        elements = Elements(page(result)[0])
        linked = [a["data-layer"] for _, a in elements.tags if "data-layer" in a]
        assert linked
        assert set(linked) <= names
    assert causes(estimated(analyzed()))[-1].title.startswith("Layers that add most error")


def test_channels_wider_than_the_clipped_tensor_are_explained() -> None:
    layer = analyzed().layers[0]
    wide = replace(layer.activations, average_precision=spread([1.197]))
    said = " ".join(facts(replace(layer, activations=wide)))
    assert "Average precision 1.2 is above 1: this calibrator cuts single channels less" in said
    assert "above 1" not in " ".join(facts(layer))


def test_facts_count_the_channels_below_one_step() -> None:
    """Ranges 51, 10, 0.1: a step is 51 / 255 = 0.2, the median channel spans 50 of them."""
    layer = next(row for row in analyzed().layers if row.name == "dw")
    channels = replace(layer.channels, folded_weight_range=(51.0, 10.0, 0.1))
    weights = replace(layer.folded_weights, range=51.0)
    said = facts(replace(layer, channels=channels, folded_weights=weights))
    assert said[0] == (
        "Folded weights span 51, so one of the grid's 255 steps is 0.2. The median channel spans "
        "10, 50 steps; 1 of 3 channels span less than one."
    )
    kept = facts(replace(layer, quantization=(None, None)))
    assert len(kept) == 1
    assert kept[0].endswith("This layer runs in fp32.")


def estimated(result: RunResult) -> RunResult:
    """The run without measured own errors."""
    return replace(result, layers=tuple(replace(layer, own=None) for layer in result.layers))


def test_differences_are_those_of_the_figures() -> None:
    first = analyzed()
    better = tuple(
        replace(row, sqnr_pooled_db=Spread(row.sqnr_pooled_db.mean + 6.0, None, ()))
        if row.name == "pw"
        else row
        for row in first.layers
    )
    summary = replace(first.summary, quantized_accuracy=Spread(0.75, None, (0.75,)))
    found = differences(
        named_runs({"a": first, "b": replace(first, layers=better, summary=summary)})
    )
    changed = {(d.layer, d.figure): d.difference for d in found if d.difference}
    gain = 0.75 - first.summary.quantized_accuracy.mean
    assert changed == {
        ("pw", "sqnr_pooled_db"): pytest.approx(6.0),
        ("", "quantized accuracy"): pytest.approx(gain),
    }
    lines = to_csv(found).splitlines()
    assert lines[0] == "run,number,layer,kind,figure,first,value,difference"
    assert len(lines) == 1 + len(found)


def test_saved_runs_come_back_whole(tmp_path: Path) -> None:
    results.write(analyzed(), tmp_path)
    assert restore.load(tmp_path).to_json() == analyzed().to_json()


def test_runs_saved_before_histograms_are_reported(tmp_path: Path) -> None:
    results.write(without_histograms(analyzed()), tmp_path)
    record = results.read(tmp_path)
    for layer in record["layers"]:
        del layer["histogram"], layer["channels"]["folded_weight_low"]
    write_report([record], tmp_path / "report.html")
    data = json.loads(Elements((tmp_path / "report.html").read_text()).scripts[0])
    assert all(row["histogram"] is None for row in data["runs"][0]["layers"])


MOBILENET_CHANNELS = (
    [32, 32, 64, 64, 128, 128, 128, 128, 256, 256, 256, 256] + [512] * 11 + [512, 1024, 1024, 1024]
)
"""Output channels of MobileNet-V1's 27 convolutions."""


def test_three_runs_of_mobilenets_size_fit(page: Page) -> None:
    """27 convolutions, pooling, 1000 classes and their softmax, three runs: less than 6 MB."""
    rng = np.random.default_rng(0)
    layer = next(row for row in analyzed().layers if row.name == "dw")

    def widened(index: int, count: int) -> results.LayerResult:
        numbers = tuple(rng.lognormal(size=count).tolist())
        arrays = {"folded_weight_range": numbers, "folded_weight_low": numbers,
                  "activation_range": numbers, "sqnr_db": numbers}  # fmt: skip
        counts = replace(layer.histogram, fp32=(10**7,) * 128, quantized=(10**7,) * 128)
        channels = replace(layer.channels, **arrays)
        return replace(
            layer, name=f"layer_{index}", number=index + 1, channels=channels, histogram=counts
        )

    layers = tuple(
        widened(i, count) for i, count in enumerate([*MOBILENET_CHANNELS, 1024, 1000, 1000])
    )
    run = replace(analyzed(), layers=layers)
    text, _ = page(before=run, zero_variance=run, bias_correction=run)
    assert 1e6 < len(text) < 6e6


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Run folders a and b, a folder without results, and one of another schema."""
    for name in ("a", "b", "old", "cut"):
        results.write(without_histograms(analyzed()), tmp_path / name)
    file = tmp_path / "old" / "results.json"
    file.write_text(file.read_text().replace('"schema": 1', '"schema": 7', 1))
    file = tmp_path / "cut" / "results.json"
    file.write_text(file.read_text().replace('"qmse"', '"q"'))
    (tmp_path / "empty").mkdir()
    return tmp_path


def compare(*arguments: str) -> int:
    return cli.run(["compare", *arguments])


def test_compare_writes_the_overlay_and_the_differences(
    folders: Path, capfd: pytest.CaptureFixture
) -> None:
    assert compare(f"{folders}/a", f"{folders}/b", f"--out={folders}/out") == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert "runs, and differences from the first" in out
    assert {p.name for p in (folders / "out").iterdir()} == {
        "report.html",
        "differences.csv",
        "sync_navigation_1.json",
    }
    text = (folders / "out" / "report.html").read_text()
    assert [run["name"] for run in json.loads(Elements(text).scripts[0])["runs"]] == ["a", "b"]


BAD_RUNS = {
    "none": ([], "needs at least one run folder, received none"),
    "no folder": (["{}/nowhere"], "nowhere is no folder"),
    "not a run": (["{}/a", "{}/empty"], "empty is a folder without results.json"),
    "schema": (["{}/old"], "expected results of schema 1, received 7"),
    "field gone": (["{}/cut"], "cut/results.json: expected the field results.summary.qmse"),
    "twice": (["{}/a", "{}/a"], "more than once"),
}


@pytest.mark.parametrize("case", BAD_RUNS)
def test_compare_names_what_is_wrong(
    case: str, folders: Path, capfd: pytest.CaptureFixture
) -> None:
    given, message = BAD_RUNS[case]
    assert compare(*(g.format(folders) for g in given), f"--out={folders}/out") == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("tfqdyn: ")
    assert message in err
    assert not (folders / "out").exists()


def test_compare_needs_a_folder_to_write_to(folders: Path, capfd: pytest.CaptureFixture) -> None:
    assert compare(f"{folders}/a") == 2
    assert capfd.readouterr().err.startswith("tfqdyn: --out is missing. ")


def test_several_runs_are_told_apart_in_the_first_sentence_and_the_worst_is_open(
    page: Page,
) -> None:
    def scoring(accuracy: float, **more: object) -> RunResult:
        of = replace(analyzed().summary, fp32_accuracy=0.9, quantized_accuracy=spread([accuracy]))
        return replace(analyzed(), summary=replace(of, **more), warnings=())

    runs = {"healthy": scoring(0.85), "planted": scoring(0.125), "cured": scoring(0.875)}
    text, _ = page(**runs)
    assert "uint8 accuracy of 3 runs: healthy 85.00 %, planted 12.50 %, cured 87.50 %" in text
    assert "(fp32 90.00 %)." in text
    opened = re.findall(r'<details class="run" (open)?>\s*<summary>.*?</span>(\w+)</summary>', text)
    assert [name for is_open, name in opened if is_open] == ["planted", "planted"]
    many = {**runs, "d": scoring(0.5, fp32_accuracy=0.75), "e": scoring(0.625)}
    text, _ = page(**many)
    assert "of 5 runs: healthy 85.00 %, best cured 87.50 % (fp32 75.00 % to 90.00 %)." in text
    none = scoring(0.5, fp32_accuracy=None, quantized_accuracy=None)
    text, _ = page(**{**runs, "unlabeled": none})
    decibels = summary.short(none.summary.outputs[0].sqnr_db.mean)
    assert f"SQNR of the outputs of 4 runs: healthy {decibels} dB; " in text
