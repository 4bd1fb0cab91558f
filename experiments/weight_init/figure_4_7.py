"""Thesis, Figure 4.7: weights' average precision and range against the epoch, Regular-ConvNet.

    python -m experiments.run --artifact=weight_init/figure_4_7 --scale=reduced

Published: "randomly selected" layers of a Regular Conv model; values settle. Here it is Regular
Conv No BN HeUni; every epoch.

Cost: one training, shared with Table 4.2. smoke 8 seconds, reduced 2 minutes on two cores, paper
about 2 hours on a GPU.
"""

from experiments.weight_init import dynamics
from experiments.weight_init.selection import WATCHED_REGULAR

ARTIFACT = dynamics.artifact(
    "weight_init/figure_4_7",
    "Thesis, Figure 4.7",
    "Weights of a Regular-ConvNet in the course of training",
    (WATCHED_REGULAR,),
    ("weight_precision", "weight_range"),
)
