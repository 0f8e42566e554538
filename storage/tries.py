"""How often something may be tried within a minute, counted in the database: all processes and hosts count together."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from sqlalchemy import delete, func, insert, select

from pacs.errors import TongyingError
from storage.archive import Archive
from storage.index.tables import tries

WINDOW_SECONDS = 60.0


class TooManyTries(TongyingError):
    """Too many wrong passwords; wait so many `seconds`."""

    def __init__(self, text: str, seconds: float = WINDOW_SECONDS) -> None:
        super().__init__(text)
        self.seconds = seconds


def begin(archive: Archive, tries_max: int, *who: str) -> int:
    """Note a try before its slow comparison, so that many at once are many; the key to take it back by. Raises
    TooManyTries. What was tried is kept as a hash: people type passwords where names belong."""
    digest = hashlib.sha256("\0".join(who).encode(errors="replace")).digest()
    long_ago = tries.c.tried_at < func.now() - timedelta(seconds=WINDOW_SECONDS)
    with archive.database.begin() as connection:
        connection.execute(select(func.pg_advisory_xact_lock(int.from_bytes(digest[:8], signed=True))))
        connection.execute(delete(tries).where(long_ago))
        made = select(func.count()).select_from(tries).where(tries.c.who == digest)
        if connection.execute(made).scalar_one() >= tries_max:
            raise TooManyTries("Too many wrong passwords; wait a minute")
        key = connection.execute(insert(tries).values(who=digest).returning(tries.c.id)).scalar_one()
    return int(key)


def forget(archive: Archive, key: int) -> None:
    """It was no wrong one."""
    with archive.database.begin() as connection:
        connection.execute(delete(tries).where(tries.c.id == key))
