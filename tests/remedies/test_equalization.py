from dataclasses import replace

import faulty_networks
import keras
import numpy as np
import pytest

from tfqdyn.network import modelfile
from tfqdyn.network.folding import Folded, fold_batchnorm
from tfqdyn.network.lowering import lower
from tfqdyn.network.rebuild import to_keras
from tfqdyn.remedies import RemedyError, guard
from tfqdyn.remedies.analytic import bias_correction_analytic, expectations
from tfqdyn.remedies.bias_correction import bias_correction
from tfqdyn.remedies.equalization import equalization, equalization_relu, pairs_of


def bounded():
    """Channels of unlike scale before ReLU6s, many values beyond the bound."""
    model = faulty_networks.small_net(6.0)
    rng = np.random.default_rng(4)
    for name in ("stem_bn", "dw_bn"):
        norm = model.get_layer(name)
        norm.gamma.assign(np.exp(rng.normal(0, 2.0, norm.gamma.shape)))
    return fold_batchnorm(lower(model))


def test_ranges_of_a_pair_become_alike_and_the_function_stays() -> None:
    sick, ward = faulty_networks.spread(), faulty_networks.ward()
    cured = equalization(sick, ward.material)
    nodes = cured.folded.graph.by_name
    ranges = [np.ptp(nodes["stem"].weights["kernel"], axis=(0, 1, 2)),
              np.ptp(nodes["dw"].weights["kernel"], axis=(0, 1, 3))]  # fmt: skip
    assert max(r.max() / r.min() for r in ranges) < 10
    np.testing.assert_allclose(ward.logits(cured.folded), ward.logits(sick), rtol=1e-3, atol=1e-3)
    assert cured.measured["output_qkl_div"] < 1e-6


def test_unlike_channels_are_cured() -> None:
    sick, ward = faulty_networks.spread(), faulty_networks.ward()
    assert ward.qkl(equalization(sick, ward.material).folded) < 0.25 * ward.qkl(sick)


def test_relu6_stays_exact_with_a_cap_a_channel() -> None:
    sick, ward = bounded(), faulty_networks.ward()
    cured = equalization(sick, ward.material)
    assert [n.op for n in cured.folded.graph].count("cap") == 3
    np.testing.assert_allclose(ward.logits(cured.folded), ward.logits(sick), rtol=1e-3, atol=1e-3)
    result = ward.result(cured.folded)
    assert [row.kind for row in result.layers].count("cap") == 3
    assert ward.qkl(cured.folded) < 0.5 * ward.qkl(sick)


def test_capped_networks_survive_the_file(tmp_path) -> None:
    ward = faulty_networks.ward()
    cured = equalization(bounded(), ward.material).folded
    to_keras(cured.deployed).save(tmp_path / "cured.keras")
    again = fold_batchnorm(lower(modelfile.load(tmp_path / "cured.keras")))
    np.testing.assert_allclose(ward.logits(again), ward.logits(cured), rtol=1e-5, atol=1e-5)


def test_replacing_relu6_reports_its_own_loss() -> None:
    ward = faulty_networks.ward()
    cured = equalization_relu(bounded(), ward.material)
    assert cured.measured["relu6_replaced"] == 3
    assert cured.measured["relu6_replaced_output_qkl_div"] > 1e-3
    assert cured.measured["output_qkl_div"] < 1e-5
    assert all(n.config["max_value"] is None for n in cured.folded.graph if n.op == "relu")


def test_a_healthy_network_hardly_changes() -> None:
    healthy, ward = faulty_networks.healthy(), faulty_networks.ward()
    cured = equalization(healthy, ward.material)
    assert ward.qkl(cured.folded) < 0.001  # nats; `auto` looks for nothing below 0.002


def high_biased() -> Folded:
    """The depthwise layer's batch norm shifts every channel to 10, far above its deviation.

    Logits are small, so that probabilities show every change of them.
    """
    healthy = faulty_networks.with_kernel(
        faulty_networks.healthy(), "logits", lambda kernel: kernel / 50
    )
    norm, dw = healthy.batch_norms["dw"], healthy.graph.by_name["dw"]
    high = np.full_like(norm.beta, 10.0)
    bias = (dw.weights["bias"] + high - norm.beta).astype(np.float32)
    sick = faulty_networks.with_node(healthy, replace(dw, weights={**dw.weights, "bias": bias}))
    return replace(sick, batch_norms={**sick.batch_norms, "dw": replace(norm, beta=high)})


def test_batch_norms_tell_what_absorption_left() -> None:
    """beta becomes beta - c = 3 |gamma|, in the equalized scale; the analytic means with it."""
    sick, ward = high_biased(), faulty_networks.ward()
    cured = equalization(sick, ward.material).folded
    norm = cured.batch_norms["dw"]
    np.testing.assert_allclose(norm.beta, 3 * np.abs(norm.gamma), rtol=1e-12)
    measured = ward.material.linear_means(cured.graph)["dw"]
    np.testing.assert_allclose(norm.beta, measured, rtol=0.1)
    known = expectations(cured.graph, cured.batch_norms)["dw_relu"]
    np.testing.assert_allclose(known.mean, measured, rtol=0.1)


def test_analytic_correction_after_absorption_is_as_good_as_the_measured_one() -> None:
    sick, ward = high_biased(), faulty_networks.ward()
    absorbed = equalization(sick, ward.material).folded
    analytic, measured = (
        {row.name: row for row in ward.result(folded).layers}["pw"].own.qmse
        for folded in (
            bias_correction_analytic(absorbed, ward.material).folded,
            bias_correction(absorbed, ward.material).folded,
        )
    )
    assert analytic is not None
    assert measured is not None
    assert analytic.mean < 1.1 * measured.mean  # 2.9 times with the old beta


def test_high_biases_go_into_the_next_layer() -> None:
    sick, ward = high_biased(), faulty_networks.ward()
    cured = equalization(sick, ward.material)
    absorbed = [c for c in cured.changes if c.what == "absorbed bias"]
    assert {c.layer for c in absorbed} == {"dw"}  # the stem's reader pads
    assert all(c.after > 0 for c in absorbed)
    assert cured.measured["output_qkl_div"] < 1e-4


def test_biases_that_are_not_always_high_stay() -> None:
    """The batch norm says that hardly a value lies below 14; they lie around 10."""
    sick, ward = high_biased(), faulty_networks.ward()
    norm = sick.batch_norms["dw"]
    wrong = replace(norm, beta=norm.beta + 4, gamma=np.full_like(norm.gamma, 1e-3))
    sick = replace(sick, batch_norms={**sick.batch_norms, "dw": wrong})
    cured = equalization(sick, ward.material)
    assert not [c for c in cured.changes if c.what == "absorbed bias"]
    assert cured.measured["absorption_output_qkl_div"] > 0.01
    assert cured.measured["output_qkl_div"] < 1e-6
    assert "High biases of 16 channels stay" in cured.notes[0]
    np.testing.assert_allclose(ward.logits(cured.folded), ward.logits(sick), rtol=1e-3, atol=1e-3)


def test_what_is_not_a_number_is_no_small_change() -> None:
    assert guard.within({"output_qkl_div": 0.01})
    with pytest.raises(RemedyError, match="by nan nats of QKL-Div"):
        guard.check({"output_qkl_div": float("nan")}, "equalization", "weights overflow")


def test_must_come_before_what_suits_the_codes() -> None:
    ward = faulty_networks.ward()
    corrected = bias_correction(faulty_networks.healthy(), ward.material).folded
    with pytest.raises(RemedyError, match="must come before bias_correction"):
        equalization(corrected, ward.material)


def test_pairs_stop_at_branches_and_flattening() -> None:
    k = keras.layers
    x = inputs = keras.Input((8, 8, 3))
    a = k.Conv2D(4, 3, name="a")(x)
    b = k.Conv2D(4, 1, name="b")(k.ZeroPadding2D(1)(k.ReLU()(a)))
    c = k.Conv2D(4, 3, name="c", groups=2)(b)
    x = k.Add()([c, k.Conv2D(4, 3, name="d")(b)])
    x = k.Dense(5, name="e")(k.Flatten()(k.Conv2D(2, 1, name="f")(x)))
    graph = lower(keras.Model(inputs, x))
    assert [(p.first, p.second) for p in pairs_of(graph)] == [("a", "b")]
