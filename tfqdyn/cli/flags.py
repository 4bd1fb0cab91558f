"""Flags of a command: declared as records, parsed, and listed by `--help`.

--name=value, --name value   dashes and underscores are the same in names
--name, --noname, --no-name  of flags that are either on or off
"""

import difflib
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from absl import flags as absl_flags

WIDTH = 96
"""Columns of a help text."""
_LEFT = 32
_MEASURES = {str: "TEXT", int: "N", float: "X", tuple: "A,B,..."}


class UsageError(ValueError):
    """The command line is wrong; nothing was done."""


@dataclass(frozen=True)
class Flag:
    """One flag of a command.

    Attributes:
        name: with underscores, without dashes in front.
        kind: `str`, `int`, `float`, `bool` or `tuple` (texts between commas).
        default: None where there is none.
        help: one or two sentences.
        group: the heading under which `--help` lists it.
        value: what `--help` calls its value; by default a word for its kind.
        required: whether it must be given.
    """

    name: str
    kind: type
    default: Any
    help: str
    group: str = "Settings"
    value: str = ""
    required: bool = False


def parse(
    flags: Sequence[Flag], words: Sequence[str], command: str
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Values of all flags by name, and the words that are no flags.

    Args:
        flags: those that the command takes.
        words: of the command line, after the command.
        command: its name, for errors.

    Raises:
        UsageError: an unknown flag, one without its value, or a value of another kind; a flag that
            is required but missing.
    """
    known = absl_flags.FlagValues()
    known.set_gnu_getopt(True)
    for flag in flags:
        default = list(flag.default) if isinstance(flag.default, tuple) else flag.default
        _DEFINE[flag.kind](flag.name, default, flag.help, flag_values=known)
    try:
        _, *arguments = known([command, *map(_with_underscores, words)])
    except absl_flags.UnrecognizedFlagError as error:
        near = difflib.get_close_matches(error.flagname, [flag.name for flag in flags], n=1)
        hint = f"; did you mean --{near[0]}?" if near else ""
        raise UsageError(
            f"{command} has no flag --{error.flagname}{hint} (`tfqdyn {command} --help` lists its "
            "flags)"
        ) from None
    except absl_flags.Error as error:
        raise UsageError(_said(str(error), {flag.name: flag for flag in flags})) from None
    values = {flag.name: _plain(known[flag.name].value) for flag in flags}
    for flag in flags:
        if flag.required and not values[flag.name]:
            raise UsageError(f"--{flag.name} is missing. {flag.help}")
    return values, tuple(arguments)


_DEFINE: Mapping[type, Callable[..., Any]] = {
    str: absl_flags.DEFINE_string,
    int: absl_flags.DEFINE_integer,
    float: absl_flags.DEFINE_float,
    bool: absl_flags.DEFINE_bool,
    tuple: absl_flags.DEFINE_list,
}


_KINDS = {int: "a whole number", float: "a number", bool: "true or false"}


def _said(error: str, flags: Mapping[str, Flag]) -> str:
    """What absl says of a value of the wrong kind, or of none, in our words."""
    if found := re.match(r"flag --(\w+)=(.*?): ", error):
        flag = flags[found[1]]
        return f"--{flag.name} must be {_KINDS.get(flag.kind, 'a text')}, received {found[2]!r}"
    if found := re.search(r"--(\w+)$", error):
        flag = flags[found[1]]
        return f"--{flag.name} needs a value: --{flag.name}={_value(flag)}"
    return error


def _with_underscores(word: str) -> str:
    """A word of the command line, with the flag's name as it is declared."""
    if not word.startswith("--") or word == "--":
        return word
    name, equals, text = word.partition("=")
    name = name.removeprefix("--").replace("-", "_")
    return f"--{name.replace('no_', 'no', 1) if name.startswith('no_') else name}{equals}{text}"


def _plain(value: Any) -> Any:
    return tuple(part for part in value if part) if isinstance(value, list) else value


def _value(flag: Flag) -> str:
    return flag.value or _MEASURES.get(flag.kind, "")


def listed(flags: Sequence[Flag]) -> str:
    """The flags under the headings of their groups, one paragraph each, with defaults."""
    groups: dict[str, list[Flag]] = {}
    for flag in flags:
        groups.setdefault(flag.group, []).append(flag)
    return "\n\n".join(
        "\n".join([f"{heading}:", *map(_described, members)]) for heading, members in groups.items()
    )


def _described(flag: Flag) -> str:
    left = f"  --{flag.name}" + ("" if flag.kind is bool else f"={_value(flag)}")
    default = flag.default
    if flag.required:
        ending = "Required."
    elif default is None or default in ((), ""):
        ending = ""
    elif isinstance(default, bool):
        ending = f"Default: {'on' if default else 'off'}."
    else:
        shown = ",".join(default) if isinstance(default, tuple) else default
        ending = f"Default: {shown}."
    text = textwrap.wrap(f"{flag.help} {ending}".strip(), WIDTH - _LEFT)
    first = (
        f"{left:<{_LEFT}}{text[0]}" if len(left) < _LEFT - 1 else f"{left}\n{' ' * _LEFT}{text[0]}"
    )
    return "\n".join([first, *(" " * _LEFT + line for line in text[1:])])
