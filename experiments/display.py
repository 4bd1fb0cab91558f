"""How the works' networks are shown: order, colours, sizes for print; nothing else."""

FULL_WIDTH = 7.0
"""Inches across a page of two columns."""
ROW_HEIGHT = 2.2
"""Inches of one row of panels."""

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

# Okabe and Ito's eight colours, which colour-blind readers tell apart.
COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442",
)  # fmt: skip
LINES = ("-", "--", ":", "-.")

FAMILY_COLOURS = dict(zip(FAMILIES, COLOURS, strict=False))


def line_style(position: int) -> dict[str, str]:
    """Colour and dashes of the n-th line of a panel; the first 32 all differ."""
    return {
        "color": COLOURS[position % len(COLOURS)],
        "linestyle": LINES[position // len(COLOURS) % len(LINES)],
    }
