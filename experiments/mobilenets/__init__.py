"""Yun & Wong, "Do All MobileNets Quantize Poorly?", with its supplement."""

from experiments.mobilenets import figure_1

ARTIFACTS = (figure_1.ARTIFACT,)
