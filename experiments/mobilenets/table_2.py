"""Yun & Wong, Table 2: MobileNet-V1-1.0-224 and VGG-19, trained on ImageNet, in 8 bits.

    python -m experiments.run --artifact=mobilenets/table_2 --scale=reduced
        --imagenet_data=photographs.npz --mobilenet_v1=mobilenet.keras --vgg19=vgg19.keras

Published: three calibration draws of 2,000 images; MobileNet-V1 falls to 3 %, VGG-19 loses 8.58 %
of its accuracy. Accuracies are in percent; the published ones are those of slim's checkpoints, ours
those of the files named, or Keras'. Where the photographs named include no training images, half of
them stand in for these: a draw calibrates on half of that half at most, and all draws score the
other half. A network that is neither in a file nor to be downloaded has a row that says so.

Cost: full networks at every scale, no training: MobileNet-V1 about 15 ms an image and draw on two
cores, VGG-19 far more. smoke without photographs: a stand-in trained on digits, 10 seconds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.engine.artifact import Artifact, Row, Scope
from experiments.engine.imagenet import Missing
from experiments.engine.store import Store
from experiments.engine.subjects import subject_columns
from experiments.evidence.missing_networks import missing_row
from experiments.mobilenets.imagenet_layers import analyses, jobs

FIGURES = ("fp32_accuracy", "uint8_accuracy", "qmse", "qce", "qkl_div", "percent_decrease")
"""The published columns, in their order; all but the first have a deviation."""

PUBLISHED: Mapping[str, tuple[float, ...]] = {
    "MobileNet-V1-1.0-224": (71.04, 3.00, 7.95e-4, 7.46, 6.47, 95.78),
    "VGG-19": (71.00, 64.9, 9.70e-5, 1.50, 0.433, 8.58),
}
PUBLISHED_STD: Mapping[str, tuple[float, ...]] = {
    "MobileNet-V1-1.0-224": (0.22, 8.7e-6, 0.13, 0.13, 0.31),
    "VGG-19": (0.31, 4.1e-6, 0.019, 0.019, 0.43),
}


def published(network: str) -> dict[str, Any]:
    """The paper's row: `published_NAME` and `published_NAME_std`; None each for a stand-in."""
    means = PUBLISHED.get(network, (None,) * len(FIGURES))
    deviations = PUBLISHED_STD.get(network, (None,) * (len(FIGURES) - 1))
    row = {f"published_{name}": mean for name, mean in zip(FIGURES, means, strict=True)}
    stds = zip(FIGURES[1:], deviations, strict=True)
    return row | {f"published_{name}_std": std for name, std in stds}


def rows(scope: Scope, store: Store) -> Sequence[Row]:
    """A row a network."""
    found: list[Row] = []
    for arch, one in analyses(scope).items():
        row = missing_row(arch, one) if isinstance(one, Missing) else subject_columns(one, store)
        found.append({**row, **published(row["network"])})
    return found


ARTIFACT = Artifact(
    "mobilenets/table_2",
    "Yun & Wong, Table 2",
    "MobileNet-V1-1.0-224 and VGG-19 trained on ImageNet, in 8 bits",
    jobs,
    rows,
    columns=(
        "network",
        "status",
        *(column for name in FIGURES for column in (name, f"published_{name}")),
    ),
)
