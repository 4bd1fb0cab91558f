"""The recipes' optimizers, which also measure the gradients that pass through them.

The gradients measured are those of the loss, without the recipe's weight decay.

The gradient norm of a layer is wanted once an epoch. An optimizer sees every gradient of every
step, on every Keras backend, so the sum of squares is taken there: no second backward pass, and
the figure is of the whole epoch instead of one batch.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from tfqdyn.training.recipes import Recipe


class _MeasuresGradients:
    """Mixin of an optimizer: sums of squares of each variable's gradient, over steps.

    Attributes:
        penalty: Factor of the kernels' L2 penalty (`Recipe.weight_decay`), or None.
    """

    penalty: float | None = None

    def build(self, var_list: list[Any]) -> None:
        super().build(var_list)  # type: ignore[misc]
        self._places = {id(variable): place for place, variable in enumerate(var_list)}
        self._squares = self.add_variable(  # type: ignore[attr-defined]
            shape=(len(var_list),), name="gradient_squares", initializer="zeros"
        )
        self._steps = self.add_variable(  # type: ignore[attr-defined]
            shape=(), name="gradient_steps", initializer="zeros"
        )

    def apply(self, grads: list[Any], trainable_variables: list[Any] | None = None) -> None:
        super().apply(self._penalized(grads, trainable_variables), trainable_variables)  # type: ignore[misc]
        squares = [0.0 if g is None else self.sum_of_squares(g) for g in grads]
        self._squares.assign_add(ops.stack([ops.cast(s, "float32") for s in squares]))
        self._steps.assign_add(1.0)

    def _penalized(self, grads: list[Any], variables: list[Any] | None) -> list[Any]:
        """The gradients of the loss with those of the penalty on kernels."""
        if self.penalty is None:
            return grads
        own: Any = self._trainable_variables if variables is None else variables  # type: ignore[attr-defined]
        return [
            g if g is None or v.name != "kernel" else g + self.penalty * v
            for g, v in zip(grads, own, strict=True)
        ]

    def sum_of_squares(self, gradient: Any) -> Any:
        """The square of a gradient's L2 norm."""
        return ops.sum(ops.square(ops.cast(gradient, "float32")))

    def gradient_norm(self, variable: Any) -> float:
        """Root mean square, over the steps since `reset_gradients`, of the gradient's L2 norm.

        NaN before the first step.
        """
        squares, steps = np.asarray(self._squares), float(np.asarray(self._steps))
        square = squares[self._places[id(variable)]]
        return float(np.sqrt(square / steps)) if steps else float("nan")

    def reset_gradients(self) -> None:
        """Starts the sums anew."""
        self._squares.assign(ops.zeros(self._squares.shape))
        self._steps.assign(0.0)


# Keras' SGD and RMSprop name the argument of `build` differently.
class MeasuringSGD(  # pyright: ignore[reportIncompatibleMethodOverride]
    _MeasuresGradients, keras.optimizers.SGD
):
    """SGD that measures gradients."""


class MeasuringRMSprop(_MeasuresGradients, keras.optimizers.RMSprop):
    """RMSprop that measures gradients."""


def make(recipe: Recipe) -> MeasuringSGD | MeasuringRMSprop:
    """Makes the optimizer of a recipe, with the learning rate of the first epoch."""
    if recipe.optimizer == "sgd":
        optimizer = MeasuringSGD(recipe.learning_rate, momentum=recipe.momentum)
    else:
        optimizer = MeasuringRMSprop(
            recipe.learning_rate, rho=recipe.rho, momentum=recipe.momentum, epsilon=recipe.epsilon
        )
    optimizer.penalty = recipe.weight_decay
    return optimizer
