"""Layers that are called with a mask are refused, not computed without it."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from tfqdyn.network.lowering import lower
from tfqdyn.network.trace import UnsupportedModelError, trace

MASK = np.tril(np.ones((4, 4), bool))


def pooled(x: Any, mask: Any) -> Any:
    return keras.layers.GlobalAveragePooling1D(name="masked")(x, mask=mask)


def softmax(x: Any, mask: Any) -> Any:
    return keras.layers.Softmax(name="masked")(x, mask=MASK)


@pytest.mark.parametrize("layer", [softmax, pooled])
def test_masks_are_refused(layer: Callable[[Any, Any], Any]) -> None:
    x, mask = keras.Input((4, 4)), keras.Input((4,), dtype="bool")
    with pytest.raises(UnsupportedModelError, match=r"'masked' \(\w+\) with a mask"):
        lower(keras.Model([x, mask], layer(x, mask)))


class Other(keras.layers.MultiHeadAttention):
    """Attention that computes something else."""

    def _compute_attention(self, query: Any, key: Any, value: Any, *args: Any, **more: Any) -> Any:
        return super()._compute_attention(-query, key, value, *args, **more)


class Same(keras.layers.MultiHeadAttention):
    """Attention by another name."""


def test_attention_that_computes_something_else_is_not_taken_for_keras_own() -> None:
    for kind, known in ((Same, True), (Other, False)):
        x = keras.Input((4, 8))
        model = keras.Model(x, kind(2, 4)(x, x))
        kinds = [call.kind for call in trace(model).calls]
        assert ("MultiHeadAttention" in kinds) is known
