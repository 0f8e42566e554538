"""Alembic's entry: our tables, and a connection from the caller or a URL."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, create_engine

from storage.index import credentials as _credentials  # noqa: F401  its tables belong to the schema
from storage.index.exchange import SCHEMA


def run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=SCHEMA, compare_server_default=True)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with create_engine(context.config.attributes["url"]).connect() as connected:
        run(connected)
        connected.commit()
