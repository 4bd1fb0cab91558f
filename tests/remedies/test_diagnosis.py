from dataclasses import replace

import faulty_networks
import keras
import numpy as np
import pytest
from conftest import images

from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import Dataset
from tfqdyn.network.folding import fold_batchnorm
from tfqdyn.network.lowering import lower
from tfqdyn.pipeline import analyze
from tfqdyn.remedies import diagnose
from tfqdyn.remedies.catalogue import REMEDIES
from tfqdyn.report.facts import facts
from tfqdyn.results import LayerResult, OwnError, RunResult, spread
from tfqdyn.results.diagnosis import RULES


def faults(result: RunResult, layer: str) -> list[str]:
    return [finding.fault for finding in diagnose(result) if finding.layer == layer]


def with_layer(result: RunResult, name: str, **changed) -> RunResult:
    layers = tuple(replace(r, **changed) if r.name == name else r for r in result.layers)
    return replace(result, layers=layers)


def with_own(result: RunResult, name: str, **changed) -> RunResult:
    (layer,) = (r for r in result.layers if r.name == name)
    assert layer.own is not None
    return with_layer(result, name, own=replace(layer.own, **changed))


@pytest.fixture(scope="module")
def healthy() -> RunResult:
    return faulty_networks.ward().result(faulty_networks.healthy())


@pytest.fixture(scope="module")
def clean(healthy: RunResult) -> RunResult:
    """A run in which no rule finds anything."""
    sources = {
        name: spread([60.0])
        for name in ("input", "weights", "accumulator", "requantization", "clipping")
    }

    def cured(layer: LayerResult) -> LayerResult:
        own = OwnError(
            spread([1.0]), spread([50.0]), spread([0.5]), spread([0.0]), sources, 0.0,
            sqnr_pooled_db=spread([50.0]),
        )  # fmt: skip
        return replace(
            layer, own=own, sqnr_pooled_db=spread([48.0]), qmse=spread([1.5]),
            clipped_share=spread([0.0]),
        )  # fmt: skip

    return replace(healthy, layers=tuple(map(cured, healthy.layers)))


def test_a_clean_run_has_no_findings(clean: RunResult) -> None:
    assert diagnose(clean) == ()


def test_one_channel_spanning_the_tensor() -> None:
    found = faults(faulty_networks.ward().result(faulty_networks.coarse()), "pw")
    assert found[0] == "spanning_channel"


def test_unlike_channels_are_named_where_they_hurt() -> None:
    first = diagnose(faulty_networks.ward().result(faulty_networks.spread()))[0]
    assert (first.fault, first.layer) == ("activation_outliers", "dw")
    assert "the channels of stem are unlike" in first.text
    assert first.channels == (15,)
    assert first.remedies[0] == "equalization"


def bias_free_net() -> keras.Model:
    """A black image is black in every layer; one weight spans the pointwise kernel."""
    k = keras.layers
    keras.utils.set_random_seed(4)
    x = inputs = keras.Input((8, 8, 3))
    x = k.Conv2D(8, 3, use_bias=False, activation="relu", name="stem")(x)
    x = k.Conv2D(8, 1, use_bias=False, activation="relu", name="pw")(x)
    x = k.GlobalAveragePooling2D(name="gap")(x)
    model = keras.Model(inputs, k.Dense(4, use_bias=False, name="logits")(x))
    kernel = model.get_layer("pw").kernel.numpy()
    kernel[..., 0] *= 100.0
    model.get_layer("pw").kernel.assign(kernel)
    return model


def test_a_blank_image_silences_nothing() -> None:
    config = AnalysisConfig("unit", trials=1, calibration_size=8, own_error=True)
    data = images(12, size=8)
    black = Dataset(
        "black", np.append(data.x_test, np.zeros_like(data.x_test[:1]), axis=0),
        np.append(data.y_test, 0), data.x_train, data.y_train,
    )  # fmt: skip
    without, found = (analyze(bias_free_net(), d, config) for d in (data, black))
    assert "spanning_channel" in faults(found, "pw")
    for row, other in zip(found.layers, without.layers, strict=True):
        assert (row.sqnr_infinite.mean, other.sqnr_infinite.mean) == (1, 0)
        assert row.own.sqnr_infinite.mean == 1
        assert row.sqnr_db.mean == other.sqnr_db.mean
        assert row.sqnr_pooled_db.mean == other.sqnr_pooled_db.mean
    assert "without 1 of infinite SQNR" in " ".join(facts(found.layers[0]))


def test_clipping(clean: RunResult) -> None:
    clipped = with_layer(clean, "dw", clipped_share=spread([0.03]))
    assert diagnose(clipped) == ()  # clipping alone leaves 60 dB
    layer = next(r for r in clipped.layers if r.name == "dw")
    assert layer.own is not None
    sources = {**layer.own.source_sqnr_db, "clipping": spread([20.0])}
    (finding,) = diagnose(with_own(clipped, "dw", source_sqnr_db=sources))
    assert (finding.fault, finding.layer) == ("clipping_loss", "dw")
    assert "3.00%" in finding.text


def test_bias_shift(clean: RunResult) -> None:
    sick = with_own(clean, "pw", bias_share=spread([0.6]), sqnr_pooled_db=spread([20.0]))
    (finding,) = diagnose(sick)
    assert finding.fault == "bias_shift"
    assert finding.remedies[0] == "bias_correction"
    assert "60%" in finding.text


def test_weight_rounding_without_a_spanning_channel(clean: RunResult) -> None:
    layer = next(r for r in clean.layers if r.name == "pw")
    assert layer.own is not None
    sources = {**layer.own.source_sqnr_db, "weights": spread([25.0])}
    sick = with_own(clean, "pw", source_sqnr_db=sources, sqnr_pooled_db=spread([24.9]))
    assert faults(sick, "pw") == ["weight_rounding"]


def test_activation_outliers(clean: RunResult) -> None:
    layer = next(r for r in clean.layers if r.name == "pw")
    assert layer.own is not None
    sources = {**layer.own.source_sqnr_db, "requantization": spread([22.0])}
    sick = with_layer(
        clean, "pw",
        own=replace(layer.own, source_sqnr_db=sources),
        activations=replace(layer.activations, average_precision=spread([0.03])),
    )  # fmt: skip
    assert faults(sick, "pw") == ["activation_outliers"]


def test_relu6_saturation_is_measured() -> None:
    model = faulty_networks.small_net(6.0)
    norm = model.get_layer("dw_bn")
    norm.gamma.assign(np.full(norm.gamma.shape, 8.0))
    result = faulty_networks.ward().result(fold_batchnorm(lower(model)))
    assert "relu6_saturation" in faults(result, "dw")
    row = next(r for r in result.layers if r.name == "dw")
    assert row.own is not None
    assert 0.05 < row.own.saturated_share < 0.5


def test_inherited_error_is_told_from_own(clean: RunResult) -> None:
    sick = with_own(clean, "gap", qmse=spread([0.01]), inherited_qmse=spread([0.99]))
    sick = with_layer(sick, "gap", sqnr_pooled_db=spread([10.0]), qmse=spread([1.0]))
    (finding,) = diagnose(sick)
    assert (finding.fault, finding.layer) == ("inherited", "gap")
    assert "99.0% of its error is inherited" in finding.text


def test_findings_name_known_remedies_and_faults(healthy: RunResult) -> None:
    for folded in (faulty_networks.spread(), faulty_networks.coarse()):
        for finding in diagnose(faulty_networks.ward().result(folded)):
            assert finding.fault in RULES
            assert set(finding.remedies) <= set(REMEDIES)
            assert finding.layer in finding.text
