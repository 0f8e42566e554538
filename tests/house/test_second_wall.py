"""Whoever reads studies for somebody does so behind the second wall (decision 0032)."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.house.test_layers import sources
from tests.support.server import ROOT

INDEX = ROOT / "storage" / "index"
BEHIND = {"read_as", "read_behind"}
# What asks for `visible` before it, each with its reason.
BEFORE = {
    "find_owned": "within the transaction that writes what is said of it",
    "shown_of": "within the transaction that opens an emergency, which the wall does not know yet",
    "patients_with": "within the transaction that makes a share link",
    "find_sends": "queues are their operators'",
}
EXCEPT = {
    "storage/reindexing.py: _condition": "the command line's operator, within the transaction that marks packs"
}


def called(function: ast.AST) -> set[str]:
    calls = [n.func for n in ast.walk(function) if isinstance(n, ast.Call)]
    return {
        f.id if isinstance(f, ast.Name) else f.attr for f in calls if isinstance(f, ast.Name | ast.Attribute)
    }


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """Those of the module and of its classes, with what is within them."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from (n for n in node.body if isinstance(n, ast.FunctionDef))
        elif isinstance(node, ast.FunctionDef):
            yield node


def asking() -> set[str]:
    """Names in `storage/index` of what asks `visible`."""
    found: set[str] = set()
    every = [f for path in INDEX.glob("*.py") for f in functions(ast.parse(path.read_text(encoding="utf-8")))
             if path.name != "visibility.py"]  # fmt: skip
    while more := {f.name for f in every if called(f) & {"visible", "granted", *found}} - found:
        found |= more
    return found - {"find_standing"}  # which asks for everybody, once


def test_what_is_read_for_somebody_is_read_behind_the_wall() -> None:
    asks = {name for name in asking() if not name.startswith("_")}
    assert {"compile_query", "find_fragments", "shown_counts", *BEFORE} <= asks, "the test sees nothing"
    offenders = []
    for path in sources():
        if INDEX in path.parents or (ROOT / "storage") not in path.parents:
            continue
        for function in functions(ast.parse(path.read_text(encoding="utf-8"))):
            calls = called(function)
            if calls & (asks - set(BEFORE)) and not calls & BEHIND:
                offenders.append(f"{path.relative_to(ROOT)}: {function.name}")
    assert offenders == list(EXCEPT)
