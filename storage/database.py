"""The database: one engine, one transaction a verb."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, create_engine, event, exc

from pacs.settings import Settings

POOL_SIZE = 10
CONNECT_SECONDS = 5
STATEMENT_MS_MAX = 60_000  # no query may hold a connection for ever

Unavailable: tuple[type[Exception], ...] = (
    exc.OperationalError,
    exc.InterfaceError,
)  # the database is away, or the connection was cut

Refused: tuple[type[Exception], ...] = (exc.DataError,)  # a NUL in a text, a number that no column can hold


class Database:
    """Connections to PostgreSQL. Safe to share between threads, not between processes."""

    def __init__(self, url: str) -> None:
        self.engine = create_engine(
            url,
            pool_size=POOL_SIZE,
            max_overflow=20,
            pool_pre_ping=True,
            connect_args={"connect_timeout": CONNECT_SECONDS},
        )

        @event.listens_for(self.engine, "connect")
        def limit(dbapi_connection: object, _record: object) -> None:
            with dbapi_connection.cursor() as cursor:  # type: ignore[attr-defined]
                cursor.execute(f"SET statement_timeout = {STATEMENT_MS_MAX}")
            dbapi_connection.commit()  # type: ignore[attr-defined]

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction: committed at the end of the block, rolled back by an exception."""
        with self.engine.begin() as connection:
            yield connection

    def close(self) -> None:
        self.engine.dispose()


def open_database(settings: Settings) -> Database:
    """The database of the settings; `up` has put the embedded one's address there."""
    return Database(settings.database_url)
