"""Shipping: a sealed segment becomes a pack: stored, verified, recorded in a row, hinted, and only then unlinked.

Each step can be repeated, so after a crash at any point the spool is simply shipped again.
"""

from __future__ import annotations

import threading
import time
import uuid
from pathlib import Path

from sqlalchemy import Connection, func
from sqlalchemy.dialects.postgresql import insert

from pacs.logs import get
from storage.archive import Archive
from storage.database import AWAY
from storage.hints import Hints
from storage.index.tables import facilities, facility_key, packs
from storage.lanes import SegmentQueue
from storage.packnames import is_urgent, pack_key, pack_of
from storage.spool import adopt_orphans

log = get("shipping")
RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 2.0)
ORPHAN_SECONDS = 5.0


def ship(archive: Archive, segment: Path) -> uuid.UUID:
    """Ship one sealed segment; raises OSError or a database error where a dependency is away."""
    pack_id, code = pack_of(segment), segment.parent.name
    key = pack_key(code, pack_id)
    size = segment.stat().st_size
    with archive.database.begin() as connection:  # asked first: no upload while the row could not be written
        facility_id = facility_of(connection, code)
    archive.objects.put_file(key, segment)
    row = {
        "id": pack_id, "facility_id": facility_id, "key": key, "bytes": size, "urgent": is_urgent(segment),
        "hinted_at": func.now(),
    }  # fmt: skip
    with archive.database.begin() as connection:
        connection.execute(insert(packs).values(row).on_conflict_do_nothing())
    segment.unlink()
    return pack_id


def facility_of(connection: Connection, code: str) -> int:
    """Its key. One that the database does not know (a restored backup) is made: what was acknowledged is kept."""
    known = facility_key(code)
    found = connection.execute(known).scalar()
    if found is None:
        connection.execute(insert(facilities).values(code=code, name=code).on_conflict_do_nothing())
        found = connection.execute(known).scalar_one()
    return int(found)


class Shipper:
    """Threads that ship what is handed to them, facilities by turns, and try again for as long as a dependency is away.

    One segment that cannot be shipped does not hold up the others: it goes to the end of its facility's line. One of
    the threads ships urgent segments only, so that they need not wait for the upload of a large one. When there is
    nothing else to do, the segments of spools whose owners are gone are shipped too.
    """

    def __init__(self, archive: Archive, hints: Hints) -> None:
        self._archive, self._hints = archive, hints
        self._queue = SegmentQueue()
        self._stopping = threading.Event()
        self._failures = 0  # in a row
        self._threads = [
            threading.Thread(target=self._run, args=(urgent,), name=name, daemon=True)
            for name, urgent in (("shipper", False), ("shipper-urgent", True))
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def submit(self, segment: Path) -> None:
        """Ship this segment soon. Never blocks."""
        self._queue.put(segment)

    def close(self, timeout_seconds: float = 30) -> None:
        """Ship what was handed over, as far as the time allows; the rest stays in the spool for the next start."""
        self._queue.close()
        deadline = time.monotonic() + timeout_seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._stopping.set()
        for thread in self._threads:
            thread.join(1)

    def _run(self, urgent_only: bool) -> None:
        while not self._stopping.is_set():
            segment = self._queue.get(ORPHAN_SECONDS, urgent_only=urgent_only)
            if segment is not None:
                self._try(segment)
            elif self._queue.closed:
                return
            elif not urgent_only:
                self._adopt()

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
            if self._queue.closed:
                return  # it stays in the spool for the next start
            self._queue.put(segment)
            self._stopping.wait(RETRY_SECONDS[min(self._failures, len(RETRY_SECONDS) - 1)])
            self._failures += 1
        else:
            self._failures = 0
            self._hints.index_pack(pack_id, urgent=is_urgent(segment))
