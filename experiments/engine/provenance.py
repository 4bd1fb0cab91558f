"""Which code made a result: digests of what it means, not of how it is written, and the commit.

A digest is of definitions: docstrings, comments, layout, imports, `__all__` and `__version__`, and
the module and place where something is defined (also where a text names it) are no part of it, so
that moving code or commenting it leaves results valid.
"""

import ast
import functools
import hashlib
import inspect
import os
import re
import subprocess
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
COMMIT = "TFQDYN_COMMIT"
"""Environment variable of processes that have the code without its history."""
PACKAGES = ("models", "tfqdyn")
"""Whose modules are followed where one imports another."""
_MODULE = re.compile(rf"^(?:{'|'.join(PACKAGES)})(?:\.[a-z_]\w*)+")
"""A text that begins with the name of a module, as "tfqdyn.module:function" does."""


def code_of(*parts: str | type | Callable[..., Any]) -> str:
    """SHA-256 of definitions.

    Args:
        parts: classes and functions, each its own definition alone; names of modules of
            `PACKAGES`, each with all modules of these that it imports, directly or not.
    """
    found: set[str] = set()
    for part in parts:
        found |= _defined_below(part) if isinstance(part, str) else _definition(part)
    return hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()


def definitions(source: str) -> frozenset[str]:
    """The statements of a module, in a form that neither names the module nor tells the layout."""
    return _bare(ast.parse(source))


@functools.cache
def commit() -> str | None:
    """The commit that is checked out, with "+" where files of the code differ; None without git.

    Where the code was sent to, `COMMIT` says what it was there where it came from.
    """
    if COMMIT in os.environ:
        return os.environ[COMMIT]
    folders = ("experiments", *PACKAGES)
    try:
        told = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--", *folders)
    except (OSError, subprocess.CalledProcessError):
        return None
    return told.strip() + ("+" if changed.strip() else "")


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@functools.cache
def _definition(part: type | Callable[..., Any]) -> frozenset[str]:
    return definitions(textwrap.dedent(inspect.getsource(part)))


@functools.cache
def _defined_below(module: str) -> frozenset[str]:
    todo, seen, found = [module], set[str](), set[str]()
    while todo:
        name = todo.pop()
        if name in seen or _path(name) is None:
            continue
        seen.add(name)
        own, imported = _read(name)
        found |= own
        todo += imported
    if not seen:
        raise ValueError(f"there is no module {module!r} in {', '.join(PACKAGES)}")
    return frozenset(found)


@functools.cache
def _read(module: str) -> tuple[frozenset[str], tuple[str, ...]]:
    """A module's definitions, and names of what it imports."""
    path = _path(module)
    assert path is not None, f"{module} is no module"
    tree = ast.parse(path.read_text())
    imported = tuple(_imported(tree))
    return _bare(tree), imported


def _imported(tree: ast.Module) -> Iterable[str]:
    """Names of what a module imports, modules and others."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _path(module: str) -> Path | None:
    """A module's file; None for what is no module of `PACKAGES`."""
    if module.split(".")[0] not in PACKAGES:
        return None
    place = ROOT.joinpath(*module.split("."))
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return path
    return None


def _bare(tree: ast.Module) -> frozenset[str]:
    """The dumped statements of a module; the tree is changed."""
    return frozenset(ast.dump(statement) for statement in _Bare().visit(tree).body)


class _Bare(ast.NodeTransformer):
    """Takes away imports, docstrings (and other idle texts), what modules say of themselves, and
    names of modules in texts.
    """

    def visit_Import(self, node: ast.Import) -> None:
        return None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        return None

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        names = {target.id for target in node.targets if isinstance(target, ast.Name)}
        return None if names & {"__all__", "__version__"} else self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        idle = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if idle else self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant(_MODULE.sub("", node.value)) if isinstance(node.value, str) else node
