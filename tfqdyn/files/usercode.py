"""Functions and modules that a user names on the command line: the only code of theirs that runs.

Importing a module runs it. That is what the user asks for by naming it; no file of a model, of
data or of results can.
"""

import importlib
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


class UserCodeError(ValueError):
    """What was named cannot be imported, or is not what was expected."""


def module_named(name: str, flag: str) -> ModuleType:
    """The module that "package.module" names, from the current folder too.

    Args:
        name: as it is imported.
        flag: that names it, for errors.

    Raises:
        UserCodeError: there is none, or it fails.
    """
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # whatever the user's module raises
        raise UserCodeError(
            f"--{flag}={name} cannot be imported: {type(error).__name__}: {error}"
        ) from error


def function_named(name: str, flag: str, example: str) -> Callable[..., Any]:
    """The function that "package.module:function" names, from the current folder too.

    Args:
        name: as the user gave it.
        flag: that names it, for errors.
        example: of a name and what it stands for, for errors.

    Raises:
        UserCodeError: another form, no such module or function, or the module fails.
    """
    module, colon, function = name.partition(":")
    if not module or not colon or not function:
        raise UserCodeError(
            f"--{flag} must be package.module:function, received {name!r}; for example {example}"
        )
    found: Any = module_named(module, flag)
    for part in function.split("."):
        if not hasattr(found, part):
            raise UserCodeError(f"--{flag}={name}: {module} has no {function!r}")
        found = getattr(found, part)
    if not callable(found):
        raise UserCodeError(f"--{flag}={name} must be a function, it is {type(found).__name__}")
    return found
