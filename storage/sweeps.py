"""Sweeps: the periodic queries that do what lost hints did not (promise P6)."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select, update

from storage.archive import Archive
from storage.hints import Hints
from storage.index.tables import packs, series

HINT_SECONDS = 10  # a pack that waits this long after its last hint is hinted again
QUIET_SECONDS = 3  # a series that has not grown for this long gets its thumbnail made anew
BATCH = 200
DERIVE_TRIES_MAX = 3


def sweep(archive: Archive, hints: Hints) -> int:
    """Hint again what waits; returns how many hints were sent."""
    with archive.database.begin() as connection:
        waiting = (
            select(packs.c.id)
            .where(
                packs.c.state == "shipped", packs.c.hinted_at < func.now() - timedelta(seconds=HINT_SECONDS)
            )
            .order_by(packs.c.hinted_at)
            .limit(BATCH)
            .with_for_update(skip_locked=True)
        )
        late = (
            connection.execute(
                update(packs)
                .where(packs.c.id.in_(waiting))
                .values(hinted_at=func.now())
                .returning(packs.c.id)
            )
            .scalars()
            .all()
        )
        underived = connection.execute(
            select(series.c.id)
            .where(
                series.c.derived_count < series.c.instance_count,
                series.c.derive_tries < DERIVE_TRIES_MAX,
                series.c.updated_at < func.now() - timedelta(seconds=QUIET_SECONDS),
            )
            .order_by(series.c.updated_at)
            .limit(BATCH)
        ).scalars().all()  # fmt: skip
    for pack_id in late:
        hints.index_pack(pack_id)
    for series_pk in underived:
        hints.derive_series(series_pk)
    return len(late) + len(underived)
