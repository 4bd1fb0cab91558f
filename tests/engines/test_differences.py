import numpy as np
import pytest

from tfqdyn.engines.arrays import packed, unpacked
from tfqdyn.engines.differences import FLOAT_STEP, Difference, difference


def test_codes_differ_in_steps() -> None:
    a = np.array([[0, 255, 7]], np.uint8)
    assert difference(a, np.array([[3, 0, 7]], np.uint8)) == Difference(3, 2, 255.0)
    assert difference(a, a) == Difference(3, 0, 0.0)
    assert difference(a, np.array([[0.4, 255.6, 7.0]])) == Difference(
        3, 1, pytest.approx(0.6)
    )  # fmt: skip


def test_floats_differ_beyond_a_step_of_their_largest_magnitude() -> None:
    a = np.array([4.0, 1.0, 0.0], np.float32)
    step = 4 * FLOAT_STEP
    assert difference(a, a + np.array([0, 0, step / 2], np.float32)) == Difference(3, 0, 0.5)
    assert difference(a, a + np.array([0, 3 * step, 0], np.float32)) == Difference(3, 1, 3.0)


def test_what_is_no_number_differs_from_what_is_one() -> None:
    a, nan = np.array([1.0, np.inf]), np.array([np.nan, np.inf])
    assert difference(a, nan) == Difference(2, 1, np.inf)
    assert difference(nan, a) == Difference(2, 1, np.inf)
    assert difference(nan, nan) == Difference(2, 0, 0.0)
    assert difference(a, np.array([1.0, -np.inf])) == Difference(2, 1, np.inf)


def test_another_shape_is_another_value() -> None:
    assert difference(np.zeros(2, np.int32), np.zeros(3, np.int32)) == Difference(3, 3, np.inf)
    assert difference(np.zeros(0, np.int32), np.zeros(0, np.int32)) == Difference()


def test_sums_of_differences() -> None:
    total = Difference(4, 1, 2.0) + Difference(6, 0, 0.0)
    assert (total, total.share) == (Difference(10, 1, 2.0), 0.1)
    assert Difference().share == 0.0


def test_arrays_come_back_as_they_were() -> None:
    arrays = {
        "a": np.arange(6, dtype=np.int8).reshape(2, 3).T,
        "b": np.array(1.5, np.float32),
        "c": np.zeros((0, 2), np.int64),
    }
    record, found = unpacked(packed({"k": [1, None]}, arrays))
    assert record == {"k": [1, None]}
    assert {n: (x.dtype, x.tolist()) for n, x in found.items()} == {
        n: (x.dtype, x.tolist()) for n, x in arrays.items()
    }
    assert found["b"].shape == ()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[1]\n",
        b'{"record": 1, "arrays": {"a": ["O", [1]]}}\n........',
        b'{"record": 1, "arrays": {"a": ["|i1", [100]]}}\n.',
        b'{"record": 1, "arrays": {"a": ["|i1", [-1]]}}\n.',
    ],
)
def test_damaged_arrays_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"packed arrays|array|buffer|JSON|Expecting"):
        unpacked(content)
