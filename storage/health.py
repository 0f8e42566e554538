"""What waits, and for how long: for readiness, metrics and `tongying stats`."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, not_, select

from storage.archive import Archive
from storage.index.tables import incidents, packs


@dataclass(frozen=True, slots=True)
class Waiting:
    """Packs that are not indexed yet, the age of the oldest in seconds, those to be indexed anew, open incidents."""

    packs: int
    again: int
    oldest_seconds: float
    failed: int
    incidents: int


def waiting(archive: Archive) -> Waiting:
    """Raises a database error where the database is away."""
    with archive.database.begin() as connection:
        count, oldest = connection.execute(
            select(func.count(), func.min(packs.c.shipped_at)).where(
                packs.c.state == "shipped", not_(packs.c.again)
            )
        ).one()
        age = connection.execute(select(func.extract("epoch", func.now() - oldest))).scalar() if oldest else 0
        again = connection.execute(select(func.count()).where(packs.c.again)).scalar_one()
        failed = connection.execute(select(func.count()).where(packs.c.state == "failed")).scalar_one()
        open_ones = connection.execute(
            select(func.count()).where(incidents.c.resolved_at.is_(None))
        ).scalar_one()
    return Waiting(count, again, float(age or 0), failed, open_ones)
