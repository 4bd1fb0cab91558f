"""Sheng et al., "A Quantization-Friendly Separable Convolution for MobileNets"."""

from experiments.quantization_friendly import alpha, retrained, sqnr, top5, zero_variance

ARTIFACTS = (
    top5.ARTIFACT,
    alpha.ARTIFACT,
    zero_variance.ARTIFACT,
    sqnr.ARTIFACT,
    retrained.ARTIFACT,
)
