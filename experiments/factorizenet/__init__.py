"""Yun's thesis, chapter 5: FactorizeNet, from regular to depthwise separable convolutions."""

from experiments.evidence import controls
from experiments.factorizenet import (
    figure_5_4,
    figure_5_5,
    figure_5_6,
    figure_5_7,
    figure_5_8,
    figure_5_9,
    figure_5_10,
    figure_5_11,
    figure_5_12,
    figure_5_13,
    figure_5_14,
    figure_5_15,
    figure_5_16,
    figure_5_17,
    pareto,
    tradeoffs,
)
from experiments.factorizenet.spectrum import SPECTRUM

ARTIFACTS = (
    figure_5_4.ARTIFACT,
    figure_5_5.ARTIFACT,
    figure_5_6.ARTIFACT,
    figure_5_7.ARTIFACT,
    figure_5_8.ARTIFACT,
    figure_5_9.ARTIFACT,
    figure_5_10.ARTIFACT,
    figure_5_11.ARTIFACT,
    figure_5_12.ARTIFACT,
    figure_5_13.ARTIFACT,
    figure_5_14.ARTIFACT,
    figure_5_15.ARTIFACT,
    figure_5_16.ARTIFACT,
    figure_5_17.ARTIFACT,
    pareto.ARTIFACT,
    *controls.artifacts("factorizenet", "Thesis, chapter 5", SPECTRUM, tradeoffs.traits),
)
