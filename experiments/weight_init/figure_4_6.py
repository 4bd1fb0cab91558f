"""Thesis, Figure 4.6: weights' average precision and range against the epoch, DWS-ConvNet.

    python -m experiments.run --artifact=weight_init/figure_4_6 --scale=reduced

Published: "randomly selected" layers of a DWS Conv model; values settle, after large variations
early in training of one of the depthwise layers. Here it is DWS Conv With BN HeNorm; every epoch.

Cost: one training, shared with Table 4.2. smoke 8 seconds, reduced 2 minutes on two cores, paper
about 2 hours on a GPU.
"""

from experiments.weight_init import dynamics
from experiments.weight_init.selection import WATCHED_DWS

ARTIFACT = dynamics.artifact(
    "weight_init/figure_4_6",
    "Thesis, Figure 4.6",
    "Weights of a DWS-ConvNet in the course of training",
    (WATCHED_DWS,),
    ("weight_precision", "weight_range"),
)
