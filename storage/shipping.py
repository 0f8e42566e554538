"""Shipping: a sealed segment becomes a pack: stored, verified, recorded in a row, hinted, and only then unlinked.

Each step can be repeated, so after a crash at any point the spool is simply shipped again.
"""

from __future__ import annotations

import queue
import threading
import time
import uuid
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from pacs.logs import get
from storage.archive import Archive
from storage.database import Unavailable
from storage.hints import Hints
from storage.index.tables import facilities, packs
from storage.packnames import pack_key

log = get("shipping")
RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)


class UnknownFacility(Exception):
    """The facility of a segment is not in the database (any more)."""


def ship(archive: Archive, segment: Path) -> uuid.UUID:
    """Ship one sealed segment; raises OSError or a database error where a dependency is away."""
    pack_id, code = uuid.UUID(segment.stem), segment.parent.name
    key = pack_key(code, pack_id)
    size = segment.stat().st_size
    archive.objects.put_file(key, segment)
    with archive.database.begin() as connection:
        facility_id = connection.execute(select(facilities.c.id).where(facilities.c.code == code)).scalar()
        if facility_id is None:
            raise UnknownFacility(code)
        row = {"id": pack_id, "facility_id": facility_id, "key": key, "bytes": size, "hinted_at": func.now()}
        connection.execute(insert(packs).values(row).on_conflict_do_nothing())
    segment.unlink()
    return pack_id


AWAY: tuple[type[Exception], ...] = (OSError, UnknownFacility, *Unavailable)


class Shipper:
    """A thread that ships what is handed to it, and tries again for as long as a dependency is away."""

    def __init__(self, archive: Archive, hints: Hints) -> None:
        self._archive, self._hints = archive, hints
        self._queue: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shipper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, segment: Path) -> None:
        """Ship this segment soon. Never blocks."""
        self._queue.put(segment)

    def close(self, timeout_seconds: float = 30) -> None:
        """Ship what was handed over, as far as the time allows; the rest stays in the spool for the next start."""
        deadline = time.monotonic() + timeout_seconds
        self._queue.put(None)
        self._thread.join(max(0.0, timeout_seconds / 2))
        self._stopping.set()
        self._thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while (segment := self._queue.get()) is not None:
            self._ship_until_done(segment)

    def _ship_until_done(self, segment: Path) -> None:
        for attempt in range(10**9):
            try:
                pack_id = ship(self._archive, segment)
            except FileNotFoundError:
                return
            except AWAY as error:
                log.warning("ship_delayed", segment=segment.name, error=type(error).__name__)
                if self._stopping.wait(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)]):
                    return
            else:
                self._hints.index_pack(pack_id)
                return
