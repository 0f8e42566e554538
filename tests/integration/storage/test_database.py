"""Connections that the server closed while they rested are not noticed by who asks next."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from sqlalchemy import text

from storage.archive import Archive
from storage.database import Database

ENDED_MS_MAX = 10_000  # in which a backend has said good-bye
OTHERS = text(f"SELECT pg_terminate_backend(pid, {ENDED_MS_MAX}) FROM pg_stat_activity "
              "WHERE pid <> pg_backend_pid() AND datname = current_database()")  # fmt: skip


@pytest.mark.parametrize("how", [Database.read, Database.begin], ids=["read", "begin"])
@pytest.mark.parametrize("closed", ["by the server", "here"])
def test_a_closed_connection_is_replaced(archive: Archive, how: Callable[..., Any], closed: str) -> None:
    database = archive.database
    with ExitStack() as stack:  # several in the pool
        connections = [stack.enter_context(database.begin()) for _ in range(3)]
        held = [connection.connection.dbapi_connection for connection in connections]
    if closed == "here":
        for one in held:
            assert one is not None
            one.close()
    else:
        other = Database(archive.settings.database_url)
        with other.begin() as connection:
            connection.execute(OTHERS)
        other.close()
    for _ in range(4):
        with how(database) as connection:
            assert connection.execute(text("SELECT 1")).scalar_one() == 1
