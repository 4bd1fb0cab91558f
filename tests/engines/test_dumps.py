"""Dumps: every way to write a tensor gives the same comparison, and what is wrong is named."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from built import chain, codes_feed
from test_comparison import tensors

from tfqdyn.engines import dumps
from tfqdyn.engines.dumps import MANIFEST, DumpError
from tfqdyn.tflite.file import parse

SAMPLES = 3
CONTENT = chain(2)
MODEL = parse(CONTENT)
LAST = MODEL.outputs[0]


@pytest.fixture(scope="module")
def codes() -> np.ndarray:
    """The output's codes [SAMPLES, 4, 4, 8], int8."""
    found = tensors(CONTENT, codes_feed(MODEL, SAMPLES))
    return np.concatenate([sample[LAST] for sample in found])


def manifest(folder: Path, entries: Any, **fields: Any) -> Path:
    record = {"tfqdyn_dump": 1, "device": "a phone", "tensors": entries, **fields}
    (folder / MANIFEST).write_text(json.dumps(record))
    return folder


def written(folder: Path, codes: np.ndarray, how: str) -> dict[str, Any]:
    """The codes in one of the ways to write them; the manifest's entry."""
    entry: dict[str, Any] = {"name": "layer1", "file": "t.npy"}
    if how == "raw":
        codes.tofile(folder / "t.raw")
        return entry | {"file": "t.raw"}
    if how == "an operator's output, in a file for each image":
        for k, image in enumerate(codes):
            image.tofile(folder / f"op1_{k}.bin")
        return {"operator": 1, "output": 0, "file": "op1_{image}.bin"}
    if how == "channels first":
        np.save(folder / "t.npy", np.moveaxis(codes, -1, 1))
        return entry | {"layout": "NCHW"}
    if how == "codes of another type":
        np.save(folder / "t.npy", (codes.astype(int) + 128).astype(np.uint8))
        return entry | {"scale": 0.1, "zero_point": 131}
    if how == "real numbers":
        values = 0.1 * (codes.astype(np.float64) - 3)
        np.save(folder / "t.npy", values.astype(np.float32))
        return entry
    np.save(folder / "t.npy", codes)
    return entry | ({"scale": 0.1, "zero_point": 3} if how == "codes with their scale" else {})


@pytest.mark.parametrize(
    "how",
    ["codes", "codes with their scale", "raw", "an operator's output, in a file for each image",
     "channels first", "codes of another type", "real numbers"],
)  # fmt: skip
def test_every_way_to_write_a_tensor(how: str, tmp_path: Path, codes: np.ndarray) -> None:
    found = dumps.read(manifest(tmp_path, [written(tmp_path, codes, how)]), MODEL)
    assert (found.name, found.device, found.samples) == (tmp_path.name, "a phone", SAMPLES)
    for k, sample in enumerate(found.values(0, 99)):
        assert set(sample) == {LAST}
        np.testing.assert_allclose(sample[LAST][0] if sample[LAST].ndim == 4 else sample[LAST],
                                   codes[k], atol=1e-5)  # fmt: skip
        exact = dumps.as_codes(sample[LAST], MODEL.tensors[LAST])
        assert exact.dtype == np.int8
        np.testing.assert_array_equal(exact.reshape(codes[k].shape), codes[k])
    assert len(found.values(1, 2)) == 1


BAD: dict[str, tuple[Any, str]] = {
    "no list": ({}, "a list of tensors"),
    "no tensors": ([], "a list of tensors"),
    "no file": ([{"name": "layer1"}], "expected every tensor to name a file"),
    "a number": ([7], "expected every tensor to name a file"),
    "unknown key": ([{"name": "layer1", "file": "t.npy", "zero": 1}], "unknown keys"),
    "unknown tensor": ([{"name": "conv", "file": "t.npy"}], "computes 0 tensors of the name"),
    "unknown operator": ([{"operator": 9, "file": "t.npy"}], "has 2 operators, not 9"),
    "unknown output": ([{"operator": 0, "output": 1, "file": "t.npy"}], "1 outputs, not 1"),
    "layout": ([{"name": "layer1", "file": "t.npy", "layout": "CHWN"}], "layout must be one of"),
    "missing": ([{"name": "layer1", "file": "u.npy"}], "does not exist"),
    "outside": ([{"name": "layer1", "file": "../t.npy"}], "files lie in its folder"),
    "no image": ([{"name": "layer1", "file": "{image}.raw"}], "files of one size"),
    "pickled": ([{"name": "layer1", "file": "o.npy"}], "holds no array of numbers"),
    "text": ([{"name": "layer1", "file": "s.npy"}], "not numbers"),
    "odd size": ([{"name": "layer1", "file": "odd.raw"}], "has 128 in a run"),
    "no dtype": ([{"name": "layer1", "file": "odd.raw", "dtype": "int7"}], "no array of numbers"),
    "other codes": ([{"name": "layer1", "file": "u8.npy"}], 'say the device\'s "scale"'),
    "scale": ([{"name": "layer1", "file": "t.npy", "scale": -1}], "a scale above 0"),
    "twice": ([{"name": "layer1", "file": "t.npy"}] * 2, "lists 'layer1' twice"),
    "counts": (
        [{"name": "layer1", "file": "t.npy"}, {"name": "layer0", "file": "two.npy"}],
        "tensors of [2, 3] runs",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_named(case: str, tmp_path: Path, codes: np.ndarray) -> None:
    entries, message = BAD[case]
    np.save(tmp_path / "t.npy", codes)
    np.save(tmp_path / "two.npy", codes[:2])
    np.save(tmp_path / "u8.npy", codes.astype(np.uint8))
    np.save(tmp_path / "o.npy", np.array([{}], object), allow_pickle=True)
    np.save(tmp_path / "s.npy", np.array(["x"]))
    (tmp_path / "odd.raw").write_bytes(bytes(130))
    with pytest.raises(DumpError) as error:
        dumps.read(manifest(tmp_path, entries), MODEL)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "nan", '{"tfqdyn_dump": 2, "tensors": [1]}', "[" * 10**5]
)
def test_damaged_manifests(text: str, tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(DumpError):
        dumps.read(tmp_path, MODEL)
