"""Budgets: files under 400 lines, functions under 80 and nearly all under 40, no junk-drawer modules."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "dsenv"
FILES = sorted(PACKAGE.rglob("*.py"))
BANNED = {"utils", "helpers", "misc", "common", "manager", "util", "helper"}


def functions(file: Path) -> list[tuple[str, int]]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, kinds):
            first = node.body[0]
            documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            text = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
            found.append((f"{file.relative_to(PACKAGE)}:{node.name}", (node.end_lineno or 0) - node.lineno + 1 - text))
    return found


def test_files_stay_small() -> None:
    assert FILES
    assert [str(f) for f in FILES if len(f.read_text(encoding="utf-8").splitlines()) > 400] == []


def test_functions_stay_small() -> None:
    sizes = [size for file in FILES for size in functions(file)]
    assert [entry for entry in sizes if entry[1] > 80] == []
    assert sum(size > 40 for _, size in sizes) <= len(sizes) * 0.02


def test_modules_are_nouns_not_drawers() -> None:
    assert [str(f) for f in FILES if f.stem in BANNED or f.parent.name in BANNED] == []


def test_every_module_says_what_it_owns() -> None:
    assert [str(f) for f in FILES if ast.get_docstring(ast.parse(f.read_text(encoding="utf-8"))) is None] == []
