"""Claims: what one worker is at, no other begins. A claim is a lock of a database connection, so that a worker which
dies lets go of it at once, however it died."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import BigInteger, bindparam, func, select

from storage.archive import Archive

# Built once, which takes longer than to run them.
_TRY_LOCK = select(func.pg_try_advisory_lock(bindparam("key", type_=BigInteger)))
_UNLOCK = select(func.pg_advisory_unlock(bindparam("key", type_=BigInteger)))
_THUMBNAIL, _PROGRESSIVE = 1 << 61, 1 << 62  # beyond all numbers of series; a pack's key is negative


def of_pack(pack_id: uuid.UUID) -> int:
    """The key of the claim to index a pack."""
    return int.from_bytes(pack_id.bytes[8:], "big", signed=True)


def of_thumbnail(series_pk: int) -> int:
    """The key of the claim to make a series' thumbnail."""
    return _THUMBNAIL | series_pk


def of_progressive(series_pk: int) -> int:
    """The key of the claim to make a series' HTJ2K renditions."""
    return _PROGRESSIVE | series_pk


@contextmanager
def claimed(archive: Archive, key: int) -> Iterator[bool]:
    """Whether it is ours for the block: no other worker is at it."""
    with archive.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        mine = bool(connection.execute(_TRY_LOCK, {"key": key}).scalar())
        try:
            yield mine
        finally:
            if mine:
                connection.execute(_UNLOCK, {"key": key})
