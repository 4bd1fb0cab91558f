"""Yun's thesis, chapter 5: FactorizeNet, from regular to depthwise separable convolutions."""

from experiments.evidence import controls
from experiments.factorizenet import architectures, figures, pareto, tradeoffs
from experiments.factorizenet.spectrum import SPECTRUM

ARTIFACTS = (
    *architectures.ARTIFACTS,
    *tradeoffs.ARTIFACTS,
    *figures.ARTIFACTS,
    pareto.ARTIFACT,
    *controls.artifacts("factorizenet", "Thesis, chapter 5", SPECTRUM, tradeoffs.traits),
)
