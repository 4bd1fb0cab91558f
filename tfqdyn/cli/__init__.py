"""The command line: `tfqdyn COMMAND --flags`. Every command is a module of this package.

    command.py, flags.py   what a command and a flag are; how flags are parsed and listed
    inputs.py              flags that commands share, and the model and data that they name
    analyze.py, ...        one module per command: its flags, its help, and what it does

A new command is a module with a `COMMAND`, named in `COMMANDS`. Exit status: 0 done, 1 failed, 2
the command line is wrong, 130 interrupted by Ctrl-C. Tables go to stdout; errors go to stderr, and
so do progress bars or, where stderr is no terminal, one line per stage.
"""

import os
import re
import sys
from collections.abc import Sequence
from contextlib import nullcontext

import tfqdyn
from tfqdyn.cli import (
    analyze,
    check,
    compare,
    demo,
    kernels,
    qat,
    remedy,
    schemes,
    sensitivity,
    show,
)
from tfqdyn.cli.command import Command, Given, Outcome
from tfqdyn.cli.flags import UsageError, parse
from tfqdyn.console import failure, print_tables
from tfqdyn.files.wholefiles import claimed

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
COMMANDS: dict[str, Command] = {
    module.COMMAND.name: module.COMMAND
    for module in (demo, analyze, remedy, sensitivity, schemes, compare, check, kernels, show, qat)
}
"""Every command, in the order in which `tfqdyn help` lists them."""
_HELP = ("help", "--help", "-h", "-help", "--helpfull")


def manual() -> str:
    """What `tfqdyn help` prints."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "tfqdyn: why a Keras network loses accuracy in 8 bits, and what brings it back.",
            "",
            f"  {COMMANDS['analyze'].example}",
            "",
            "Commands:",
            *lines,
            "",
            "`tfqdyn COMMAND --help` lists a command's flags, `tfqdyn --version` says the version.",
            "Exit status: 0 done, 1 failed, 2 wrong command line, 130 interrupted.",
            "",
        ]
    )


def run(words: Sequence[str]) -> int:
    """Runs one command line, without the program's name; the exit status (see the module)."""
    name, *rest = words or [""]
    if name == "--version":
        print(f"tfqdyn {tfqdyn.__version__}")
        return DONE
    if name in _HELP and not rest:
        print(manual(), end="")
        return DONE
    if name in _HELP:
        name, rest = rest[0], ["--help"]
    if name not in COMMANDS:
        failure(f"expected one command of {list(COMMANDS)}, received {name or 'nothing'!r}; "
                "`tfqdyn help` says what each does")  # fmt: skip
        return USAGE
    command = COMMANDS[name]
    if any(word in _HELP[1:] for word in rest):
        print(command.help, end="")
        return DONE
    return _run(command, rest)


def _run(command: Command, words: Sequence[str]) -> int:
    verbose = False
    try:
        given = Given(*parse(command.all_flags, words, command.name))
        verbose = given["verbosity"] >= 1
        if given.arguments and not command.arguments:
            raise UsageError(f"{command.name} takes flags only, received {given.arguments[0]!r}")
        with claimed(given.out) if command.writes else nullcontext():
            outcome = command.run(given)
        _show(outcome, given)
    except UsageError as error:
        failure(str(error))
        return USAGE
    except (ValueError, OSError, RuntimeError) as error:
        if verbose:
            raise
        failure(str(error))
        return FAILED
    except KeyboardInterrupt:
        again = "; the same command carries on where it stopped" if command.resumes else ""
        failure(f"interrupted{again}")
        return INTERRUPTED
    return DONE if outcome.passed else FAILED


def _show(outcome: Outcome, given: Given) -> None:
    """Prints tables and notes, then what was written."""
    notes = list(outcome.notes)
    if outcome.written:
        notes += ["", f"Wrote {_shortened(outcome.written)} to {given.out}."]
    if "report.html" in outcome.written:
        notes.append(f"Open {given.out / 'report.html'}")
    print_tables(outcome.tables, notes, outcome.warnings)


def _shortened(names: Sequence[str]) -> str:
    """The names in one line; numbered files by the first and the last."""
    numbered = [name for name in names if re.fullmatch(r"trial_\d+\.tflite", name)]
    others = [name for name in names if name not in numbered]
    if len(numbered) > 2:
        numbered = [f"{numbered[0]} ... {numbered[-1]}"]
    return ", ".join([*others, *numbered])


def main() -> None:
    """Entry of the console script and of `python -m tfqdyn`."""
    try:
        status = run(sys.argv[1:])
    except KeyboardInterrupt:  # before a command began
        failure("interrupted")
        status = INTERRUPTED
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # Python takes a second to dismantle TensorFlow, for nothing
