"""Thesis, Figure 5.4: accuracy in fp32 and uint8, and output QMSE, against MACs.

    python -m experiments.run --artifact=factorizenet/figure_5_4 --scale=reduced

Published: the text (5.5) names three of the eight networks' MACs and accuracies: Regular Conv
266.0 million, 88.37 % and 85.60 %; f2 153.8 million, 86.54 % and 80.05 %; finit2 104.3 million,
86.01 % and 80.31 %. MACs are those of the convolutions; the dense layers, the same in all, are left
out (caption).

Cost: the eight trainings and analyses of this group. smoke 20 seconds (3 networks), reduced
20 minutes on two cores, paper about 2 hours a network on a GPU.
"""

from experiments.factorizenet import tradeoffs

ARTIFACT = tradeoffs.artifact(
    "factorizenet/figure_5_4",
    "Thesis, Figure 5.4",
    "Accuracy and QMSE against the convolutions' MACs",
    (tradeoffs.ACCURACY, ("QMSE of the output", {"qmse": "QMSE"})),
)
