"""Sheng et al., "A Quantization-Friendly Separable Convolution for MobileNets"."""

from experiments.artifact import Artifact

ARTIFACTS: tuple[Artifact, ...] = ()
