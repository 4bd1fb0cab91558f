"""Yun's thesis, chapter 4: weight initialization, after training and over its course."""

from experiments.engine.networks import WEIGHT_INIT, thesis_network
from experiments.evidence import architectures, controls
from experiments.weight_init import (
    early_ranking,
    figures,
    table_4_1,
    table_4_2,
    table_4_3,
    table_4_4,
)

ARCHITECTURES = architectures.artifact(
    "weight_init/figure_4_1",
    "Thesis, Figure 4.1",
    "The architecture of the study, with regular and with depthwise separable convolutions",
    {
        f"{family} Conv": thesis_network(family, "scale", "GlorotUni")
        for family in ("Regular", "DWS")
    },
    "One macroarchitecture for all networks, so that initialization and convolution are all that "
    "differs; a flatten layer stands between the last convolution and the first dense layer.",
)
ARTIFACTS = (
    ARCHITECTURES,
    table_4_1.ARTIFACT,
    table_4_2.ARTIFACT,
    *figures.AFTER_TRAINING,
    table_4_3.ARTIFACT,
    table_4_4.ARTIFACT,
    *figures.OVER_TRAINING,
    early_ranking.ARTIFACT,
    controls.layers(
        "weight_init/layers", "Thesis, 4.5", "Layers of all 48 networks", WEIGHT_INIT, None
    ),
    *controls.artifacts("weight_init", "Thesis, chapter 4", WEIGHT_INIT, table_4_2.traits),
)
