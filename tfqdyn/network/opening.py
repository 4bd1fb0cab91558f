"""A layer of the user's own -> the layers and operations of Keras that its `call` uses.

Its code runs here, once on symbolic tensors and once on numbers: it is that of a class that the
user made or imported. What comes out must give what the layer gives, on random input.
"""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfqdyn.files.quoting import brief

LIBRARIES = ("keras", "tf_keras", "tfqdyn")
"""Packages whose layers the analysis knows by name."""
AGREEMENT = 1e-4
"""Largest root mean square of the difference between both outputs, over that of the layer's."""


class OpeningError(ValueError):
    """The layer's `call` cannot be followed."""


def is_users(layer: Any) -> bool:
    """Whether a Keras 3 layer computes something that its ancestors in Keras do not."""
    own = type(layer)
    if not is_own(own):
        return False
    known = next((base for base in own.__mro__ if _package(base) in LIBRARIES), None)
    return known is not None and _package(known) == "keras" and known.call is not own.call


def is_own(kind: type) -> bool:
    """Whether a class is the user's."""
    return _package(kind) not in LIBRARIES


def _package(kind: type) -> str:
    return kind.__module__.split(".")[0]


def opened(
    layer: Any, tensors: Sequence[Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """A functional model of what a layer computes at inference.

    Args:
        layer: a built layer.
        tensors: symbolic ones that a call of it reads.
        args: of that call, these tensors among them.
        kwargs: likewise.

    Raises:
        OpeningError: `call` uses something else than layers and operations of Keras, reads the
            values of its input, or gives other values than the layer.
    """
    import keras

    inputs: list[Any] = [keras.Input(batch_shape=t.shape, dtype=t.dtype) for t in tensors]
    places = {id(tensor): i for i, tensor in enumerate(tensors)}
    named = dict(kwargs)
    if "training" in inspect.signature(layer.call).parameters:
        named["training"] = False

    def on(values: Sequence[Any], call: Callable[..., Any]) -> Any:
        def given(argument: Any) -> Any:
            if isinstance(argument, Mapping):
                return {key: given(item) for key, item in argument.items()}
            if isinstance(argument, (list, tuple)):
                return type(argument)(given(item) for item in argument)
            place = places.get(id(argument))
            return argument if place is None else values[place]

        return call(*given(tuple(args)), **given(named))

    try:
        model = keras.Model(_plain(inputs), on(inputs, layer.call))
    except Exception as error:  # whatever the user's code raises
        raise OpeningError(f"{type(error).__name__}: {brief(error)}") from error
    if all(None not in tensor.shape[1:] for tensor in inputs):
        try:
            _check(model, lambda values: on(values, layer))
        except OpeningError:
            raise
        except Exception as error:  # whatever the user's code raises, or gives
            raise OpeningError(
                f"it could not be tried: {type(error).__name__}: {brief(error)}"
            ) from error
    return model


def _plain(values: list[Any]) -> Any:
    """A single one without its list, as Keras wants it."""
    return values if len(values) > 1 else values[0]


def _check(model: Any, layer: Callable[[Sequence[Any]], Any]) -> None:
    """That a model gives what a layer gives, for two random inputs."""
    rng = np.random.default_rng(0)
    shapes = [tuple(tensor.shape)[1:] for tensor in model.inputs]
    values = [rng.standard_normal((2, *shape)).astype(np.float32) for shape in shapes]
    expected = np.asarray(layer(values), np.float64)
    found = np.asarray(model(_plain(values)), np.float64)
    apart = np.sqrt(np.mean((found - expected) ** 2))
    if not apart <= AGREEMENT * max(float(np.sqrt(np.mean(expected**2))), 1e-6):
        raise OpeningError(
            f"from random input it gives other values in the layer than operation by operation "
            f"(their difference has a root mean square of {apart:.3g})"
        )


def name_within(owner: str, layer: Any) -> str:
    """What a layer or operation inside a layer of the user's is called.

    Names that Keras made up count layers of the process; they become the name of the kind.
    """
    kind = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type(layer).__name__)
    kind = kind.lower()
    made_up = re.fullmatch(rf"{re.escape(kind.replace('_', ''))}\d*", layer.name.replace("_", ""))
    return f"{owner}_{kind if made_up else layer.name}"
