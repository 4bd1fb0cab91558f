"""Thesis, Table 4.3: accuracies of eight networks in the course of their training.

    python -m experiments.run --artifact=weight_init/table_4_3 --scale=reduced

Published: epochs 5, 50, 75, 150 and 200, "FP32 Acc/QUINT8 Acc/% Decrease", from one calibration
draw. One of the published numbers is a fraction (Regular Conv No BN GlorotNorm at epoch 5: 0.0153);
here it is in percent like the others. Other scales train for fewer epochs: `epoch` is the one as
far into that training.

Cost: eight trainings, shared with Table 4.2, and 40 analyses, shared with Table 4.4. smoke
1 minute (4 networks), reduced about 25 minutes on two cores, paper about 2 hours a network on a
GPU.
"""

from experiments.weight_init import checkpoints

PUBLISHED: checkpoints.Published = {
    "DWS Conv No BN RandNorm_Med": (
        (39.83, 36.49, 8.39),
        (64.85, 61.54, 5.10),
        (68.73, 64.69, 5.88),
        (74.58, 72.33, 3.02),
        (74.68, 73.26, 1.90),
    ),
    "DWS Conv No BN RandNorm_Large": (
        (38.76, 38.6, 0.41),
        (59.15, 57.84, 2.21),
        (64.53, 61.89, 4.09),
        (69.79, 68.76, 1.48),
        (69.94, 63.07, 9.82),
    ),
    "DWS Conv With BN HeNorm": (
        (38.60, 37.90, 1.81),
        (73.75, 65.12, 11.70),
        (75.15, 58.44, 22.24),
        (79.76, 68.71, 13.85),
        (79.48, 55.56, 30.1),
    ),
    "DWS Conv With BN GlorotUni": (
        (41.25, 38.2, 7.39),
        (74.7, 68.7, 8.03),
        (77.46, 70.0, 9.63),
        (81.07, 70.18, 13.43),
        (81.04, 71.02, 12.36),
    ),
    "Regular Conv No BN HeUni": (
        (47.25, 46.56, 1.46),
        (80.21, 79.92, 0.36),
        (82.12, 80.87, 1.52),
        (86.38, 86.61, 0.27),
        (86.20, 85.89, 0.36),
    ),
    "Regular Conv No BN GlorotNorm": (
        (39.81, 39.2, 1.53),
        (79.66, 76.80, 3.59),
        (83.11, 78.12, 6.00),
        (87.11, 85.73, 1.58),
        (87.03, 84.46, 2.95),
    ),
    "Regular Conv With BN ModGlorotUni_Large": (
        (31.37, 29.13, 7.14),
        (55.22, 46.12, 16.48),
        (56.73, 51.62, 9.00),
        (60.18, 57.57, 4.34),
        (60.35, 57.03, 5.50),
    ),
    "Regular Conv With BN RandUni_Small": (
        (39.88, 39.92, 0.10),
        (68.85, 64.55, 6.25),
        (71.75, 63.66, 11.28),
        (76.42, 66.97, 12.37),
        (76.28, 75.8, 0.63),
    ),
}
"""fp32 accuracy, uint8 accuracy, percent decrease at epochs 5, 50, 75, 150, 200."""

ARTIFACT = checkpoints.artifact(
    "weight_init/table_4_3",
    "Thesis, Table 4.3",
    "Accuracies of eight networks in the course of their training",
    ("fp32_accuracy", "uint8_accuracy", "percent_decrease"),
    PUBLISHED,
)
