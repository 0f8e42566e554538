"""The conformance statement in the documents is what the product's tables say."""

from __future__ import annotations

from deploy.conformance import statement
from tests.support.server import ROOT


def test_the_conformance_statement_is_true() -> None:
    """Else: .venv/bin/python -m deploy.conformance > docs/conformance.md"""
    assert (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8") == statement()
