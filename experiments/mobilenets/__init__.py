"""Yun & Wong, "Do All MobileNets Quantize Poorly?", with its supplement."""

from experiments.engine.networks import ABLATION
from experiments.evidence import controls
from experiments.mobilenets import engines, figures, imagenet_untrained, table_1, table_2

ARTIFACTS = (
    table_1.ARTIFACT,
    *figures.PAPER,
    table_2.ARTIFACT,
    *engines.ARTIFACTS,
    *figures.PAPER_IMAGENET,
    *figures.IN_SUPPLEMENT,
    *controls.artifacts("mobilenets", "Yun & Wong", ABLATION, table_1.traits),
    imagenet_untrained.ARTIFACT,
)
