"""The house rules that no linter of others knows: who may touch the tables, how large a file may be, what is named."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.server import ROOT

PACKAGES = ("pacs", "storage", "dicom_node", "viewer_api", "worker", "deploy")
LINES_MAX = 400
# The tables whose rows belong to facilities: queries on them go through storage/index, where visible() stands.
GUARDED = {"patients", "studies", "series"}
# Verbs without a principal, which answer nobody: each with its reason.
UNGUARDED = {
    "storage/check.py": "verifies the whole archive for its operator",
    "storage/renditions.py": "derives pictures by key; who may see them is asked when they are read",
    "storage/progression.py": "makes renditions by key; who may see them is asked when they are read",
    "storage/sweeps.py": "finds work",
}


def sources() -> list[Path]:
    return [p for name in PACKAGES for p in sorted((ROOT / name).rglob("*.py"))]


def imported_tables(tree: ast.Module) -> set[str]:
    return {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "storage.index.tables"
        for alias in node.names
    }


def test_only_the_index_queries_what_facilities_own() -> None:
    offenders = []
    for path in sources():
        name = path.relative_to(ROOT).as_posix()
        if name.startswith("storage/index/") or name in UNGUARDED or "migrations" in name:
            continue
        if imported_tables(ast.parse(path.read_text(encoding="utf-8"))) & GUARDED:
            offenders.append(name)
    assert offenders == []


def test_the_compiler_never_builds_a_query_without_visible() -> None:
    tree = ast.parse((ROOT / "storage" / "index" / "compiler.py").read_text(encoding="utf-8"))
    public = [n for n in tree.body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")]
    assert public
    bounded = {"visible"}  # and what calls it, in the order of the file
    for function in public:
        calls = {
            n.func.id for n in ast.walk(function) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
        }
        assert calls & bounded, f"{function.name} does not call visible()"
        bounded.add(function.name)


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_files_can_be_read_in_a_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES_MAX


def tracked() -> list[Path]:
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / n for n in names.splitlines()]


def test_no_machine_and_no_registry_is_named() -> None:
    named = re.compile(
        r"/(?:root|home)/[a-z]|//(?:[a-z0-9-]+\.)*(?:pypi|pythonhosted|npmjs|golang)\.", re.IGNORECASE
    )
    offenders = [
        f"{path.relative_to(ROOT)}: {match.group(0)}"
        for path in tracked()
        if path.suffix in {".py", ".txt", ".in", ".json", ".toml", ".md", ".sh", ".yml", ".ts", ".tsx", ""}
        and path.is_file()
        for match in [named.search(path.read_text(encoding="utf-8", errors="replace"))]
        if match and path.name != "test_layers.py"
    ]
    assert offenders == []
