"""Yun's thesis, chapter 5: FactorizeNet."""

from experiments.artifact import Artifact

ARTIFACTS: tuple[Artifact, ...] = ()
