"""Thesis, Figure 4.8: activations' range against the epoch, Regular-ConvNet and DWS-ConvNet.

    python -m experiments.run --artifact=weight_init/figure_4_8 --scale=reduced

Published: "randomly selected" layers; the ranges change quite a bit over training. Here the
networks are those of Figures 4.7 and 4.6, and a range is that of all values that a layer puts out
for 128 training images, every epoch.

Cost: two trainings, shared with Table 4.2. smoke 15 seconds, reduced 4 minutes on two cores, paper
about 2 hours a network on a GPU.
"""

from experiments.weight_init import dynamics
from experiments.weight_init.selection import WATCHED_DWS, WATCHED_REGULAR

ARTIFACT = dynamics.artifact(
    "weight_init/figure_4_8",
    "Thesis, Figure 4.8",
    "Activations of a Regular-ConvNet and a DWS-ConvNet in the course of training",
    (WATCHED_REGULAR, WATCHED_DWS),
    ("activation_range",),
)
