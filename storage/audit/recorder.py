"""The recorder: what a process tells the audit trail, kept at once in its journal, and soon in the database.

Who shows something tells it first: once `record` returns, the entry outlives this process and this machine. Pictures do
not wait for the disk (`note`).
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Hashable
from itertools import islice
from pathlib import Path

from pacs.audit import Entry, Place
from pacs.logs import get
from pacs.settings import Settings
from storage.audit.anchor import Forged
from storage.audit.chain import move_anchor, take_in
from storage.audit.journal import DAMAGED, FOLDER, Journal, Told, abandoned, is_damaged, read
from storage.audit.recent import Recent
from storage.blobs import ObjectStore
from storage.database import AWAY, Database

log = get("audit")
BATCH = 500  # entries of one transaction
LOOK_SECONDS = 1.0  # at the latest after so long a journal is looked at
GATHER_SECONDS = 0.1  # what comes within it is written together
NOT_ANCHORED: tuple[type[Exception], ...] = (Forged, *AWAY)
AGAIN_SECONDS = 2.0  # after the database was away
CLOSE_SECONDS = 5.0


class Recorder:
    """One for each process; made without a file or a thread, which come with the first entry. Safe to share between
    threads."""

    def __init__(self, settings: Settings, database: Database, objects: ObjectStore) -> None:
        self._settings, self._database, self._objects = settings, database, objects
        self._folder = settings.data.absolute() / FOLDER
        self._lock = threading.Lock()
        self._journal: Journal | None = None
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._more, self._unsynced, self._stop = threading.Event(), threading.Event(), threading.Event()
        self._taken_bytes = 0  # of the journal, which the database has
        self.recent = Recent()

    def record(self, entry: Entry, *, durable: bool = True) -> None:
        """Keep an entry. Where the disk does not take it the database must, at once; raises OSError or a database error
        where neither does."""
        try:
            self._opened().append(entry, durable=durable)
        except OSError as error:
            log.error("audit_journal_failed", reason=error.strerror or str(error))
            place = Place(uuid.uuid4().bytes, 1)
            take_in(self._database, self._settings, self._objects, [Told(place, entry, 0)])
            return
        self._more.set()

    def note(self, entry: Entry) -> bool:
        """Keep an entry without a wait, for who must not wait: once this returns it outlives the process, and once
        `sync_soon` was called and a moment went by, the machine. False where the disk does not take it: `record` it
        then."""
        try:
            self._opened().append(entry, durable=False)
        except OSError:
            return False
        return True

    def sync_soon(self) -> None:
        """See to what was noted, in other threads: to wake them costs whoever is about to answer more than the note."""
        self._unsynced.set()
        self._more.set()

    def start(self) -> None:
        """Open the journal now, not with the first entry. Raises OSError."""
        self._opened()

    def record_once(self, entry: Entry, key: Hashable, *, durable: bool = True) -> None:
        """The same for what happens again and again: once within `recent.SECONDS`."""
        if not self.recent.has(key):
            self.record(entry, durable=durable)
            self.recent.note(key)

    def _opened(self) -> Journal:
        with self._lock:
            if self._journal is None or self._pid != os.getpid():  # a fork has a journal of its own
                self._journal, self._pid, self._taken_bytes = Journal(self._folder), os.getpid(), 0
                self._more, self._unsynced, self._stop = (
                    threading.Event(),
                    threading.Event(),
                    threading.Event(),
                )
                self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
                self._thread.start()
                syncing = (self._journal, self._unsynced, self._stop)
                threading.Thread(target=_sync, args=syncing, name="audit-sync", daemon=True).start()
            return self._journal

    def _run(self) -> None:
        while True:
            if not self._more.wait(LOOK_SECONDS) and not self._waits:
                continue
            stopping = self._stop.wait(GATHER_SECONDS)
            self._more.clear()
            try:
                self._take_in()
            except AWAY as error:
                log.warning("audit_delayed", error=type(error).__name__)
                self._more.set()
                stopping = stopping or self._stop.wait(AGAIN_SECONDS)
            except Exception as error:
                log.error("audit_failed", exc_info=error)
                self._more.set()
                stopping = stopping or self._stop.wait(AGAIN_SECONDS)
            if stopping:
                return

    @property
    def _waits(self) -> bool:
        """Whether there is something that nobody told of (`note` without `sync_soon`)."""
        return self._journal is not None and self._journal.bytes > self._taken_bytes

    def _take_in(self) -> None:
        journal = self._journal
        assert journal is not None, "it is opened before the thread starts"
        self._taken_bytes = self._all_of(journal.path, self._taken_bytes)
        if journal.trim(self._taken_bytes):
            self._taken_bytes = 0

    def _all_of(self, path: Path, start: int) -> int:
        """Take a journal in from a place on; where it ended."""
        told = read(path, start)
        while batch := list(islice(told, BATCH)):
            take_in(self._database, self._settings, self._objects, batch)
            start = batch[-1].end
        return start

    def recover(self) -> int:
        """Take in what processes that are gone left; how many journals. Raises OSError or a database error."""
        if not self._folder.is_dir():
            return 0
        with abandoned(self._folder) as paths:
            for path in paths:
                if is_damaged(path, self._all_of(path, 0)):
                    log.error("audit_journal_damaged", journal=path.stem)
                    path.rename(path.with_suffix(DAMAGED))
                else:
                    path.unlink()
        return len(paths)

    def anchor(self) -> bool:
        """Note outside of the database how far the trail goes; whether it moved. Raises anchor.Forged."""
        return move_anchor(self._database, self._settings, self._objects)

    def close(self) -> None:
        """Give the database what it has not; what it does not take now waits in the journal."""
        journal = self._journal
        if journal is None or self._pid != os.getpid() or self._thread is None:
            return
        self._stop.set()
        self._more.set()
        self._unsynced.set()
        self._thread.join(CLOSE_SECONDS)
        done = not self._thread.is_alive() and self._taken_bytes >= journal.bytes
        journal.close(remove=done)
        self._journal = None
        try:
            if done:
                self.anchor()
        except NOT_ANCHORED as error:
            log.warning("audit_not_anchored", error=type(error).__name__)


def _sync(journal: Journal, unsynced: threading.Event, stop: threading.Event) -> None:
    """Sync what was noted without a wait, as soon as it is there."""
    while True:
        unsynced.wait()
        if stop.is_set():
            return
        unsynced.clear()
        try:
            journal.sync()
        except OSError as error:  # the next entry that must be durable tells its caller
            log.warning("audit_not_synced", reason=error.strerror)
