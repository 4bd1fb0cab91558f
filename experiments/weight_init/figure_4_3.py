"""Thesis, Figure 4.3: weights range of selected networks, layer by layer.

    python -m experiments.run --artifact=weight_init/figure_4_3 --scale=reduced

Published: RandUni_Large has generally larger weights ranges than the others, and yet quantizes best
(4.5). Layers beyond the convolutions are shown too.

Cost: four trainings and analyses, shared with Table 4.2. smoke 15 seconds (2 networks), reduced
8 minutes on two cores, paper about 2 hours a network on a GPU.
"""

from experiments.evidence import layerwise
from experiments.weight_init.selection import DISCUSSED

ARTIFACT = layerwise.artifact(
    "weight_init/figure_4_3",
    "Thesis, Figure 4.3",
    "Weights range of four DWS-ConvNets with batch norm",
    DISCUSSED,
    ("weight_range",),
)
