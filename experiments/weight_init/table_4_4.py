"""Thesis, Table 4.4: output QMSE of eight networks in the course of their training.

    python -m experiments.run --artifact=weight_init/table_4_4 --scale=reduced

Published: epochs 5, 50, 75, 150 and 200, from one calibration draw; `epoch` is the one as far into
this scale's training.

Cost: eight trainings, shared with Table 4.2, and 40 analyses, shared with Table 4.3. smoke
1 minute (4 networks), reduced about 25 minutes on two cores, paper about 2 hours a network on a
GPU.
"""

from experiments.weight_init import checkpoints

PUBLISHED: checkpoints.Published = {
    "DWS Conv No BN RandNorm_Med": ((0.006,), (0.004,), (0.01,), (0.005,), (0.006,)),
    "DWS Conv No BN RandNorm_Large": ((0.004,), (0.007,), (0.007,), (0.007,), (0.006,)),
    "DWS Conv With BN HeNorm": ((0.003,), (0.011,), (0.023,), (0.020,), (0.033,)),
    "DWS Conv With BN GlorotUni": ((0.004,), (0.010,), (0.014,), (0.016,), (0.012,)),
    "Regular Conv No BN HeUni": ((0.001,), (0.004,), (0.003,), (0.001,), (0.006,)),
    "Regular Conv No BN GlorotNorm": ((0.004,), (0.004,), (0.006,), (0.003,), (0.005,)),
    "Regular Conv With BN ModGlorotUni_Large": ((0.002,), (0.005,), (0.003,), (0.003,), (0.005,)),
    "Regular Conv With BN RandUni_Small": ((0.001,), (0.005,), (0.010,), (0.011,), (0.002,)),
}
"""QMSE at epochs 5, 50, 75, 150, 200."""

ARTIFACT = checkpoints.artifact(
    "weight_init/table_4_4",
    "Thesis, Table 4.4",
    "Output QMSE of eight networks in the course of their training",
    ("qmse",),
    PUBLISHED,
)
