"""Echoes: is a remote there? Asked by a row, since the API may stand where hospitals are not reached; the process that
calls remotes answers it (C-ECHO, PS3.7 9.1.5)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, update

from pacs.errors import NotFound
from storage.archive import Archive
from storage.index.exchange import remotes
from storage.remotes import DICOM, Remote, remotes_by_id

PATIENCE_SECONDS = 20.0  # of who asked
LOOK_SECONDS = 0.2
STALE_SECONDS = 60  # nobody waits for the answer any more
ERROR_CHARACTERS_MAX = 500


@dataclass(frozen=True, slots=True)
class Echo:
    """What came of one."""

    answered: bool
    milliseconds: int | None
    error: str  # why it did not answer
    at: datetime | None  # when; None: nobody has asked it yet, since the exchange does not run or is busy


def ask(archive: Archive, remote_id: int, patience_seconds: float = PATIENCE_SECONDS) -> Echo:
    """Ask, and wait for the answer; raises NotFound."""
    asking = update(remotes).where(remotes.c.id == remote_id, remotes.c.kind == DICOM)
    with archive.database.begin() as connection:
        asked = connection.execute(asking.values(echo_asked_at=func.now()).returning(remotes.c.echo_asked_at))
        since = asked.scalar()
    if since is None:
        raise NotFound("there is no such remote")
    columns = (remotes.c.echo_at, remotes.c.echo_ms, remotes.c.echo_error)
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        with archive.database.begin() as connection:
            row = connection.execute(select(*columns).where(remotes.c.id == remote_id)).one_or_none()
        if row is None:
            raise NotFound("there is no such remote")
        if row.echo_at is not None and row.echo_at >= since:
            return Echo(not row.echo_error, row.echo_ms, row.echo_error, row.echo_at)
    return Echo(False, None, "the exchange process has not answered: does it run?", None)


def asked(archive: Archive) -> list[Remote]:
    """Those that somebody waits for."""
    due = (
        remotes.c.echo_asked_at > func.now() - timedelta(seconds=STALE_SECONDS),
        func.coalesce(remotes.c.echo_at < remotes.c.echo_asked_at, True),
    )
    with archive.database.begin() as connection:
        ids = set(connection.execute(select(remotes.c.id).where(*due)).scalars())
    return list(remotes_by_id(archive, ids).values())


def answer(archive: Archive, remote: Remote, milliseconds: int | None, error: str) -> None:
    """Note what came of it."""
    values = {
        "echo_at": func.clock_timestamp(),
        "echo_ms": milliseconds,
        "echo_error": error[:ERROR_CHARACTERS_MAX],
    }
    with archive.database.begin() as connection:
        connection.execute(update(remotes).where(remotes.c.id == remote.id).values(values))
