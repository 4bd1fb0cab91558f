"""Yun & Wong, the figures of paper and supplement: values of layers, in panels.

    python -m experiments.run --artifact=mobilenets/figure_4 --scale=reduced
    python -m experiments.run --artifact=mobilenets/figure_6 --scale=reduced
        --imagenet_data=photographs.npz --mobilenet_v1=mobilenet.keras --vgg19=vgg19.keras

Cost: the trainings and analyses of CIFAR-10 networks that Table 1 shares, smoke 10 to 20 seconds,
reduced 25 minutes on two cores for the twelve ConvNets, 8 for the DWS-ConvNets and 10 for the
ResNets, paper about 2 hours a network on a GPU (ResNet-34: 3); figures on ImageNet the analyses of
Table 2.
"""

from experiments.engine.artifact import Artifact
from experiments.engine.networks import ABLATION
from experiments.evidence import figure_table, layerwise
from experiments.evidence.figure_table import Entry
from experiments.mobilenets import imagenet_layers

CONVNETS = tuple(network for network in ABLATION if network.family != "ResNet34")
"""Regular-ConvNets, DWS-ConvNets and MobileNets-V1: the twelve networks of the paper's figures."""
DWS = tuple(network for network in ABLATION if network.family == "DWS")
RESNETS = tuple(network for network in ABLATION if network.family == "ResNet34")
"""The four ResNet-34 that the supplement adds."""
IMAGENET = ()
"""Those of `imagenet.NETWORKS`, at every scale."""

OF_CONVNETS = (
    Entry(
        "1",
        "Average precision of the weights of DWS-ConvNets",
        DWS,
        ("weight_precision",),
        "Low average precision at depthwise layers (even numbers): each channel's own range is far "
        "below the tensor's. The same holds for BN-folded weights and activations.",
    ),
    Entry(
        "2",
        "Layerwise QMSE",
        CONVNETS,
        ("qmse",),
        "A depthwise separable network gathers far more QMSE on its way through the layers; most "
        "DWS-ConvNets come back to a lower one at the output (section 5). The paper leaves "
        "networks out whose QMSE is on another scale; here all twelve are drawn, on a logarithmic "
        "axis where they need one.",
    ),
    Entry(
        "4",
        "Layerwise QCE and QKL-Div",
        CONVNETS,
        ("qce", "qkl_div"),
        "In Regular-ConvNets and DWS-ConvNets QCE peaks in later layers where QKL-Div drops; "
        "MobileNets-V1 show a steadier level of distributional shift (section 5). The paper's bins "
        "are not known, so absolute values of hidden layers do not compare; ours have 128 bins and "
        "1e-9 added.",
    ),
    Entry(
        "5",
        "Range and average precision of BN-folded weights",
        CONVNETS,
        ("folded_range", "folded_precision"),
        "At depthwise layers (even numbers) the range peaks while average precision drops; both "
        "fluctuate far more than in Regular-ConvNets (section 5).",
    ),
)
OF_IMAGENET = (
    Entry(
        "6",
        "Layerwise QCE and QKL-Div on ImageNet",
        IMAGENET,
        ("qce", "qkl_div"),
        "QKL-Div is much higher in MobileNet-V1 than in VGG-19 (section 6).",
    ),
    Entry(
        "7",
        "Range and average precision of BN-folded weights on ImageNet",
        IMAGENET,
        ("folded_range", "folded_precision"),
        "MobileNet-V1's ranges spike at depthwise layers, about an order of magnitude above those "
        "of VGG-19 (which has no batch norm), and its average precision is lowest there "
        "(section 6).",
    ),
)
SUPPLEMENT = (
    Entry(
        "1",
        "Range and average precision of weights",
        CONVNETS,
        ("weight_range", "weight_precision"),
        "The weights of depthwise networks are poorly behaved before batch norms are folded in "
        "already, and folding makes it worse (A.1).",
    ),
    Entry(
        "2",
        "Range and average precision of activations",
        CONVNETS,
        ("activation_range", "activation_precision"),
        "Trends as those of the BN-folded weights (A.1); calibration draws alone vary the ranges, "
        "as the bands show. The paper leaves DWS Conv With Gamma GlorotUni out, whose range "
        "reaches 200 at the first dense layer; here all twelve are drawn.",
    ),
    Entry(
        "3",
        "Range and average precision of the weights of ResNet-34",
        RESNETS,
        ("weight_range", "weight_precision"),
        "Ranges spike at layers 10, 19 and 32, the 1x1 projections (shaded); ranges are small, "
        "average precision fluctuates (A.2). Panels stand below, not beside, one another.",
    ),
    Entry(
        "4",
        "Range and average precision of the BN-folded weights of ResNet-34",
        RESNETS,
        ("folded_range", "folded_precision"),
        "Small ranges, an average precision that fluctuates (A.2). Panels stand below, not beside, "
        "one another.",
    ),
    Entry(
        "5",
        "Range and average precision of the activations of ResNet-34",
        RESNETS,
        ("activation_range", "activation_precision"),
        "A figure without a statement. Panels stand below, not beside, one another.",
    ),
    Entry(
        "6",
        "Layerwise QMSE, QCE and QKL-Div of ResNet-34",
        RESNETS,
        ("qmse", "qce", "qkl_div"),
        "Skip connections do not shield ResNet-34, whose results are like those of "
        "Regular-ConvNets (A.2). The paper leaves one network of large QMSE out; here all four are "
        "drawn.",
    ),
    Entry(
        "7",
        "Layerwise QMSE, each family on its own axis",
        CONVNETS,
        ("qmse",),
        "DWS Conv With Gamma GlorotUni, the network that quantizes worst, spikes. From top to "
        "bottom Regular-ConvNets, DWS-ConvNets, MobileNets-V1; the axes differ.",
        stacked=True,
    ),
    Entry(
        "8",
        "Range of weights before and after folding on ImageNet",
        IMAGENET,
        ("weight_range", "folded_range"),
        "Folding shifts the ranges of MobileNet-V1 far more than those of the CIFAR-10 networks "
        "(A.1); the scales before and after are very different.",
    ),
    Entry(
        "9",
        "Layerwise QMSE on ImageNet",
        IMAGENET,
        ("qmse",),
        "QMSE rises and falls in VGG-19; in MobileNet-V1 it stays high and spikes near the end "
        "(A.3). The scales differ, for the two networks take other preprocessing.",
    ),
)


def _artifact(name: str, source: str, entry: Entry) -> Artifact:
    make = layerwise.artifact if entry.networks else imagenet_layers.artifact
    return make(name, source, entry)


PAPER, PAPER_IMAGENET = (
    figure_table.artifacts("mobilenets", "Yun & Wong,", entries, _artifact)
    for entries in (OF_CONVNETS, OF_IMAGENET)
)
IN_SUPPLEMENT = figure_table.artifacts(
    "mobilenets", "Yun & Wong, supplement", SUPPLEMENT, _artifact, prefix="figure_s"
)
