"""Networks and photographs known by their digests, what is analyzed of them, their rows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.engine import imagenet, subjects
from experiments.engine.artifact import Scope
from experiments.engine.imagenet import ImageNet, Missing, NetworkFile, Photographs
from experiments.engine.jobs import Training
from experiments.engine.scales import REDUCED, SMOKE
from experiments.engine.store import DONE, Store, key_of
from experiments.engine.subjects import (
    Subject,
    SubjectAnalysis,
    analysis_of_subject,
    fitted,
    subject,
)
from experiments.mobilenets import figure_s10, imagenet_layers, table_2
from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import Dataset, preprocess
from tfqdyn.measurement.capture import KerasActivations
from tfqdyn.measurement.sampling import calibration_images, disjoint_draws

REAL = imagenet.SHOWN["mobilenet_v1"]


@pytest.fixture
def files(tmp_path: Path) -> ImageNet:
    """Files that are there; what they hold is not read."""
    (tmp_path / "photographs.npz").write_bytes(b"photographs")
    (tmp_path / "mobilenet.keras").write_bytes(b"mobilenet")
    return ImageNet(str(tmp_path / "photographs.npz"), str(tmp_path / "mobilenet.keras"))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(arch: str) -> Any:
        raise OSError("URL fetch failure on https://x/y.h5: None -- [Errno -2] Name not known")

    monkeypatch.setattr(imagenet, "_downloaded", refuse)
    imagenet._download.cache_clear()


def test_files_are_known_by_what_they_hold(tmp_path: Path) -> None:
    for folder, name, content in (("a", "0/x.png", b"1"), ("b", "0/x.png", b"1"), ("c", "y", b"1")):
        (tmp_path / folder / name).parent.mkdir(parents=True)
        (tmp_path / folder / name).write_bytes(content)
    digests = {folder: imagenet.digest(tmp_path / folder) for folder in "abc"}
    assert digests["a"] == digests["b"] != digests["c"]
    one = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"  # SHA-256 of "1"
    assert imagenet.digest(tmp_path / "c" / "y") == one


def test_paths_do_not_decide_a_key(small: Subject) -> None:
    def key(network: NetworkFile, images: Photographs) -> str:
        return key_of(SubjectAnalysis(Subject(network, images, "tf", "n", "f"), AnalysisConfig()))

    here = key(NetworkFile("vgg19", "a", "here"), Photographs("b", "here"))
    assert here == key(NetworkFile("vgg19", "a", "there"), Photographs("b", "there"))
    assert here != key(NetworkFile("vgg19", "c", "here"), Photographs("b", "here"))
    assert here != key(NetworkFile("vgg19", "a", "here"), Photographs("c", "here"))
    assert here.startswith("subjects/vgg19-")


def test_a_path_to_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nothing is there: --vgg19=.*gone\.keras"):
        ImageNet(vgg19=str(tmp_path / "gone.keras"))


@pytest.mark.usefixtures("offline")
def test_what_is_not_to_be_had_says_why(files: ImageNet) -> None:
    nothing = Scope(REDUCED, 0, ImageNet())
    assert subject("mobilenet_v1", nothing) == Missing("no photographs (--imagenet_data)")
    found = subject("vgg19", Scope(REDUCED, 0, files))
    reason = "no file (--vgg19), and Keras' download failed ([Errno -2] Name not known)"
    assert found == Missing(reason)


def test_real_networks_and_the_stand_in(files: ImageNet) -> None:
    stand_in = subject("mobilenet_v1", Scope(SMOKE, 0, ImageNet()))
    assert isinstance(stand_in, Subject)
    assert stand_in.name == "MobileNet on digits (stand-in)"
    (training,) = stand_in.needs
    assert isinstance(training, Training)
    assert dict(training.initial.options)["activation"] == "relu6"
    assert isinstance(subject("vgg19", Scope(SMOKE, 0, ImageNet())), Missing)
    for scale in (SMOKE, REDUCED):
        real = subject("mobilenet_v1", Scope(scale, 0, files))
        assert isinstance(real, Subject)
        assert (real.name, real.preprocessing, real.needs) == (REAL, "tf", ())


def test_draws_take_half_of_a_half_that_is_never_scored() -> None:
    x, y = np.arange(600.0).reshape(600, 1, 1, 1), np.arange(600)
    data = imagenet.split(Dataset("d", x, y))
    assert data.x_train is not None
    assert data.y_train is not None
    assert sorted([*data.y_train, *data.y_test]) == list(range(600))
    assert len(data.x_test) == 300
    np.testing.assert_array_equal(data.x_train[:, 0, 0, 0], data.y_train)
    np.testing.assert_array_equal(imagenet.split(Dataset("d", x, y)).y_test, data.y_test)
    assert fitted(AnalysisConfig(calibration_size=2000), data).calibration_size == 150
    assert fitted(AnalysisConfig(calibration_size=64), data).calibration_size == 64
    assert imagenet.split(data) is data


def test_remedies_cure_and_scores_what_did_not_calibrate(small: Subject, tmp_path: Path) -> None:
    config = AnalysisConfig(preprocessing="tf", trials=2, calibration_size=2000)
    job = SubjectAnalysis(small, config, "relu", ("zero_variance",))
    store = Store(tmp_path / "store")
    found = store.finish(job)["result"]
    assert (found["status"], found["images"], found["calibration_images"]) == ("analyzed", 12, 6)
    assert found["changes"] == {"zero_variance": 1}
    record = json.loads((store.folder(job) / "results.json").read_text())
    assert [len(set(drawn)) for drawn in record["data"]["calibration_images"]] == [6, 6]
    assert record["data"]["scored"] == list(range(12))  # by every draw
    depthwise = next(row for row in record["layers"] if row["kind"] == "depthwise")
    assert depthwise["channels"]["folded_weight_range"][1] == 0.0
    columns = subjects.subject_columns(job, store)
    assert columns["uint8_accuracy"] == 100 * found["summary"]["quantized_accuracy"]["mean"]


def test_relu_takes_the_bounds_off(small: Subject, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    bounds = [
        [node.config["max_value"] for node in small.folded(store, form).graph if node.op == "relu"]
        for form in (None, "relu")
    ]
    assert bounds == [[6.0, 6.0], [None, None]]


def test_figure_s10_has_ranges_from_before_the_relu(small: Subject, tmp_path: Path) -> None:
    config = AnalysisConfig(
        preprocessing="tf", scheme="graph_transform_tool", trials=2, calibration_size=6,
        calibrator="minmax",
    )  # fmt: skip
    job, store = figure_s10.BeforeRelu(small, config), Store(tmp_path / "store")
    layers = store.finish(job)["result"]["layers"]
    assert [layer["number"] for layer in layers] == list(range(1, len(layers) + 1))

    model = small.folded(store)
    data = small.dataset()
    (first, _) = disjoint_draws(data, config)
    images = preprocess(calibration_images(data)[first.calibration], "tf")
    for layer, row in zip(layers, [r for r in model.deployed.rows if r.number], strict=True):
        before, after = KerasActivations(model.deployed, (row.name, row.output))(images)
        for names, values in ((figure_s10.DRAWN, before), (figure_s10.AFTER, after)):
            own = values.reshape(-1, values.shape[-1]).astype(float)
            span = max(own.max(), 0.0) - min(own.min(), 0.0)
            assert layer[names[0]][0] == pytest.approx(span, rel=1e-5)
            channels = own.max(axis=0) - own.min(axis=0)
            assert layer[names[1]][0] == pytest.approx(channels.mean() / span, rel=1e-4)
        if row.output != row.name:
            assert layer["activation_range"][0] >= layer["after_relu_range"][0]


def spread(mean: float, std: float) -> dict[str, Any]:
    return {"mean": mean, "std": std, "trials": [mean]}


@pytest.mark.usefixtures("offline")
def test_table_2_has_the_published_figures_beside_ours(files: ImageNet, tmp_path: Path) -> None:
    scope, store = Scope(REDUCED, 0, files), Store(tmp_path / "store")
    job = analysis_of_subject(subject("mobilenet_v1", scope), scope)
    summary = {"fp32_accuracy": 0.92, "quantized_accuracy": spread(0.04, 0.01)} | {
        name: spread(2.0, 0.5) for name in ("percent_accuracy_decrease", "qmse", "qce", "qkl_div")
    }
    result = {"status": "analyzed", "reason": "", "summary": summary, "images": 400}
    store.folder(job).mkdir(parents=True)
    done = {"result": result | {"calibration_images": 200}}
    (store.folder(job) / DONE).write_text(json.dumps(done))
    mobilenet, vgg = table_2.rows(scope, store)
    assert (mobilenet["network"], mobilenet["status"]) == (REAL, "analyzed")
    ours = ("fp32_accuracy", "uint8_accuracy", "uint8_accuracy_std", "qce", "images", "draws")
    assert [mobilenet[name] for name in ours] == [92.0, 4.0, 1.0, 2.0, 400, 3]
    assert mobilenet["published_uint8_accuracy"] == 3.00
    assert mobilenet["published_qmse_std"] == 8.7e-6
    assert str(vgg["status"]).startswith("not available: no file (--vgg19)")
    assert vgg["published_percent_decrease"] == 8.58
    assert table_2.published(subjects.STAND_IN)["published_fp32_accuracy"] is None


def layer(number: int, kind: str, span: float, precision: float, **more: Any) -> dict[str, Any]:
    row = {"network": REAL, "family": "MobileNet", "status": "analyzed", "number": number}
    return row | {"kind": kind, "folded_range": span, "folded_precision": precision} | more


def layers(span: float, precision: float) -> list[dict[str, Any]]:
    """Thirteen depthwise layers of a range and precision between others of 1 and 0.5."""
    return [
        layer(n, "depthwise", span + n / 100, precision) if n % 2 == 0 else layer(n, "conv", 1, 0.5)
        for n in range(1, 28)
    ]


MISSING = {"network": "VGG-19", "family": "VGG-19", "status": "not available: no file"}


def test_figures_name_what_they_cannot_draw() -> None:
    values = ("folded_range", "folded_precision")
    figure = imagenet_layers.draw([*layers(10.0, 0.1), MISSING], values)
    assert figure.axes[0].get_title("right") == "VGG-19: not available"
    assert len(figure.axes) == 2
    words = imagenet_layers.draw([MISSING], values)
    assert [text.get_text() for text in words.texts] == ["VGG-19: not available: no file"]
