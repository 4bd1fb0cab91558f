"""Yun & Wong, "Do All MobileNets Quantize Poorly?", with its supplement."""

from experiments.engine.networks import ABLATION
from experiments.evidence import architectures, controls
from experiments.mobilenets import (
    engines,
    figure_s10,
    figures,
    imagenet_untrained,
    table_1,
    table_2,
)

_PLAIN = {n.family: n for n in ABLATION if n.name.endswith("With Gamma GlorotUni")}
ARCHITECTURES = architectures.artifact(
    "mobilenets/figure_3",
    "Yun & Wong, Figure 3",
    "The ablation's architecture, with regular and with depthwise separable convolutions",
    {"Regular-ConvNet": _PLAIN["Regular"], "DWS-ConvNet": _PLAIN["DWS"]},
    "Regular convolutions are replaced by depthwise separable ones of the same inputs and outputs; "
    "channels, strides and kernel sizes stay (section 3).",
)
ARTIFACTS = (
    ARCHITECTURES,
    table_1.ARTIFACT,
    *figures.PAPER,
    table_2.ARTIFACT,
    *engines.ARTIFACTS,
    *figures.PAPER_IMAGENET,
    *figures.IN_SUPPLEMENT,
    figure_s10.ARTIFACT,
    *controls.artifacts("mobilenets", "Yun & Wong", ABLATION, table_1.traits),
    imagenet_untrained.ARTIFACT,
)
