from dataclasses import replace

import faulty_networks
import numpy as np
import pytest
from numpy.typing import NDArray

from tfqdyn.network.folding import Folded
from tfqdyn.quantization.stepwise import StepwiseNetwork, channel_means, steps_of
from tfqdyn.remedies.analytic import bias_correction_analytic, clipped_mean, expectations
from tfqdyn.remedies.bias_correction import bias_correction


def rounds_one_way(kernel: NDArray) -> NDArray:
    """Most weights 0.4 steps above a code: rounding takes as much from all of them."""
    step = (kernel.max() - kernel.min()) / 255
    whole = np.floor(kernel / step)
    inner = (kernel > kernel.min()) & (kernel < kernel.max())
    return np.where(inner, (whole + 0.4) * step, kernel)


def shifted_net() -> Folded:
    def with_outlier(kernel: NDArray) -> NDArray:
        kernel.flat[7] = 20 * kernel.max()
        return kernel

    wide = faulty_networks.with_kernel(faulty_networks.healthy(), "pw", with_outlier)
    return faulty_networks.with_kernel(wide, "pw", rounds_one_way)


@pytest.mark.parametrize("remedy", [bias_correction, bias_correction_analytic])
def test_a_constant_shift_goes_away(remedy) -> None:
    sick = shifted_net()
    ward = faulty_networks.ward()
    cured = remedy(sick, ward.material)
    assert ward.qkl(cured.folded) < 0.5 * ward.qkl(sick)
    assert {c.layer for c in cured.changes} >= {"pw"}
    assert cured.folded.graph is sick.graph  # the fp32 reference stays


def test_means_of_the_quantized_network_are_those_of_fp32() -> None:
    sick = shifted_net()
    ward = faulty_networks.ward()
    cured = bias_correction(sick, ward.material).folded
    material = ward.material
    wanted = material.linear_means(cured.graph)
    run = StepwiseNetwork(cured.deployed, material.params(cured), material.chunks(cured.graph))
    for step in steps_of(cured.deployed):
        if step.node.name in wanted:
            got = channel_means(run.before_activation(step.node))
            np.testing.assert_allclose(got, wanted[step.node.name], atol=2e-5)
        run.advance(step)


@pytest.mark.parametrize("remedy", [bias_correction, bias_correction_analytic])
def test_a_healthy_network_hardly_changes(remedy) -> None:
    healthy = faulty_networks.healthy()
    ward = faulty_networks.ward()
    assert ward.qkl(remedy(healthy, ward.material).folded) < 1.5 * ward.qkl(healthy) + 1e-5


def test_fp32_layers_are_left_alone() -> None:
    healthy = faulty_networks.healthy()
    ward = faulty_networks.ward()
    kept = replace(healthy, float_layers=("pw",))
    assert all(c.layer != "pw" for c in bias_correction(kept, ward.material).changes)


def test_clipped_mean_against_sampling() -> None:
    rng = np.random.default_rng(0)
    mu, sigma = np.array([-2.0, 0.0, 1.0, 5.5]), np.array([1.0, 0.5, 2.0, 3.0])
    draws = rng.normal(mu, sigma, (2_000_000, 4))
    for top in (np.inf, 6.0):
        np.testing.assert_allclose(
            clipped_mean(mu, sigma, top), draws.clip(0, top).mean(axis=0), atol=5e-3
        )
    np.testing.assert_array_equal(
        clipped_mean(np.array([-1.0, 2.0, 9.0]), np.zeros(3), 6.0), [0.0, 2.0, 6.0]
    )


def test_expected_inputs_are_near_the_measured_ones() -> None:
    healthy = faulty_networks.healthy()
    ward = faulty_networks.ward()
    expected = expectations(healthy.graph, healthy.batch_norms)["stem_relu"].mean
    measured = channel_means(v for (v,) in ward.material.activations(healthy.graph, ["stem_relu"]))
    np.testing.assert_allclose(expected, measured, atol=0.15)
    assert np.corrcoef(expected, measured)[0, 1] > 0.95


def test_layers_of_unknown_input_are_named() -> None:
    healthy = faulty_networks.healthy()
    ward = faulty_networks.ward()
    (note,) = bias_correction_analytic(healthy, ward.material).notes
    assert "stem" in note
    assert "pw" not in note
