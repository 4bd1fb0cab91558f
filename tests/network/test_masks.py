"""Layers that are called with a mask are refused, not computed without it."""

from collections.abc import Callable
from typing import Any

import keras
import pytest

from tfqdyn.network.lowering import lower
from tfqdyn.network.trace import UnsupportedModelError, trace


@pytest.mark.parametrize(
    ("kind", "shape"),
    [(keras.layers.Softmax, (4, 4)), (keras.layers.GlobalAveragePooling1D, (4,))],
)
def test_masks_are_refused(kind: Callable[..., Any], shape: tuple[int, ...]) -> None:
    x, mask = keras.Input((4, 4)), keras.Input(shape, dtype="bool")
    model = keras.Model([x, mask], kind(name="masked")(x, mask=mask))
    with pytest.raises(UnsupportedModelError, match=r"'masked' \(\w+\) with a mask"):
        lower(model)


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
