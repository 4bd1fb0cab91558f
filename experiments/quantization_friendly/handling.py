"""What is done to MobileNet-V1 before it goes to 8 bits, without retraining."""

from collections.abc import Collection, Mapping

from experiments.engine.artifact import Scope
from experiments.engine.imagenet import Missing
from experiments.engine.subjects import SubjectAnalysis, analysis_of_subject, subject

HANDLINGS: Mapping[str, tuple[str, ...]] = {
    "as it is": (),
    "zero-variance handling": ("zero_variance",),
    "zero-variance handling, bias correction": ("zero_variance", "bias_correction"),
}
"""Remedies of `tfqdyn.remedies` by what rows call them; Sheng et al. know the first two."""


def analyses(
    scope: Scope, activation: str | None = None, handlings: Collection[str] = tuple(HANDLINGS)
) -> Mapping[str, SubjectAnalysis | Missing]:
    """The analysis of MobileNet-V1 after each handling, or why there is none, by handling.

    Args:
        scope: what is asked for.
        activation: see `Subject.folded`.
        handlings: which of `HANDLINGS`.
    """
    network = subject("mobilenet_v1", scope)
    return {
        name: network
        if isinstance(network, Missing)
        else analysis_of_subject(network, scope, activation, HANDLINGS[name])
        for name in handlings
    }
