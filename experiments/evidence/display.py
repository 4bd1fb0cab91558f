"""How the works' networks are shown: order, colours, sizes for print; nothing else."""

from matplotlib import colormaps
from matplotlib.colors import to_hex

FULL_WIDTH = 7.0
"""Inches across a page of two columns."""
ROW_HEIGHT = 2.2
"""Inches of one row of panels."""
PANEL_WIDTH = 3.2
"""Inches of a panel that has others beside it."""

FAMILIES = ("Regular", "FactorizeNet", "DWS", "MobileNet", "ResNet34", "VGG-19")
"""Families in the order of panels, as Yun & Wong have them: regular, depthwise, MobileNets."""

FAMILY_TITLES = {
    "Regular": "Regular-ConvNets",
    "FactorizeNet": "FactorizeNets",
    "DWS": "DWS-ConvNets",
    "MobileNet": "MobileNets-V1",
    "ResNet34": "ResNet-34",
    "VGG-19": "VGG-19",
}

NAME_PREFIXES = {
    "Regular": "Regular Conv ",
    "FactorizeNet": "FactorizeNet-",
    "DWS": "DWS Conv ",
    "MobileNet": "MobileNet ",
    "ResNet34": "ResNet34 ",
}


def short_name(network: str, family: str) -> str:
    """A network's name where its family is named beside it: "No Gamma HeNorm"."""
    return network.removeprefix(NAME_PREFIXES.get(family, ""))


# Okabe and Ito's colours, which colour-blind readers tell apart, less their yellow, which white
# paper hides.
COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000",
)  # fmt: skip
LINES = ("-", "--", ":", "-.")

SHADES = {
    "depthwise": "#E3E3E3",
    "group": "#DCE9F2",
    "depthwise or group": "#E3E3E3",
    "pointwise": "#F3E8D6",
}
"""Backgrounds of layers by kind, light enough for every line colour."""

FAMILY_COLOURS = dict(zip(FAMILIES, COLOURS, strict=False))


def ordered_style(position: int, count: int) -> dict[str, str]:
    """Colour and dashes of one of many lines that have an order: from dark to light."""
    return {
        "color": to_hex(colormaps["viridis"](0.9 * position / (count - 1))),
        "linestyle": LINES[position % 2],
    }


def line_style(position: int) -> dict[str, str]:
    """Colour and dashes of the n-th line of a panel; the first 28 all differ."""
    return {
        "color": COLOURS[position % len(COLOURS)],
        "linestyle": LINES[position // len(COLOURS) % len(LINES)],
    }
