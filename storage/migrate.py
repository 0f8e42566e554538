"""Bring the database to the newest schema. Safe for several processes at once: one migrates, the others wait."""

from __future__ import annotations

from pathlib import Path

from alembic import autogenerate, command
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import text

from storage.database import Database
from storage.index import wall
from storage.index.schema import SCHEMA

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x546F6E67  # any number that no other advisory lock of ours has


def config(url: str = "") -> Config:
    """Alembic's configuration, without an ini file."""
    settings = Config()
    settings.set_main_option("script_location", str(MIGRATIONS))
    settings.attributes["url"] = url
    return settings


def upgrade(database: Database) -> None:
    """Apply what is missing, and build the second wall."""
    with database.begin() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        built = wall.is_built(connection)
        if not built:
            wall.take_down(connection)
        settings = config()
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")
        if not built:
            wall.build(connection)


def differences(database: Database) -> list[str]:
    """What the tables and the migrated database do not have in common; empty when they agree."""
    with database.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        return [str(difference) for difference in autogenerate.compare_metadata(context, SCHEMA)]
