"""The package's own modules, each read and parsed once in a process, for the tests that look at all of them."""

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from tests.walls import PACKAGE


@cache
def modules() -> Mapping[str, Path]:
    """Every module's file, by its name without ``spfmilter.``."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(module: str) -> ast.Module:
    """A module's syntax tree."""
    return ast.parse(modules()[module].read_text())


@cache
def nodes(module: str) -> tuple[ast.AST, ...]:
    """All nodes of that tree."""
    return tuple(ast.walk(tree(module)))


def all_nodes() -> Mapping[str, tuple[ast.AST, ...]]:
    """The nodes of every module, by the path of its file in the package."""
    return {path.relative_to(PACKAGE).as_posix(): nodes(module) for module, path in modules().items()}
