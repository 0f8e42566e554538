"""Nobody waits for, or holds in memory, what he does not use: heavy libraries are imported by who needs them, when he
does."""

from __future__ import annotations

import subprocess
import sys

import pytest

from deploy.cli import COMMANDS, Deferred, commands
from tests.support.server import ROOT

HEAVY = {
    "sqlalchemy",
    "alembic",
    "celery.app.base",
    "pynetdicom",
    "pydicom",
    "numpy",
    "pypinyin",
    "fastapi",
    "joserfc",
}
FREE_OF = {
    "deploy.cli": HEAVY,
    "deploy.cli_registry": HEAVY - {"sqlalchemy"},
    "deploy.cli_users": HEAVY - {"sqlalchemy"},
    "deploy.supervisor": HEAVY - {"sqlalchemy", "alembic"},
    "worker.clock": HEAVY - {"celery.app.base"},
    "worker.app": {"pynetdicom", "fastapi", "alembic", "pypinyin", "joserfc"},
    "dicom_node.node": {"fastapi", "alembic", "pypinyin"},
    "dicom_node.exchange": {"fastapi", "alembic", "pypinyin"},
    "viewer_api.app": {"pynetdicom", "alembic", "celery.app.base", "pypinyin"},
}


@pytest.mark.parametrize("module", FREE_OF)
def test_a_start_imports_what_it_needs(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(loaded.stdout.split()) & FREE_OF[module] == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_says(name: str) -> None:
    deferred = commands().commands[name]
    assert isinstance(deferred, Deferred)
    said = " ".join((deferred.load().help or "").split())
    assert said.startswith(deferred.help or "?")
