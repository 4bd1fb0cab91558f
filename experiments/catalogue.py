"""All artifacts by name, in the order of the works."""

from collections.abc import Mapping
from types import MappingProxyType

from experiments import factorizenet, mobilenets, quantization_friendly, weight_init
from experiments.engine.artifact import Artifact
from experiments.evidence.claims import Claim
from experiments.factorizenet import claims as factorizenet_claims
from experiments.mobilenets import claims as mobilenets_claims
from experiments.mobilenets import imagenet_claims
from experiments.quantization_friendly import claims as quantization_friendly_claims
from experiments.weight_init import training_claims as weight_init_claims

GROUPS: Mapping[str, tuple[Artifact, ...]] = MappingProxyType(
    {
        "mobilenets": mobilenets.ARTIFACTS,
        "weight_init": weight_init.ARTIFACTS,
        "factorizenet": factorizenet.ARTIFACTS,
        "quantization_friendly": quantization_friendly.ARTIFACTS,
    }
)

ARTIFACTS: Mapping[str, Artifact] = MappingProxyType(
    {artifact.name: artifact for group in GROUPS.values() for artifact in group}
)

CLAIMS: tuple[Claim, ...] = (
    *mobilenets_claims.CLAIMS,
    *imagenet_claims.CLAIMS,
    *weight_init_claims.CLAIMS,
    *factorizenet_claims.CLAIMS,
    *quantization_friendly_claims.CLAIMS,
)
"""All claims, in the order of the works."""


def chosen(name: str) -> tuple[Artifact, ...]:
    """The artifacts of a name: `group/name`, a group, or `all`.

    Raises:
        ValueError: nothing has the name; the message lists what does.
    """
    if name == "all":
        return tuple(ARTIFACTS.values())
    if name in GROUPS:
        return GROUPS[name]
    if name in ARTIFACTS:
        return (ARTIFACTS[name],)
    raise ValueError(
        f"artifact must be all, one of the groups {', '.join(GROUPS)}, or one of "
        f"{', '.join(ARTIFACTS)}; received {name!r}"
    )
