"""Syntax trees of source files, for tests that read code."""

import ast
import gc
from functools import cache
from pathlib import Path


@cache
def tree(path: Path) -> ast.Module:
    """Return the syntax tree of a file, which is parsed once in a process.

    The garbage collector is off meanwhile: it would visit the growing tree many times, which takes
    three times as long as parsing.
    """
    gc.disable()
    try:
        return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    finally:
        gc.enable()


@cache
def nodes(module: ast.Module) -> tuple[ast.AST, ...]:
    """Return all nodes of a syntax tree, through which several tests look: a walk takes longer."""
    return tuple(ast.walk(module))
