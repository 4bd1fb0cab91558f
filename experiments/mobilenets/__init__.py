"""Yun & Wong, "Do All MobileNets Quantize Poorly?", with its supplement."""

from experiments.engine.networks import ABLATION
from experiments.evidence import controls
from experiments.mobilenets import (
    figure_1,
    figure_2,
    figure_4,
    figure_5,
    figure_6,
    figure_7,
    figure_s1,
    figure_s2,
    figure_s3,
    figure_s4,
    figure_s5,
    figure_s6,
    figure_s7,
    figure_s8,
    figure_s9,
    figure_s10,
    imagenet_untrained,
    table_1,
    table_2,
)

ARTIFACTS = (
    table_1.ARTIFACT,
    figure_1.ARTIFACT,
    figure_2.ARTIFACT,
    figure_4.ARTIFACT,
    figure_5.ARTIFACT,
    table_2.ARTIFACT,
    figure_6.ARTIFACT,
    figure_7.ARTIFACT,
    figure_s1.ARTIFACT,
    figure_s2.ARTIFACT,
    figure_s3.ARTIFACT,
    figure_s4.ARTIFACT,
    figure_s5.ARTIFACT,
    figure_s6.ARTIFACT,
    figure_s7.ARTIFACT,
    figure_s8.ARTIFACT,
    figure_s9.ARTIFACT,
    figure_s10.ARTIFACT,
    *controls.artifacts("mobilenets", "Yun & Wong", ABLATION, table_1.traits),
    imagenet_untrained.ARTIFACT,
)
