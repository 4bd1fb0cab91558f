"""Yun's thesis, chapter 5: FactorizeNet, from regular to depthwise separable convolutions."""

from experiments.evidence import controls
from experiments.factorizenet import figures, pareto, tradeoffs
from experiments.factorizenet.spectrum import SPECTRUM

ARTIFACTS = (
    *tradeoffs.ARTIFACTS,
    *figures.ARTIFACTS,
    pareto.ARTIFACT,
    *controls.artifacts("factorizenet", "Thesis, chapter 5", SPECTRUM, tradeoffs.traits),
)
