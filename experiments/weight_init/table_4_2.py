"""Thesis, Table 4.2: twelve weight initializations of four architectures, in fp32 and in 8 bits.

    python -m experiments.run --artifact=weight_init/table_4_2 --scale=reduced

48 networks: DWS-ConvNet and Regular-ConvNet, each without and with batch norm, each with the twelve
initializations of Table 4.1. Published: 33 rows; of the rest the thesis says that regular networks
without batch norm exploded and depthwise ones vanished (4.5). One of the latter is kept in its
table as an example, with an accuracy of 10 %. Here no network is left out: `status` says whether it
trained, `reason` why not, and `published_status` the same of the thesis.

Accuracies are in percent. Published figures come from one calibration draw and 10,000 images.

Cost: 48 trainings and analyses, shared with all of this group. smoke 1 minute (6 networks),
reduced about 90 minutes on two cores, paper about 2 hours a network on a GPU.
"""

from collections.abc import Mapping

from experiments.engine.networks import BATCH_NORM, WEIGHT_INIT, Network
from experiments.evidence import outcomes

FIGURES = ("fp32_accuracy", "uint8_accuracy", "qmse", "qce", "percent_decrease")
"""The published columns, in their order."""

PUBLISHED: Mapping[str, tuple[float, ...]] = {
    "DWS Conv No BN GlorotUni": (10.00, 10.00, 0.000, 2.303, 0.00),
    "DWS Conv No BN ModGlorotUni_Large": (74.42, 70.70, 0.009, 1.109, 5.00),
    "DWS Conv No BN RandNorm_Large": (69.94, 63.07, 0.006, 0.893, 9.82),
    "DWS Conv No BN RandNorm_Med": (74.68, 73.26, 0.006, 0.951, 1.90),
    "DWS Conv No BN RandUni_Large": (75.22, 72.77, 0.004, 0.872, 3.26),
    "DWS Conv With BN GlorotNorm": (80.10, 69.76, 0.014, 1.127, 12.91),
    "DWS Conv With BN GlorotUni": (81.04, 71.02, 0.012, 1.054, 12.36),
    "DWS Conv With BN ModGlorotUni_Large": (76.33, 68.64, 0.012, 1.789, 10.07),
    "DWS Conv With BN ModGlorotUni_Med": (80.16, 70.86, 0.014, 1.011, 11.60),
    "DWS Conv With BN HeNorm": (79.48, 55.56, 0.033, 2.400, 30.10),
    "DWS Conv With BN HeUni": (80.51, 62.49, 0.024, 1.786, 22.38),
    "DWS Conv With BN RandNorm_Large": (74.93, 66.32, 0.010, 1.358, 11.49),
    "DWS Conv With BN RandNorm_Med": (77.99, 66.32, 0.016, 1.694, 14.96),
    "DWS Conv With BN RandNorm_Small": (80.61, 70.12, 0.013, 1.464, 13.01),
    "DWS Conv With BN RandUni_Large": (76.60, 74.18, 0.003, 0.811, 3.16),
    "DWS Conv With BN RandUni_Med": (78.40, 67.82, 0.016, 1.993, 13.49),
    "DWS Conv With BN RandUni_Small": (79.02, 64.25, 0.017, 1.452, 18.69),
    "Regular Conv No BN GlorotNorm": (87.03, 84.46, 0.005, 0.585, 2.95),
    "Regular Conv No BN GlorotUni": (86.89, 85.51, 0.003, 0.403, 1.59),
    "Regular Conv No BN HeNorm": (86.20, 85.56, 0.001, 0.228, 0.74),
    "Regular Conv No BN HeUni": (86.20, 85.89, 0.006, 0.485, 0.36),
    "Regular Conv With BN GlorotNorm": (89.34, 86.33, 0.005, 0.340, 3.37),
    "Regular Conv With BN GlorotUni": (88.53, 88.33, 0.002, 0.207, 0.23),
    "Regular Conv With BN ModGlorotUni_Large": (60.35, 57.03, 0.005, 1.920, 5.50),
    "Regular Conv With BN ModGlorotUni_Med": (84.60, 60.08, 0.029, 3.217, 28.98),
    "Regular Conv With BN HeNorm": (86.87, 86.30, 0.003, 0.311, 0.66),
    "Regular Conv With BN HeUni": (87.88, 86.47, 0.004, 0.693, 1.60),
    "Regular Conv With BN RandNorm_Large": (55.41, 45.43, 0.009, 2.070, 18.01),
    "Regular Conv With BN RandNorm_Med": (59.57, 56.55, 0.001, 1.465, 5.07),
    "Regular Conv With BN RandNorm_Small": (80.19, 68.96, 0.017, 2.016, 14.00),
    "Regular Conv With BN RandUni_Large": (58.69, 58.15, 0.002, 1.577, 0.92),
    "Regular Conv With BN RandUni_Med": (67.03, 66.15, 0.002, 1.260, 1.31),
    "Regular Conv With BN RandUni_Small": (76.28, 75.80, 0.002, 0.888, 0.63),
}

VANISHED_EXAMPLE = "DWS Conv No BN GlorotUni"
OMITTED = {"DWS": "vanished", "Regular": "diverged"}
"""What the thesis says of the networks that its table leaves out, by family."""


def published(network: Network) -> dict[str, str | float | None]:
    """The thesis' row of a network: `published_status`, and a column for each of `FIGURES`."""
    figures = PUBLISHED.get(network.name, (None,) * len(FIGURES))
    lives = network.name in PUBLISHED and network.name != VANISHED_EXAMPLE
    status = "finished" if lives else OMITTED[network.family]
    columns = (f"published_{name}" for name in FIGURES)
    return {"published_status": status, **dict(zip(columns, figures, strict=True))}


def traits(network: Network) -> dict[str, str]:
    """What a network is: its family, batch norms and initializer."""
    return {
        "family": network.family,
        "batch_norm": BATCH_NORM[network.batch_norm],
        "initializer": network.initializer,
    }


ARTIFACT = outcomes.table(
    "weight_init/table_4_2",
    "Thesis, Table 4.2",
    "Twelve weight initializations of four architectures: accuracies and output errors",
    WEIGHT_INIT,
    published,
    columns=(
        "network",
        "status",
        "published_status",
        *(column for name in FIGURES for column in (name, f"published_{name}")),
    ),
    traits=traits,
)
