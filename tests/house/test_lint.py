"""`make check` holds; run here too, so that `make test` alone tells of a broken house."""

from __future__ import annotations

import subprocess

from tests.support.server import ROOT


def test_layers_hold() -> None:
    done = subprocess.run([".venv/bin/lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
