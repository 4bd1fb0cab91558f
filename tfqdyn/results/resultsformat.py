"""The format of `results.json`: `results.schema.json`, a JSON Schema, and files held against it.

A file of another version, or whose values have other types, is one clear error that names the key.
Keys that the schema does not know are ignored: newer runs have more.
"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import fastjsonschema

from tfqdyn.files import memory
from tfqdyn.files.quoting import brief

SCHEMA_FILE = Path(__file__).with_name("results.schema.json")
TIMES_IN_MEMORY = 20
"""How much more memory a record takes than its file."""
MOST_DIGITS = 30
"""Of an integer; floats take no more than 309."""
LONGEST = 60
"""Characters of a wrong value that an error shows."""


def read(path: Path) -> dict[str, Any]:
    """The record in a file, as JSON has it: infinities as texts, undefined numbers as None.

    Raises:
        ValueError: too large, no JSON, or not of the format; the text names the key.
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    if size * TIMES_IN_MEMORY > memory.total():
        raise ValueError(
            f"{path} has {memory.words(size)}, too much for the memory here "
            f"({memory.words(memory.total())})"
        )
    try:
        content = path.read_bytes()
    except OSError as error:  # what is no regular file fails without saying its name
        raise OSError(error.errno, error.strerror, str(path)) from error
    try:
        record = json.loads(content, parse_constant=_refuse, parse_int=_integer)
        if b"\\ud" in content.lower():
            json.dumps(record, ensure_ascii=False).encode()  # halves of characters are no text
        _checked()(record)
    except fastjsonschema.JsonSchemaValueException as error:
        raise ValueError(f"{path}: {_in_words(error)}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON: {brief(error)}") from error
    return record


@cache
def _checked() -> Callable[[Any], Any]:
    """Checks a record; 0.1 seconds to make."""
    return fastjsonschema.compile(json.loads(SCHEMA_FILE.read_text()))


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number in JSON")


def _integer(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _in_words(error: Any) -> str:
    where = error.name.replace("data", "results", 1)
    received = brief(repr(error.value), LONGEST)
    if error.rule == "required":
        missing = [key for key in error.rule_definition if key not in error.value]
        return f"expected the field {where}.{missing[0]}, which is missing"
    if error.rule == "const" and error.path[-1] == "schema":
        return f"expected results of schema {error.rule_definition}, received {received}"
    problem = error.message.removeprefix(error.name).replace("\\", "")
    return f"{where}{problem}, received {received}"
