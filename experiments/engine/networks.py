"""The networks of the works by the works' names: what is built, and how it is trained."""

from dataclasses import dataclass
from typing import Any

from models.factorizenet import FACTORIZATIONS
from models.initializers import STRATEGIES
from models.mobilenet_v1 import QUANTIZATION_FRIENDLY

Options = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Network:
    """One network of a study.

    Attributes:
        name: the work's name for it.
        family: `"Regular"`, `"DWS"`, `"MobileNet"`, `"ResNet34"` or `"FactorizeNet"`.
        arch: the builder in `models`.
        options: arguments of the builder, sorted by name; the scale adds the width.
        recipe: name of a training recipe.
    """

    name: str
    family: str
    arch: str
    options: Options
    recipe: str

    @property
    def batch_norm(self) -> str | None:
        """`"scale"`, `"no_scale"`, or None where there are no batch norms."""
        return dict(self.options).get("batch_norm", "scale")

    @property
    def initializer(self) -> str:
        """The initializer of the kernels in scope, a name of thesis Table 4.1."""
        return dict(self.options).get("initializer", "GlorotUni")

    @property
    def separable(self) -> bool:
        """Whether depthwise layers are all there is between first and last layers."""
        return self.family in ("DWS", "MobileNet")


def _options(**options: Any) -> Options:
    return tuple(sorted(options.items()))


GAMMA = {"no_scale": "No Gamma", "scale": "With Gamma"}
"""How Yun & Wong name batch norms (section 3)."""

_ABLATION = (
    ("MobileNet", "MobileNet", "mobilenet_v1", {"init_scope": "both"}),
    ("DWS Conv", "DWS", "dws_convnet", {"init_scope": "both"}),
    ("Regular Conv", "Regular", "toynet", {}),
    ("ResNet34", "ResNet34", "resnet34", {}),
)

ABLATION = tuple(
    Network(
        f"{shown} {gamma} {initializer}",
        family,
        arch,
        _options(batch_norm=batch_norm, initializer=initializer, **more),
        "mobilenets",
    )
    for shown, family, arch, more in _ABLATION
    for batch_norm, gamma in GAMMA.items()
    for initializer in ("HeNorm", "GlorotUni")
)
"""The 16 networks of the supplement's Table 1, in its order."""

BATCH_NORM = {None: "No BN", "scale": "With BN"}
"""How the thesis names batch norms (4.4)."""


def thesis_network(family: str, batch_norm: str | None, initializer: str) -> Network:
    """A network of thesis chapter 4: "DWS Conv With BN HeNorm" and its like."""
    name = f"{family} Conv {BATCH_NORM[batch_norm]} {initializer}"
    options = _options(batch_norm=batch_norm, dropout=0.0, initializer=initializer)
    if family == "Regular":
        return Network(name, family, "toynet", options, "thesis")
    scoped = tuple(sorted((*options, ("init_scope", "depthwise"))))
    return Network(name, family, "dws_convnet", scoped, "thesis")


WEIGHT_INIT = tuple(
    thesis_network(family, batch_norm, initializer)
    for family in ("DWS", "Regular")
    for batch_norm in BATCH_NORM
    for initializer in STRATEGIES
)
"""The 48 networks of thesis chapter 4: 12 initializations of 4 architectures."""

OVER_TRAINING = tuple(
    thesis_network(*of)
    for of in (
        ("DWS", None, "RandNorm_Med"),
        ("DWS", None, "RandNorm_Large"),
        ("DWS", "scale", "HeNorm"),
        ("DWS", "scale", "GlorotUni"),
        ("Regular", None, "HeUni"),
        ("Regular", None, "GlorotNorm"),
        ("Regular", "scale", "ModGlorotUni_Large"),
        ("Regular", "scale", "RandUni_Small"),
    )
)
"""The eight networks of thesis Tables 4.3 and 4.4, in their order."""


def _factorized(factorization: str) -> Network:
    if factorization in ("regular", "depthwise"):  # chapter 4 trains the same two
        family = "Regular" if factorization == "regular" else "DWS"
        same = thesis_network(family, "scale", "GlorotUni")
        return Network(f"{family} Conv", family, same.arch, same.options, same.recipe)
    options = _options(
        batch_norm="scale", dropout=0.0, factorization=factorization, initializer="GlorotUni"
    )
    name = f"FactorizeNet-{factorization}"
    return Network(name, "FactorizeNet", "factorizenet", options, "thesis")


FACTORIZED = tuple(map(_factorized, FACTORIZATIONS))
"""The eight networks of thesis chapter 5, by falling MACs."""

STAGE_NAMES = {
    "original": "MobileNet",
    "no_depthwise_bn_relu6": "Remove BN and ReLU6 in depthwise",
    "relu": "Replace all ReLU6 by ReLU",
    "depthwise_l2": "L2 on depthwise weights",
}
"""Sheng et al.'s rows (slide 10)."""

STAGED = tuple(
    Network(
        STAGE_NAMES[stage], "MobileNet", "mobilenet_v1", _options(**dict(options)), "mobilenets"
    )
    for stage, options in QUANTIZATION_FRIENDLY.items()
)
"""Sheng et al.'s four architectures, each stage on top of the one before."""
