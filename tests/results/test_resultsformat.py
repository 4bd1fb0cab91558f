"""`results.json` against its JSON Schema: what is written conforms, and what does not is named."""

import copy
import json
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest
from reported import analyzed

from tfqdyn import results
from tfqdyn.files import memory
from tfqdyn.results import RunResult, restore, resultsformat
from tfqdyn.results.jsonvalues import BESIDE

SCHEMA = json.loads(resultsformat.SCHEMA_FILE.read_text())


def nullable(shape: Any) -> Any:
    """A shape that may be null; numbers may be anyway."""
    if shape == "number" or "null" in shape["type"]:
        return shape
    return {**shape, "type": [shape["type"], "null"]}


def shape_of(kind: Any) -> Any:
    """The schema of a record's annotation, without words and bounds."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        (known,) = (k for k in inner if k is not type(None))
        return nullable(shape_of(known))
    if is_dataclass(kind):
        hints, kept = typing.get_type_hints(kind), [f for f in fields(kind) if f.name != "tflite"]
        needed = [f for f in kept if f.default is MISSING and f.default_factory is MISSING]
        properties = {f.name: shape_of(hints[f.name]) for f in kept if BESIDE not in f.metadata}
        for part in (f for f in kept if BESIDE in f.metadata):
            (inner,) = (k for k in typing.get_args(hints[part.name]) if is_dataclass(k))
            for name, key in part.metadata[BESIDE].items():
                properties[key] = nullable(shape_of(typing.get_type_hints(inner)[name]))
        return {"type": "object", "properties": properties, "required": {f.name for f in needed}}
    if origin is tuple:
        several = [shape_of(k) for k in inner if k is not Ellipsis]
        return {"type": "array", "items": several[0] if inner[-1] is Ellipsis else several}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": shape_of(inner[1])}
    return {float: "number", int: {"type": "integer"}, str: {"type": "string"}}.get(kind)


def plain_shape(schema: Any) -> Any:
    """A part of the schema in the same form."""
    if "allOf" in schema:
        (schema,) = schema["allOf"]
    if "$ref" in schema:
        name = schema["$ref"].split("/")[-1]
        return (
            "number"
            if name in ("number", "finite", "scale")
            else plain_shape(SCHEMA["definitions"][name])
        )
    found: dict[str, Any] = {"type": schema["type"]}
    if "properties" in schema:
        properties = {key: plain_shape(part) for key, part in schema["properties"].items()}
        found |= {"properties": properties, "required": set(schema["required"])}
    if "additionalProperties" in schema:
        found["additionalProperties"] = plain_shape(schema["additionalProperties"])
    if "items" in schema:
        items = schema["items"]
        several = isinstance(items, list)
        found["items"] = [plain_shape(i) for i in items] if several else plain_shape(items)
    return found


def test_the_schema_is_that_of_the_records() -> None:
    records, kept = shape_of(RunResult), SCHEMA["properties"]
    assert kept["schema"]["const"] == results.SCHEMA
    assert list(kept) == ["schema", *records["properties"]]
    assert set(SCHEMA["required"]) == {"schema", *records["required"]}
    for name in ("seed", "model", "summary", "layers", "skipped", "versions", "notes"):
        assert plain_shape(kept[name]) == records["properties"][name], name


def test_every_key_is_described() -> None:
    def undescribed(part: Any, path: str) -> list[str]:
        found = []
        for key, inner in part.get("properties", {}).items():
            if "description" not in inner and key not in (
                "name",
                "seed",
                "bytes_fp32",
                "dtype",
                "rms",
            ):
                found.append(f"{path}.{key}")
            found += undescribed(inner, f"{path}.{key}")
        return found

    assert not undescribed(SCHEMA, "")
    assert not undescribed(SCHEMA["properties"]["layers"]["items"], "layers")


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    """Also where a layer is called "inf", and with infinite figures."""
    first = analyzed().layers[0]
    odd = replace(first, name="inf", producers=("-inf",), rms=float("-inf"), sparsity=float("nan"))
    run = replace(analyzed(), layers=(odd, *analyzed().layers[1:]), notes=("inf",))
    results.write(run, tmp_path)
    found = restore.load(tmp_path)
    assert (found.layers[0].name, found.layers[0].producers) == ("inf", ("-inf",))
    assert found.layers[0].rms == float("-inf")
    assert found.layers[0].sparsity != found.layers[0].sparsity
    assert found.to_json() == run.to_json()
    fastjsonschema.compile(SCHEMA)(json.loads((tmp_path / "results.json").read_text()))


def test_keys_of_newer_runs_are_ignored(tmp_path: Path) -> None:
    results.write(analyzed(), tmp_path)
    file = tmp_path / "results.json"
    record = json.loads(file.read_text())
    for part in (record, record["summary"], record["layers"][0], record["summary"]["qmse"]):
        part["invented_later"] = {"deep": [1]}
    file.write_text(json.dumps(record))
    assert restore.load(tmp_path).to_json() == analyzed().to_json()


def put(*path: Any, value: Any) -> Callable[[Any], None]:
    def change(record: Any) -> None:
        for key in path[:-1]:
            record = record[key]
        record[path[-1]] = value

    return change


def gone(*path: Any) -> Callable[[Any], None]:
    def change(record: Any) -> None:
        for key in path[:-1]:
            record = record[key]
        del record[path[-1]]

    return change


WRONG = {
    "another version": (put("schema", value=7), "expected results of schema 1, received 7"),
    "a version of many letters": (
        put("schema", value="a" * 70_000), f"of schema 1, received {repr('a' * 70_000)[:60]} ..."
    ),
    "images of one set and of several": (
        put("data", "scored", value=[1, [2]]),
        "expected results.data.scored to hold numbers or lists of them, received both",
    ),
    "no version": (gone("schema"), "expected the field results.schema, which is missing"),
    "no layers": (put("layers", value=[]), "results.layers must contain at least 1 items"),
    "layers of another type": (put("layers", value=3), "results.layers must be array, received 3"),
    "a layer that is none": (put("layers", 2, value="x"), "results.layers[2] must be object"),
    "a missing figure": (
        gone("layers", 1, "qmse"), "expected the field results.layers[1].qmse, which is missing"
    ),
    "a missing mean": (
        gone("summary", "qce", "mean"), "expected the field results.summary.qce.mean"
    ),
    "a text for a number": (
        put("layers", 0, "qmse", "trials", 1, value="much"),
        "results.layers[0].qmse.trials[1] must match pattern ^-?inf$, received 'much'",
    ),
    "a list for a number": (
        put("layers", 0, "rms", value=[1]), "results.layers[0].rms must be number or null"
    ),
    "no trials": (
        put("summary", "qmse", "trials", value=[]), "summary.qmse.trials must contain at least 1"
    ),
    "a shape without axes": (
        put("layers", 0, "output_shape", value=[]), "layers[0].output_shape must contain at least 1"
    ),
    "a scale alone": (
        put("layers", 0, "quantization", 0, value=[0.1]), "quantization[0] must contain at least 2"
    ),
    "no digest of the images": (gone("data", "sha256"), "expected the field results.data.sha256"),
    "a source of errors that is missing": (
        put("layers", 0, "source_sqnr_db", value={"input": {"mean": 1, "std": 0, "trials": [1]}}),
        "expected the field results.layers[0].source_sqnr_db.weights, which is missing",
    ),
    "no network": (gone("model", "name"), "expected the field results.model.name"),
    "a version that is none": (
        put("versions", "keras", value=3), "results.versions.keras must be string, received 3"
    ),
    "no step": (
        put("layers", 0, "quantization", 0, 0, value=0), "[0].quantization[0][0] must be bigger"
    ),
    "beyond all numbers": (
        put("layers", 0, "rms", value=1e200), "rms must be smaller than or equal to 1e+150"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_values_are_named(name: str, tmp_path: Path) -> None:
    change, message = WRONG[name]
    record = copy.deepcopy(json.loads(analyzed().to_json()))
    change(record)
    (tmp_path / "results.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match=re.escape(message)):
        restore.load(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"schema": NaN}',
        b'{"schema": ' + b"1" * 5000 + b"}",
    ],
)
def test_what_is_no_json_is_told(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"results\.json is no JSON: "):
        restore.load(tmp_path)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "results.json").symlink_to("/proc/self/mem")
    with pytest.raises(OSError, match=re.escape(str(tmp_path / "results.json"))):
        restore.load(tmp_path)


def test_files_that_do_not_fit_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "results.json").write_text(analyzed().to_json())
    monkeypatch.setattr(memory, "total", lambda: 1000)
    with pytest.raises(ValueError, match="too much for the memory here"):
        restore.load(tmp_path)


def test_one_set_of_images_stands_alone_in_the_file(tmp_path: Path) -> None:
    """Several are lists of lists; older runs name neither."""
    run = analyzed()
    assert json.loads(run.to_json())["data"]["scored"] == list(run.data.scored[0])
    assert json.loads(run.to_json())["data"]["sha256"] == run.data.sha256[0]
    data = replace(run.data, scored=((1, 2), (2, 5)), sha256=("a", "b"))
    record = json.loads(replace(run, data=data).to_json())
    assert (record["data"]["scored"], record["data"]["sha256"]) == ([[1, 2], [2, 5]], ["a", "b"])
    assert restore.restored(results.with_infinities(record)).data == data
    for key in ("scored", "input", "calibration_split", "calibration_images"):
        del record["data"][key]
    older = restore.restored(results.with_infinities(record)).data
    assert (older.scored, older.input) == ((), None)


def test_own_errors_are_whole_or_not_there() -> None:
    record = json.loads(analyzed().to_json())
    layer = record["layers"][0]
    keys = [key for key in layer if key.startswith(("own_", "source_", "saturated", "inherited"))]
    assert restore.restored(results.with_infinities(record)).layers[0].own is not None
    layer["own_sqnr_pooled_db"] = layer["own_sqnr_infinite"] = None  # older runs
    older = restore.restored(results.with_infinities(record)).layers[0].own
    assert older is not None
    assert older.sqnr == older.sqnr_db
    layer["own_bias_share"] = None
    with pytest.raises(ValueError, match=r"layers\.own_bias_share, which is missing"):
        restore.restored(results.with_infinities(record))
    for key in keys:
        del layer[key]
    assert restore.restored(results.with_infinities(record)).layers[0].own is None
