"""The table of DICOMweb transactions is that of the routes."""

from __future__ import annotations

from pacs.settings import Settings
from viewer_api.app import create_app
from viewer_api.dicomweb.transactions import ROOT, TRANSACTIONS


def test_every_route_is_in_the_table_and_no_other() -> None:
    """Else what a route takes and gives is missing in viewer_api/dicomweb/transactions.py."""
    paths = create_app(Settings()).openapi()["paths"]
    routes = {
        (method.upper(), path.removeprefix(ROOT))
        for path, methods in paths.items()
        for method in methods
        if path.startswith(ROOT)
    }
    assert routes == TRANSACTIONS.keys()


def test_names_are_told_once() -> None:
    names = [transaction.name for transaction in TRANSACTIONS.values()]
    assert len(set(names)) == len(names)
