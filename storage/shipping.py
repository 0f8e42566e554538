"""Shipping: a sealed segment becomes a pack: stored, verified, recorded in a row, hinted, and only then unlinked.

Each step can be repeated, so after a crash at any point the spool is simply shipped again.
"""

from __future__ import annotations

import queue
import threading
import uuid
from pathlib import Path

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from pacs.logs import get
from storage.archive import Archive
from storage.database import Unavailable
from storage.hints import Hints
from storage.index.tables import facilities, packs
from storage.packnames import pack_key
from storage.spool import adopt_orphans

log = get("shipping")
RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 2.0)
ORPHAN_SECONDS = 5.0
AWAY: tuple[type[Exception], ...] = (OSError, *Unavailable)


def ship(archive: Archive, segment: Path) -> uuid.UUID:
    """Ship one sealed segment; raises OSError or a database error where a dependency is away."""
    pack_id, code = uuid.UUID(segment.stem), segment.parent.name
    key = pack_key(code, pack_id)
    size = segment.stat().st_size
    with archive.database.begin() as connection:  # asked first: no upload while the row could not be written
        facility_id = _facility(connection, code)
    archive.objects.put_file(key, segment)
    row = {"id": pack_id, "facility_id": facility_id, "key": key, "bytes": size, "hinted_at": func.now()}
    with archive.database.begin() as connection:
        connection.execute(insert(packs).values(row).on_conflict_do_nothing())
    segment.unlink()
    return pack_id


def _facility(connection: Connection, code: str) -> int:
    """Its key. One that the database does not know (a restored backup) is made: what was acknowledged is kept."""
    known = select(facilities.c.id).where(facilities.c.code == code)
    found = connection.execute(known).scalar()
    if found is None:
        connection.execute(insert(facilities).values(code=code, name=code).on_conflict_do_nothing())
        found = connection.execute(known).scalar_one()
    return int(found)


class Shipper:
    """A thread that ships what is handed to it, and tries again for as long as a dependency is away.

    One segment that cannot be shipped does not hold up the others: it goes to the end of the queue. When there is
    nothing else to do, the segments of spools whose owners are gone are shipped too.
    """

    def __init__(self, archive: Archive, hints: Hints) -> None:
        self._archive, self._hints = archive, hints
        self._queue: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._failures = 0  # in a row
        self._thread = threading.Thread(target=self._run, name="shipper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, segment: Path) -> None:
        """Ship this segment soon. Never blocks."""
        self._queue.put(segment)

    def close(self, timeout_seconds: float = 30) -> None:
        """Ship what was handed over, as far as the time allows; the rest stays in the spool for the next start."""
        self._queue.put(None)
        self._thread.join(timeout_seconds)
        self._stopping.set()
        self._thread.join(1)

    def _run(self) -> None:
        while True:
            try:
                segment = self._queue.get(timeout=ORPHAN_SECONDS)
            except queue.Empty:
                self._adopt()
                continue
            if segment is None:
                return
            self._try(segment)

    def _adopt(self) -> None:
        try:
            orphans = adopt_orphans(self._archive.settings.spool)
        except OSError as error:
            log.warning("orphans_not_adopted", error=type(error).__name__)
            return
        for orphan in orphans:
            self._try(orphan)

    def _try(self, segment: Path) -> None:
        try:
            pack_id = ship(self._archive, segment)
        except FileNotFoundError:
            return  # another process shipped it
        except AWAY as error:
            log.warning("ship_delayed", segment=segment.name, error=type(error).__name__)
            self._queue.put(segment)
            self._stopping.wait(RETRY_SECONDS[min(self._failures, len(RETRY_SECONDS) - 1)])
            self._failures += 1
        else:
            self._failures = 0
            self._hints.index_pack(pack_id)
