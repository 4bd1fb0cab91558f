"""A data set, and the arrays of a network that has several inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.files.imagefiles import DataError


@dataclass(frozen=True, eq=False)
class Inputs:
    """Arrays for a network with several inputs.

    `len` is the number N of samples; indexing by an array of indices, or by a slice where the
    arrays are in memory, gives the `Inputs` of these samples.

    Attributes:
        arrays: for every input, by its name, an array-like [N, ...].
    """

    arrays: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not self.arrays:
            raise DataError("expected an array for each input of the network, received none")

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def __getitem__(self, indices: NDArray[np.int64] | Sequence[int] | slice) -> "Inputs":
        return Inputs({name: array[indices] for name, array in self.arrays.items()})


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set; `x_train` is None where there is nothing to train or to calibrate on.

    Attributes:
        name: of the data.
        x_test: array-like [N, ...], or `Inputs`. Array-likes support `len`, `shape` and indexing
            with an array of indices, and need not be in memory.
        y_test: labels [N, ...]; None where there are none.
        x_train: as `x_test`.
        y_train: as `y_test`.
        named_classes: counts the classes where labels are positions among folder names.
        notes: what results say of the data, in words.
    """

    name: str
    x_test: Any
    y_test: NDArray | None = None
    x_train: Any = None
    y_train: NDArray | None = None
    named_classes: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def num_classes(self) -> int:
        """One more than the largest label.

        Raises:
            DataError: there are no labels.
        """
        labels = [y for y in (self.y_test, self.y_train) if y is not None]
        if not labels:
            raise DataError(f"{self.name!r} has no labels that would tell how many classes it has")
        return 1 + max(int(y.max()) for y in labels)
