"""Thesis, Figure 5.5: output QCE and percent accuracy decrease against MACs.

    python -m experiments.run --artifact=factorizenet/figure_5_5 --scale=reduced

Published: percent decreases of 3.13 (Regular Conv), 4.21 (DWS Conv), 14.8 (f16), and 5.88 to 7.53
for the five others (5.5).

Cost: the eight trainings and analyses of this group. smoke 20 seconds (3 networks), reduced
20 minutes on two cores, paper about 2 hours a network on a GPU.
"""

from experiments.factorizenet import tradeoffs

ARTIFACT = tradeoffs.artifact(
    "factorizenet/figure_5_5",
    "Thesis, Figure 5.5",
    "QCE and percent accuracy decrease against the convolutions' MACs",
    (
        ("QCE of the output in nats", {"qce": "QCE"}),
        ("percent accuracy decrease, absolute", {"percent_decrease": "percent accuracy decrease"}),
    ),
)
