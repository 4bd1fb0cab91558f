"""What trainings take, said before they begin; how they share an accelerator."""

import dataclasses
import os

import pytest

from experiments.engine import accelerators, estimate
from experiments.engine.jobs import Training, training_of
from experiments.engine.networks import ABLATION
from experiments.engine.scales import SMOKE


def training(name: str, width: float) -> Training:
    network = next(n for n in ABLATION if n.name == name)
    widths = {**SMOKE.widths, network.arch: width}
    return training_of(network, dataclasses.replace(SMOKE, widths=widths), seed=0)


def test_a_kind_of_network_is_measured_once_and_its_macs_tell_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured: list[Training] = []

    def speed(job: Training) -> float:
        measured.append(job)
        return 200.0

    monkeypatch.setattr(estimate, "images_per_second", speed)
    narrow, wide = (training("DWS Conv With Gamma GlorotUni", width) for width in (0.125, 0.5))
    first, second = estimate.costs([narrow, wide])
    assert measured == [narrow]
    assert first.images_per_second == 200.0
    assert second.images_per_second == 200.0 * first.macs / second.macs
    assert second.macs > 4 * first.macs
    # Smoke: two epochs of 256 images.
    assert first.hours == 2 * 256 / 200.0 / 3600
    assert second.hours == pytest.approx(first.hours * second.macs / first.macs, rel=1e-12)


def test_steps_are_timed_by_training() -> None:
    one = training("DWS Conv With Gamma GlorotUni", 0.125)
    assert 1 < estimate.images_per_second(one) < 1e6


def test_the_sum_is_told_for_one_at_a_time_and_for_several() -> None:
    one = training("DWS Conv With Gamma GlorotUni", 0.125)
    cost = estimate.Cost(one, 10**6, 2 * 256 / 3600 / 4)  # four hours
    assert estimate.told([cost, cost], 1, 0) == (
        "2 trainings take about 8.0 hours on this machine (CPUs alone) one after the other"
    )
    assert estimate.told([cost, cost], 2, 0).endswith("one after the other, 4.0 with 2 at a time")
    assert estimate.told([cost], 8, 1).endswith("(accelerators: 1) one after the other")


def test_devices_are_shared_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in accelerators.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", "false")
    shared = accelerators.share()
    assert shared == {
        "TF_FORCE_GPU_ALLOW_GROWTH": "false",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }
    assert os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    for name in accelerators.VARIABLES:
        monkeypatch.delenv(name)


def test_eight_trainings_fit_one_device() -> None:
    assert accelerators.SIDE_BY_SIDE * Training.gpus == 1
