"""Thesis, Figure 4.4: range and average precision of BN-folded weights of selected networks.

    python -m experiments.run --artifact=weight_init/figure_4_4 --scale=reduced

Published (4.5): at layer 2 the range of the two He-initialized networks has a spike and that of
RandUni_Large falls; the average precision of RandUni_Large rises there, that of the others drops.

Cost: four trainings and analyses, shared with Table 4.2. smoke 15 seconds (2 networks), reduced
8 minutes on two cores, paper about 2 hours a network on a GPU.
"""

from experiments.evidence import layerwise
from experiments.weight_init.selection import DISCUSSED

ARTIFACT = layerwise.artifact(
    "weight_init/figure_4_4",
    "Thesis, Figure 4.4",
    "Range and average precision of BN-folded weights of four DWS-ConvNets with batch norm",
    DISCUSSED,
    ("folded_range", "folded_precision"),
)
