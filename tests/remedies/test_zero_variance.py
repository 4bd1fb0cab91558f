import dataclasses

import faulty_networks
import numpy as np
import pytest

from tfqdyn.network.folding import Folded, fold_batchnorm
from tfqdyn.network.lowering import lower
from tfqdyn.remedies import RemedyError, diagnose
from tfqdyn.remedies.analytic import bias_correction_analytic
from tfqdyn.remedies.bias_correction import bias_correction
from tfqdyn.remedies.zero_variance import zero_variance


def test_dead_channels_become_the_constants_that_they_are() -> None:
    model = faulty_networks.dead_model()
    ward = faulty_networks.ward()
    sick = fold_batchnorm(lower(model))
    cured = zero_variance(sick, ward.material)
    assert [(c.layer, c.channel) for c in cured.changes] == [("dw", 3), ("dw", 8)]
    dw = cured.folded.graph.by_name["dw"]
    assert not dw.weights["kernel"][:, :, [3, 8]].any()
    np.testing.assert_array_equal(
        dw.weights["bias"][[3, 8]], model.get_layer("dw_bn").beta.numpy()[[3, 8]]
    )
    np.testing.assert_allclose(ward.logits(cured.folded), ward.logits(sick), rtol=1e-4, atol=1e-4)
    assert cured.measured["output_qkl_div"] < 1e-6
    assert cured.measured["same_top1"] == 1.0


def test_accuracy_of_the_output_comes_back() -> None:
    model = faulty_networks.dead_model()
    ward = faulty_networks.ward()
    sick = fold_batchnorm(lower(model))
    assert ward.qkl(zero_variance(sick, ward.material).folded) < 0.25 * ward.qkl(sick)


def test_diagnosis_names_the_dead_layer_first() -> None:
    model = faulty_networks.dead_model()
    ward = faulty_networks.ward()
    sick = fold_batchnorm(lower(model))
    first = diagnose(ward.result(sick))[0]
    assert (first.fault, first.layer, first.channels) == ("dead_variance", "dw", (3, 8))
    assert first.remedies == ("zero_variance",)
    cured = zero_variance(sick, ward.material).folded
    assert all(f.fault != "dead_variance" for f in diagnose(ward.result(cured)))


def test_a_healthy_network_stays_as_it_is() -> None:
    healthy = faulty_networks.healthy()
    ward = faulty_networks.ward()
    cured = zero_variance(healthy, ward.material)
    assert cured.folded is healthy
    assert not cured.changes


def test_refuses_when_the_channel_is_alive() -> None:
    model = faulty_networks.dead_model()
    ward = faulty_networks.ward()
    stem = model.get_layer("stem_bn")
    stem.beta.assign(np.zeros(stem.beta.shape))  # the channels carry a signal after all
    with pytest.raises(RemedyError, match="more than the tolerance"):
        zero_variance(fold_batchnorm(lower(model)), ward.material)


def test_twice_changes_nothing_more() -> None:
    model = faulty_networks.dead_model()
    ward = faulty_networks.ward()
    once = zero_variance(fold_batchnorm(lower(model)), ward.material)
    assert not zero_variance(once.folded, ward.material).changes


def test_after_bias_correction_the_deployed_weights_follow() -> None:
    model = faulty_networks.dead_model()
    ward = faulty_networks.ward()
    corrected = bias_correction(fold_batchnorm(lower(model)), ward.material).folded
    cured = zero_variance(corrected, ward.material).folded
    assert not cured.deployed.by_name["dw"].weights["kernel"][:, :, [3, 8]].any()


def without_statistics(folded: Folded) -> Folded:
    """The same network as a file holds it: folded, its batch norms forgotten."""
    return dataclasses.replace(folded, batch_norms={})


def test_without_statistics_channels_that_give_one_value_are_dead() -> None:
    """A dead depthwise channel reads zeros: kernel times 0 plus its bias, on every image."""
    ward = faulty_networks.ward()
    sick = without_statistics(fold_batchnorm(lower(faulty_networks.dead_model())))
    cured = zero_variance(sick, ward.material)
    assert {("dw", 3), ("dw", 8)} <= {(c.layer, c.channel) for c in cured.changes}
    before, after = (n.graph.by_name["dw"] for n in (sick, cured.folded))
    dead = [3, 8]
    assert not after.weights["kernel"][:, :, dead].any()
    np.testing.assert_allclose(
        after.weights["bias"][dead], before.weights["bias"][dead], rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(ward.logits(cured.folded), ward.logits(sick), rtol=1e-4, atol=1e-4)
    assert "no batch-norm statistics" in cured.notes[0]
    assert ward.qkl(cured.folded) < 0.25 * ward.qkl(sick)


def test_without_statistics_a_healthy_network_stays_as_it_is() -> None:
    healthy = without_statistics(faulty_networks.healthy())
    cured = zero_variance(healthy, faulty_networks.ward().material)
    assert cured.folded is healthy
    assert cured.notes[0].endswith("none do.")


def test_analytic_correction_says_that_it_needs_statistics() -> None:
    healthy = without_statistics(faulty_networks.healthy())
    done = bias_correction_analytic(healthy, faulty_networks.ward().material)
    assert not done.changes
    assert "no batch norms" in done.notes[0]
