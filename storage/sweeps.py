"""Sweeps: the periodic queries that do what lost hints did not (promise P6)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, case, delete, func, not_, or_, select, update

from storage.archive import Archive
from storage.hints import Hints
from storage.index.tables import packs, series, superseded
from storage.performed import recount
from storage.progression import waits
from storage.renditions import QUIET_SECONDS, TRIES_MAX

HINT_SECONDS = 10  # what waits this long after its last hint is hinted again
BATCH = 200
AGAIN_HINTS_MAX = 8  # of a sweep, for what is indexed anew
SUPERSEDED_SECONDS = 600  # after which nobody reads an object any more that another one took the place of
INDEX_HINTS_MAX = 16  # of a sweep: each keeps a worker busy for a while, whatever it names


def sweep(archive: Archive, hints: Hints) -> int:
    """Hint again what waits, and count what devices announced; returns how many hints were sent."""
    with archive.database.begin() as connection:
        late = _late_packs(connection)
        again = _packs_again(connection)
        underived = _underived_series(connection)
        progressive = _wants_renditions(archive, connection)
    for pack_id, urgent in late:
        hints.index_pack(pack_id, urgent=urgent)
    for pack_id in again:
        hints.index_pack(pack_id)
    for series_pk in underived:
        hints.derive_series(series_pk)
    for _ in range(progressive):
        hints.make_progressive()
    recount(archive)
    remove_superseded(archive)
    return len(late) + len(again) + len(underived) + progressive


def _wants_renditions(archive: Archive, connection: Connection) -> int:
    """How many workers may go at them now: half of them, so that others are free for what comes."""
    settings = archive.settings
    wanted = settings.rendition_bytes_min > 0 and waits(connection, settings.rendition_quiet_seconds)
    return max(1, settings.worker_processes // 2) if wanted else 0


def _long_ago() -> ColumnElement[datetime]:
    return func.now() - timedelta(seconds=HINT_SECONDS)


def _late_packs(connection: Connection) -> list[tuple[uuid.UUID, bool]]:
    """Some of those whose hints may be lost, each with whether it is urgent. Of one that was tried the time stays,
    since it says when the next try is due (`storage.lanes`): noted anew here, it would never be."""
    waiting = (
        select(packs.c.id)
        .where(packs.c.state == "shipped", not_(packs.c.again), packs.c.hinted_at < _long_ago())
        .order_by(packs.c.urgent.desc(), packs.c.hinted_at)
        .limit(INDEX_HINTS_MAX)
        .with_for_update(skip_locked=True)
    )
    again = case((packs.c.tries == 0, func.now()), else_=packs.c.hinted_at)
    noted = update(packs).where(packs.c.id.in_(waiting)).values(hinted_at=again)
    return [(i, u) for i, u in connection.execute(noted.returning(packs.c.id, packs.c.urgent))]


def _packs_again(connection: Connection) -> Sequence[uuid.UUID]:
    """That there are some is what a hint says; which one is next, the worker decides."""
    return connection.execute(select(packs.c.id).where(packs.c.again).limit(AGAIN_HINTS_MAX)).scalars().all()


def remove_superseded(archive: Archive) -> int:
    """Remove objects whose place others took a while ago; how many."""
    old = superseded.c.since < func.now() - timedelta(seconds=SUPERSEDED_SECONDS)
    with archive.database.begin() as connection:
        due = select(superseded.c.key).where(old).limit(BATCH).with_for_update(skip_locked=True)
        keys = connection.execute(due).scalars().all()
        for key in keys:
            archive.objects.delete(key)
        if keys:
            connection.execute(delete(superseded).where(superseded.c.key.in_(keys)))
    return len(keys)


def _underived_series(connection: Connection) -> Sequence[int]:
    waiting = (
        select(series.c.id)
        .where(
            series.c.derived_count < series.c.instance_count,
            series.c.derive_tries < TRIES_MAX,
            series.c.updated_at < func.now() - timedelta(seconds=QUIET_SECONDS),
            or_(series.c.hinted_at.is_(None), series.c.hinted_at < _long_ago()),
        )
        .order_by(series.c.updated_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    noted = update(series).where(series.c.id.in_(waiting)).values(hinted_at=func.now())
    return connection.execute(noted.returning(series.c.id)).scalars().all()
