"""The database: one engine, one transaction a verb."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, exc

from pacs.settings import Settings
from storage.index import wall
from storage.index.behind import Wall

POOL_SIZE, OVERFLOW = (
    20,
    20,
)  # as many as there are threads that answer requests; these stay open, those do not
CONNECT_SECONDS = 5
STATEMENT_MS_MAX = 60_000  # no query may hold a connection for ever
RESTED_SECONDS = 5.0  # a connection that was not used for longer is asked whether it lives
RESTS = "rests since"

Unavailable: tuple[type[Exception], ...] = (
    exc.OperationalError,
    exc.InterfaceError,
)  # the database is away, or the connection was cut
AWAY: tuple[type[Exception], ...] = (OSError, *Unavailable)  # that, or a disk, broker or object store

Refused: tuple[type[Exception], ...] = (exc.DataError,)  # a NUL in a text, a number that no column can hold


class Database:
    """Connections to PostgreSQL. Safe to share between threads, not between processes."""

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self._readers = _engine(url, isolation_level="AUTOCOMMIT")
        event.listen(self._readers, "connect", wall.enter)
        self._reading = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._still = self.engine.execution_options(isolation_level="REPEATABLE READ")

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction: committed at the end of the block, rolled back by an exception."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """For one statement that only reads: no transaction around it, so one way to the database and back, not
        three. Each further statement may see what was committed in between."""
        with self._reading.connect() as connection:
            yield connection

    @contextmanager
    def read_behind(
        self, seen: Wall, *, listing: bool = False, plan: str = wall.AUTO
    ) -> Iterator[Connection]:
        """`read`, where PostgreSQL gives no more of studies and series than `seen` lets through. `listing`: as lists do
        (`storage.index.wall`); `plan`: whether it is kept."""
        with self._readers.connect() as connection:
            wall.go_behind(connection, seen, listing=listing, plan=plan)
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """For several statements that only read, and must all see the same moment."""
        with self._still.begin() as connection:
            yield connection

    def close(self) -> None:
        self.engine.dispose()
        self._readers.dispose()


def _engine(url: str, **more: Any) -> Engine:
    engine = create_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=OVERFLOW,
        pool_use_lifo=True,  # few connections that know their statements, rather than many that do not
        connect_args={"connect_timeout": CONNECT_SECONDS},
        **more,
    )
    event.listen(engine, "connect", _limit)
    _look_after(engine)
    return engine


def _limit(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET statement_timeout = {STATEMENT_MS_MAX}")
    connection.commit()


def _look_after(engine: Engine) -> None:
    """Before a connection is used again: where its server has said something (it says good-bye when it stops), or it
    rested for long, it is asked whether it lives. A new one takes the place of one that does not."""

    @event.listens_for(engine, "checkin")
    def rests(_connection: object, record: Any) -> None:
        record.info[RESTS] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def lives(connection: Any, record: Any, _proxy: object) -> None:
        since = record.info.get(RESTS)
        if since is None or not (
            _has_said_something(connection) or time.monotonic() - since > RESTED_SECONDS
        ):
            return
        try:
            engine.dialect.do_ping(connection)
        except psycopg.Error as error:  # of a closed one it may be any
            raise exc.InvalidatePoolError from error


def _has_said_something(connection: Any) -> bool:
    try:
        waiting = select.poll()
        waiting.register(connection.fileno(), select.POLLIN)
        return bool(waiting.poll(0))
    except psycopg.Error:  # it is closed
        return True


def open_database(settings: Settings) -> Database:
    """The database of the settings; `up` has put the embedded one's address there."""
    return Database(settings.database_url)
