"""Thesis, Figure 4.2: activation ranges of a network without batch norm that does not learn.

    python -m experiments.run --artifact=weight_init/figure_4_2 --scale=reduced

Published: the ranges of DWS Conv No BN GlorotUni fall from layer to layer until they practically
disappear; only the three dense layers, the last three points, rise again. Here a network that
learns, DWS Conv No BN RandNorm_Large, stands beside it.

Cost: two trainings and analyses, shared with Table 4.2. smoke 15 seconds, reduced 4 minutes on two
cores, paper about 2 hours a network on a GPU.
"""

from experiments.evidence import layerwise
from experiments.weight_init.selection import DYING, LIVING

ARTIFACT = layerwise.artifact(
    "weight_init/figure_4_2",
    "Thesis, Figure 4.2",
    "Vanishing activations without batch norm",
    (DYING, LIVING),
    ("activation_range",),
)
