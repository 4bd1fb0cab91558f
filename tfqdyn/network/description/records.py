"""A network as its file describes it: layers, and calls of layers on what other calls returned."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

LAYERS = "keras.layers"
"""The module of Keras 3 that has all layers but a few, see `reading.OPERATIONS`."""


@dataclass(frozen=True)
class Output:
    """Stands for what a call returned: `tensor` counts where that is several tensors."""

    layer: str
    call: int
    tensor: int


@dataclass(frozen=True)
class Layer:
    """A layer; `network` is what it holds if it is a model itself, else None.

    `module` is where Keras 3 finds the class; `registered` is the name under which a class of the
    user's own is registered with Keras, None for Keras' own. Layers of one `shared` number are one
    layer.
    """

    name: str
    kind: str
    module: str = LAYERS
    arguments: Mapping[str, Any] = field(default_factory=dict)
    network: "Network | None" = None
    shared: int | None = None
    registered: str | None = None


@dataclass(frozen=True)
class LayerCall:
    """The `number`-th call of a layer; among the arguments stand `Output`s of earlier calls."""

    layer: str
    number: int
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


@dataclass(frozen=True)
class Network:
    """A functional model; or a sequential one, whose `calls` are None.

    `inputs` and `outputs` are `Output`s, or lists and dicts of them. `input_shape` (with the batch
    axis) is that of a sequential model that has no input layer.
    """

    name: str
    layers: tuple[Layer, ...]
    calls: tuple[LayerCall, ...] | None = None
    inputs: Any = None
    outputs: Any = None
    input_shape: tuple[int | None, ...] | None = None


def outputs_in(arguments: Any) -> list[Output]:
    """Every `Output` among arguments."""
    found: list[Output] = []
    with_outputs(arguments, lambda output: found.append(output) or output)
    return found


def with_outputs(arguments: Any, value: Callable[[Output], Any]) -> Any:
    """Arguments with every `Output` replaced by its value."""
    if isinstance(arguments, Output):
        return value(arguments)
    if isinstance(arguments, Mapping):
        return {key: with_outputs(item, value) for key, item in arguments.items()}
    if isinstance(arguments, (list, tuple)):
        return type(arguments)(with_outputs(item, value) for item in arguments)
    return arguments
