"""Yun's thesis, chapter 4: weight initialization and behaviour over training."""

from experiments.artifact import Artifact

ARTIFACTS: tuple[Artifact, ...] = ()
