"""Where the studies depart from the works, and what a scale can show: said once, for every page."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.engine.artifact import Row
from tfqdyn.training import RECIPES

LIMITS = {
    "smoke": "Tiny networks on digits: this shows that everything runs, nothing about the claims.",
    "reduced": (
        "Networks of half (ResNet-34: a quarter) of the works' width, trained for 800 to 1,280 "
        "steps on a part of CIFAR-10 to 30 to 45 % accuracy, one seed each: 8 bits take little or "
        "nothing from networks that have learned so little. Rows that were made before losses were "
        "recorded in signed points with intervals, and before there were untrained controls, leave "
        "most claims undecided or untested; their verdicts are of today's rules all the same. The "
        "ImageNet artifacts are of the real MobileNet-V1 at full size."
    ),
    "long": (
        "Networks of half (ResNet-34: a quarter) of the works' width, trained for a sixth of the "
        "works' steps on 45,000 images of CIFAR-10 and scored on 6,000 others; no dropout: with "
        "the published 0.5 between dense layers the DWS-ConvNet with gamma from GlorotUni had "
        "learned nothing after 7,035 steps (9.9 %; from HeNorm 31 %)."
    ),
    "paper": "The published recipes; one seed trains each network, as in the works.",
}
"""What each scale cannot show."""

KERAS_MOMENTUM = 0.99
"""Of batch norms where neither recipe nor scale says otherwise."""

DEVIATIONS: Sequence[Row] = (
    {
        "what": "engine",
        "the_works": "TensorFlow 1.15's Graph Transform Tool: depthwise convolutions, mean, add "
        "and softmax in float, 8-bit biases, requantization before the bias, no nudged zero",
        "here": "a true uint8 TFLite file (32-bit biases, zero on the grid); its QKL-Div is a "
        "fraction of the works'",
    },
    {
        "what": "width, steps, batch, images, dropout, batch norm's momentum, draws",
        "the_works": "see `published` above; 78,200 steps of 128 images, dropout 0.5",
        "here": "see the table above",
    },
    {
        "what": "scored images of CIFAR-10",
        "the_works": "10,000 test images",
        "here": "1,000 test images; at `long` 5,000 more that are never trained on",
    },
    {
        "what": "losses",
        "the_works": "percent accuracy decrease, an absolute value",
        "here": "signed points on the same images; the works' figure is a column",
    },
    {
        "what": "replicates",
        "the_works": "one training; five calibration draws (Yun & Wong) or one (thesis)",
        "here": "intervals over networks, training seeds where there are several, images and draws",
    },
    {
        "what": "ImageNet's photographs",
        "the_works": "calibrated on 2,000 and scored on the validation set, 71.0 % in fp32",
        "here": "600 photographs of ImageNet's training set, one a class of 600: the network was "
        "trained on them, hence 92.7 % in fp32. At `long` the same 300 are scored in every draw, "
        "which calibrates on 150 of the other 300; rows at `reduced` are of before: each draw "
        "calibrates on 200 and scores the other 400",
    },
    {
        "what": "ImageNet's networks",
        "the_works": "slim's checkpoints of MobileNet-V1 and VGG-19; Sheng et al. also InceptionV3 "
        "(78.00 % in fp32, 76.92 % in 8 bits)",
        "here": "Keras' MobileNet-V1; VGG-19 where it can be downloaded; no InceptionV3, which is "
        "a single pair of accuracies there and needs a download, too",
    },
    {
        "what": "quantization-friendly stages",
        "the_works": "trained on ImageNet",
        "here": "trained on CIFAR-10 by Yun & Wong's recipe",
    },
    {
        "what": "thesis Figures 4.3 to 4.8",
        "the_works": "a selected subset of networks, randomly selected layers",
        "here": "the networks that the text names and one more, our choice of layers",
    },
    {
        "what": "histograms of QCE and QKL-Div of layers",
        "the_works": "bins not said",
        "here": "128 bins over the range of both networks",
    },
    {
        "what": "tables not made",
        "the_works": "thesis Table 2.1: other works' networks and costs, from the literature",
        "here": "named only: it is not measured there either",
    },
)


def settings(scale: Mapping[str, Any]) -> list[Row]:
    """A scale in numbers, a row a recipe and one for ImageNet's networks.

    Args:
        scale: `scale` of an `artifact.json`.
    """
    rows: list[Row] = []
    for name, schedule in scale["schedules"].items():
        recipe, analysis = RECIPES[name], scale["analyses"][name]
        chosen = {key: _or(schedule.get(key)) for key in ("images", "epochs", "batch_size")}
        rate = schedule.get("learning_rate")
        momentum = schedule.get("batch_norm_momentum")
        dropout = 0.0 if name == "thesis" else scale.get("dropout")
        rows.append(
            {
                "study": {"mobilenets": "Yun & Wong", "thesis": "thesis"}[name],
                **chosen,
                "learning_rate": recipe.learning_rate if rate is None else rate,
                "dropout": 0.5 if dropout is None else dropout,
                "batch_norm_momentum": momentum or recipe.batch_norm_momentum or KERAS_MOMENTUM,
                "width": _widths(scale.get("widths", {})),
                "dense_units": str(scale.get("dense_units") or "published"),
                **_calibration(analysis),
            }
        )
    rows.append({"study": "ImageNet", **_calibration(scale["analyses"]["imagenet"])})
    return rows


def _calibration(analysis: Mapping[str, Any]) -> Row:
    percentile = analysis.get("percentile")
    clipped = analysis["calibrator"] + ("" if percentile is None else f" {percentile:g} %")
    return {
        "calibrator": clipped,
        "calibration_images": analysis["calibration_size"],
        "draws": analysis["trials"],
        "scored_at_most": analysis.get("max_images") or "all",
    }


def _widths(widths: Mapping[str, float]) -> str:
    if not widths:
        return "1"
    common = max(widths.values(), key=list(widths.values()).count)
    others = (f"{name} {width:g}" for name, width in widths.items() if width != common)
    return ", ".join((f"{common:g}", *others))


def _or(value: Any) -> Any:
    return "published" if value is None else f"{value:,}"
