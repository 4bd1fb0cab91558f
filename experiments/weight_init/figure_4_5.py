"""Thesis, Figure 4.5: range and average precision of activations of selected networks.

    python -m experiments.run --artifact=weight_init/figure_4_5 --scale=reduced

Published (4.5): at layer 2 all ranges rise and all average precisions fall, that of RandUni_Large
by much less than the others.

Cost: four trainings and analyses, shared with Table 4.2. smoke 15 seconds (2 networks), reduced
8 minutes on two cores, paper about 2 hours a network on a GPU.
"""

from experiments.evidence import layerwise
from experiments.weight_init.selection import DISCUSSED

ARTIFACT = layerwise.artifact(
    "weight_init/figure_4_5",
    "Thesis, Figure 4.5",
    "Range and average precision of activations of four DWS-ConvNets with batch norm",
    DISCUSSED,
    ("activation_range", "activation_precision"),
)
