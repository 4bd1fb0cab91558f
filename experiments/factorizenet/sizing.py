"""Multiply-accumulates of a network as published, whatever the width of the scale's networks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from experiments.engine.networks import Network, Options
from experiments.engine.provenance import code_of
from experiments.engine.store import Job, Store
from experiments.evidence.architectures import CLASSES, IMAGE


@dataclass(frozen=True)
class Sizing:
    """Builds a network and counts; trains nothing.

    Result: `convolutions` and `dense`, multiply-accumulates of one image.
    """

    KIND: ClassVar[str] = "sizes"
    cpus: ClassVar[float] = 1
    gpus: ClassVar[float] = 0

    arch: str
    options: Options
    image: tuple[int, int, int] = IMAGE
    classes: int = CLASSES

    @property
    def label(self) -> str:
        """The builder's name."""
        return self.arch

    @property
    def needs(self) -> tuple[Job, ...]:
        """Nothing."""
        return ()

    @property
    def code(self) -> str:
        """The networks, and how their operations are counted."""
        return code_of(Sizing, "models", "tfqdyn.network.sizes")

    def run(self, folder: Path, store: Store) -> Mapping[str, Any]:
        """Counts."""
        import keras

        from models import BUILDERS
        from tfqdyn.network import sizes

        keras.backend.clear_session()
        model = BUILDERS[self.arch](self.image, self.classes, **dict(self.options))
        counted = {"convolutions": 0, "dense": 0}
        for name, macs in sizes.macs(model).items():
            dense = isinstance(model.get_layer(name), keras.layers.Dense)
            counted["dense" if dense else "convolutions"] += macs
        return counted


def sizing_of(network: Network) -> Sizing:
    """The full-width network's sizing."""
    return Sizing(network.arch, network.options)
