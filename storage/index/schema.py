"""All tables, in one metadata: each module registers its own."""

from __future__ import annotations

from storage.index import credentials, exchange, identity, known, ledger, sharing, tables
from storage.index.columns import metadata as SCHEMA

__all__ = ["SCHEMA", "credentials", "exchange", "identity", "known", "ledger", "sharing", "tables"]
