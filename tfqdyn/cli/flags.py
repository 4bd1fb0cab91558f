"""Flags of a command: declared as records, parsed, and listed by `--help`.

--name=value, --name value   dashes and underscores are the same in names
--name, --noname, --no-name  of flags that are either on or off
"""

import difflib
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH = 96
"""Columns of a help text."""
_LEFT = 32
_SWITCH = {"": True, "true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
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

    def read(self, text: str) -> Any:
        """The value that a text stands for.

        Raises:
            UsageError: it is not of the flag's kind.
        """
        try:
            if self.kind is bool:
                return _SWITCH[text.lower()]
            if self.kind is tuple:
                return tuple(part.strip() for part in text.split(",") if part.strip())
            return self.kind(text)
        except (ValueError, KeyError):
            what = {int: "a whole number", float: "a number", bool: "true or false"}[self.kind]
            raise UsageError(f"--{self.name} must be {what}, received {text!r}") from None


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
    known = {flag.name: flag for flag in flags}
    values: dict[str, Any] = {flag.name: flag.default for flag in flags}
    arguments: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            arguments += left
            break
        if not word.startswith("-") or word == "-":
            arguments.append(word)
            continue
        written, equals, text = word.lstrip("-").partition("=")
        flag, off = _named(known, written.replace("-", "_"), word, command)
        if off:
            values[flag.name] = not flag.read(text)
        elif equals or flag.kind is bool:
            values[flag.name] = flag.read(text)
        elif left:
            values[flag.name] = flag.read(left.pop(0))
        else:
            raise UsageError(f"--{flag.name} needs a value: --{flag.name}={_value(flag)}")
    for flag in flags:
        if flag.required and not values[flag.name]:
            raise UsageError(f"--{flag.name} is missing. {flag.help}")
    return values, tuple(arguments)


def _named(known: Mapping[str, Flag], name: str, word: str, command: str) -> tuple[Flag, bool]:
    """The flag of a name, and whether the name turns it off."""
    if name in known:
        return known[name], False
    for prefix in ("no_", "no"):
        positive = known.get(name.removeprefix(prefix))
        if name.startswith(prefix) and positive is not None and positive.kind is bool:
            return positive, True
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean --{near[0]}?" if near else ""
    raise UsageError(
        f"{command} has no flag {word.split('=')[0]}{hint} (`tfqdyn {command} --help` lists its "
        "flags)"
    )


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
