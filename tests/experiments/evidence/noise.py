"""Rows of every artifact that claims read, of pure noise: no network differs from another."""

from typing import Any

import numpy as np

from experiments.engine import imagenet
from experiments.engine.networks import ABLATION, GAMMA, OVER_TRAINING, STAGED, WEIGHT_INIT, Network
from experiments.evidence.layerwise import COLUMNS
from experiments.factorizenet.spectrum import SPECTRUM
from experiments.weight_init import dynamics, early_ranking, table_4_2
from experiments.weight_init.training_claims import EPOCHS

Rows = list[dict[str, Any]]
Noise = np.random.Generator
DRAWS = 5
KINDS = {
    "Regular": "C" * 9 + "FFF",
    "DWS": "C" + "DP" * 8 + "FFF",
    "MobileNet": "C" + "DP" * 13 + "F",
    "ResNet34": ("C" * 9 + "P") * 3 + "CCF",
    "FactorizeNet": "C" + "GP" * 8 + "FFF",
    "VGG-19": "C" * 16 + "FFF",
}
NAMES = {"C": "conv", "D": "depthwise", "P": "pointwise", "G": "group", "F": "dense"}
SKEWED = ("range", "qmse", "qkl_div")
"""Values above 0 over decades, as these are."""


def figures(noise: Noise) -> dict[str, Any]:
    """What a network came to: accuracies alike but for noise, losses around 0."""
    loss, half = noise.normal(0, 1), 1.96 * noise.uniform(0.8, 1.2)
    fp32 = noise.normal(60, 2)
    row = {"fp32_accuracy": fp32, "uint8_accuracy": fp32 - loss, "images": 6000, "draws": DRAWS}
    row |= {"loss": loss, "loss_low": loss - half, "loss_high": loss + half}
    row["uint8_accuracy_std"] = abs(noise.normal(0, 0.5))
    for name in ("qmse", "qkl_div"):
        row[name] = 10 ** noise.normal(-3, 0.5)
        row[f"{name}_std"] = row[name] * noise.uniform(0.8, 1.2) * np.sqrt(DRAWS)
    return row


def table(noise: Noise, study: tuple[Network, ...], seeds: int, **same: Any) -> Rows:
    """A row a network and seed."""
    return [
        {
            "network": network.name,
            "family": network.family,
            "initializer": network.initializer,
            "batch_norm": GAMMA.get(str(network.batch_norm)),
            "seed": seed,
            "status": "finished",
            **same,
            **figures(noise),
        }
        for network in study
        for seed in range(seeds)
    ]


def layer(noise: Noise) -> dict[str, float]:
    """All values of a layer."""
    return {
        name: 10 ** noise.normal(0, 0.5) if name.endswith(SKEWED) else noise.uniform(0, 1)
        for name in COLUMNS
    }


def layers(noise: Noise, network: str, family: str, **same: Any) -> Rows:
    """A row a layer of a network."""
    return [
        {"network": network, "family": family, "number": number, "kind": NAMES[kind], **same}
        | layer(noise)
        for number, kind in enumerate(KINDS[family], 1)
    ]


def all_layers(noise: Noise, study: tuple[Network, ...], seeds: int) -> Rows:
    """A row a layer of every network and seed."""
    return [
        row
        for network in study
        for seed in range(seeds)
        for row in layers(noise, network.name, network.family, seed=seed, status="finished")
    ]


def rows(noise: Noise, seeds: int) -> dict[str, Rows]:
    """Rows by artifact, those of untrained networks noise of their own.

    Args:
        noise: where they come from.
        seeds: of every training.
    """
    found: dict[str, Rows] = {}
    for group, study in (("mobilenets", ABLATION), ("factorizenet", SPECTRUM)):
        found[f"{group}/untrained"] = table(noise, study, seeds, status="untrained")
        found[f"{group}/untrained_layers"] = all_layers(noise, study, seeds)
    found["mobilenets/table_1"] = table(noise, ABLATION, seeds)
    of_ablation = all_layers(noise, ABLATION, seeds)
    for number in ("1", "2", "4", "5", "s1", "s2", "s3", "s4", "s6"):
        found[f"mobilenets/figure_{number}"] = of_ablation
    found["factorizenet/figure_5_4"] = table(noise, SPECTRUM, seeds)
    of_spectrum = all_layers(noise, SPECTRUM, seeds)
    for number in (6, 7, 8, 14):
        found[f"factorizenet/figure_5_{number}"] = of_spectrum
    return found | weight_init(noise, seeds) | of_imagenet(noise) | staged(noise, seeds)


def weight_init(noise: Noise, seeds: int) -> dict[str, Rows]:
    """The rows of thesis chapter 4; two initializations in three train without batch norm."""
    found: dict[str, Rows] = {}
    own = table(noise, WEIGHT_INIT, seeds)
    for row, network in zip(own, (n for n in WEIGHT_INIT for _ in range(seeds)), strict=True):
        row |= table_4_2.traits(network) | table_4_2.published(network)
        row["status"] = "finished" if noise.uniform() < 0.67 else "vanished"
    found["weight_init/table_4_2"] = own
    found["weight_init/layers"] = all_layers(noise, WEIGHT_INIT, seeds)
    found["weight_init/untrained"] = [
        {**row, **figures(noise), "status": "untrained"} for row in own
    ]
    found["weight_init/untrained_layers"] = all_layers(noise, WEIGHT_INIT, seeds)
    course = [
        {**row, "published_epoch": epoch, **figures(noise)}
        for row in table(noise, OVER_TRAINING, 1)
        for epoch in EPOCHS
    ]
    found |= {"weight_init/table_4_3": course, "weight_init/table_4_4": course}
    alive = [row for row in own if row["status"] == "finished" and row["seed"] == 0]
    final = {row["network"]: row["loss"] for row in alive}
    found["weight_init/early_ranking"] = [
        {
            "source": "analysis",
            "statistic": statistic,
            "published_epoch": epoch,
            **early_ranking.foretold({n: noise.normal() for n in final}, final, statistic),
        }
        for statistic in early_ranking.OUTPUT
        for epoch in EPOCHS
    ]
    watched = (("DWS Conv With BN HeNorm", "DWS"), ("Regular Conv No BN HeUni", "Regular"))
    for number in (6, 7, 8):
        found[f"weight_init/figure_4_{number}"] = [
            {"network": name, "family": family, "epoch": epoch, "number": of}
            | {value: 10 ** noise.normal(0, 0.1) for value in dynamics.TITLES}
            for name, family in watched
            for of in range(1, len(KINDS[family]) + 1)
            for epoch in range(1, 10)
        ]
    return found


def of_imagenet(noise: Noise) -> dict[str, Rows]:
    """The rows of the ImageNet networks."""
    named = [(imagenet.SHOWN[arch], imagenet.FAMILIES[arch]) for arch in imagenet.NETWORKS]
    found: dict[str, Rows] = {
        "mobilenets/table_2": [
            {"network": name, "status": "analyzed", **figures(noise)} for name, _ in named
        ]
    }
    for number in ("6", "7", "s8"):
        found[f"mobilenets/figure_{number}"] = [
            row for name, family in named for row in layers(noise, name, family, status="analyzed")
        ]
    begun = layers(noise, *named[0], status="untrained")
    found["mobilenets/imagenet_untrained"] = begun
    same = {"network": named[0][0], "status": "analyzed"}
    found["quantization_friendly/zero_variance"] = [
        {**same, "handling": handling, **figures(noise)}
        for handling in ("as it is", "zero-variance handling")
    ]
    found["quantization_friendly/alpha"] = [
        {**same, "number": number, "alpha": noise.normal(), "zero_variance": int(number < 12)}
        for number in range(2, 28, 2)
        for _ in range(32)
    ]
    found["quantization_friendly/sqnr"] = [
        {**same, "activation": kind, "handling": "as it is", "number": number, "draws": DRAWS}
        | {"sqnr_db": noise.normal(20, 1), "sqnr_db_std": noise.uniform(0.8, 1.2) * np.sqrt(DRAWS)}
        for kind in ("ReLU6", "ReLU")
        for number in range(1, 29)
    ]
    return found


def staged(noise: Noise, seeds: int) -> dict[str, Rows]:
    """The rows of the retrained stages."""
    return {"quantization_friendly/retrained": table(noise, STAGED, seeds)}
