"""The spool: where the node puts what it receives, before it answers 0x0000 (promise P1).

A record is appended to its facility's open segment and synced; how its instance comes in is `storage.reception`. None
of it needs the database, the broker, the object store or a parser.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pacs.errors import OutOfResources
from pacs.logs import get
from pacs.settings import Settings
from storage import records
from storage.packnames import new_pack_id, segment_name
from storage.segments import (
    Ahead,
    Buffers,
    FileReader,
    Segment,
    remove,
    sync_directory,
)

log = get("spool")
SPOOLS_MAX = 256  # of one node: its processes, and those of the one before that still ship
FREE_SPACE_SECONDS = 0.2  # how long a reading of the free space is believed

Sealed = Callable[[Path], None]
Lane = tuple[str, bool]  # facility, and whether it is urgent: no emergency waits for a backfill's segment


class Spool:
    """One process's spool directory. Only its owner (by a lock on the directory) writes in it: else BlockingIOError."""

    def __init__(self, root: Path, settings: Settings, on_sealed: Sealed) -> None:
        self.root = root
        self.settings = settings
        self._on_sealed = on_sealed
        self._open: dict[Lane, Segment] = {}
        self._lock = threading.Lock()
        self._free_read = (-1.0, 0)
        self._durable_directories: set[str] = set()
        self._closed = False
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._owner = os.open(root / ".owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._owner)
            raise
        sync_directory(root.parent)
        self._stop = threading.Event()
        self._sealer = threading.Thread(target=self._seal_ripe_ones, name="sealer", daemon=True)

    @staticmethod
    def unowned(settings: Settings, on_sealed: Sealed) -> Spool:
        """The first of this node's spools that has no owner: each process takes one. Raises OSError."""
        for number in range(SPOOLS_MAX):
            with contextlib.suppress(BlockingIOError):
                return Spool(settings.spool / f"{settings.node_name}.{number}", settings, on_sealed)
        raise OSError(errno.EBUSY, f"{SPOOLS_MAX} spools of {settings.node_name} have owners")

    def start(self) -> None:
        """Recover what an earlier run left, then seal segments as they ripen."""
        for path in recover(self.root):
            self._on_sealed(path)
        self._sealer.start()

    def close(self) -> None:
        """Seal everything and hand it over. What is still being received is refused: another process may own the
        directory from now on, and would take a new segment for one that a dead process left."""
        self._stop.set()
        if self._sealer.is_alive():
            self._sealer.join()
        with self._lock:
            self._closed = True
            lanes = list(self._open)
        for lane in lanes:
            self._seal(lane)
        os.close(self._owner)

    def append(self, lane: Lane, frame: bytes, body: Buffers, ahead: Ahead | None = None) -> None:
        """Append a record to the open segment of its facility and lane, and return when it is durable. The body lies
        there already if it was written `ahead`, and nobody took its place."""
        self.check_room(len(frame) + sum(len(b) for b in body))
        whole = ahead is not None and ahead.body_bytes == sum(len(b) for b in body)
        segment = ahead.segment if ahead is not None else self._segment(lane)
        end = segment.append_ahead(ahead, frame) if ahead is not None and whole else None
        while end is None:
            segment = self._segment(lane)
            end = segment.append([frame, *body])
            if end is None:
                self._seal(lane, segment)  # full, old or failed: the next round takes a new one
        segment.wait_durable(end)
        if segment.written >= self.settings.segment_bytes_max:
            self._seal(lane, segment)

    def ahead(self, lane: Lane, frame_bytes: int) -> Ahead | None:
        """Where a record of this lane may be written while it arrives, if it may."""
        return self._segment(lane).ahead(frame_bytes)

    def new_segment_path(self, lane: Lane) -> Path:
        """The path of a new segment, in a directory that is durable; raises OutOfResources."""
        if self._closed:
            raise OutOfResources("the node stops")
        facility, urgent = lane
        directory = self.root / facility
        if facility not in self._durable_directories or not directory.exists():
            try:
                directory.mkdir(mode=0o700, exist_ok=True)
                sync_directory(self.root)
            except OSError as error:
                raise OutOfResources(f"spool: {error.strerror}") from error
            self._durable_directories.add(facility)
        return directory / segment_name(new_pack_id(), urgent=urgent)

    def hand_over(self, path: Path) -> None:
        self._on_sealed(path)

    def check_room(self, wanted: int) -> None:
        """Raise OutOfResources if `wanted` bytes would leave less than `disk_free_bytes_min` (promise P2)."""
        when, free = self._free_read
        now = time.monotonic()
        if now - when > FREE_SPACE_SECONDS:
            try:
                stat = os.statvfs(self.root)
            except OSError as error:
                raise OutOfResources(f"spool: {error.strerror}") from error
            free = stat.f_bavail * stat.f_frsize
            self._free_read = (now, free)
        if free - wanted < self.settings.disk_free_bytes_min:
            raise OutOfResources("disk low")

    def _segment(self, lane: Lane) -> Segment:
        with self._lock:
            segment = self._open.get(lane)
            if segment is None:
                try:
                    segment = self._open[lane] = Segment(self.new_segment_path(lane))
                except OSError as error:
                    raise OutOfResources(f"spool: {error.strerror}") from error
            return segment

    def _seal(self, lane: Lane, expected: Segment | None = None) -> None:
        with self._lock:
            segment = self._open.get(lane)
            if segment is None or (expected is not None and segment is not expected):
                return
            del self._open[lane]
        if segment.seal():
            self._on_sealed(segment.path)
        else:
            remove(segment.path)

    def _seal_ripe_ones(self) -> None:
        limits = self.settings
        while not self._stop.wait(0.05):
            now = time.monotonic()
            with self._lock:
                segments = list(self._open.items())
            for lane, segment in segments:
                if segment.ripe(
                    now,
                    bytes_max=limits.segment_bytes_max,
                    idle_s_max=limits.segment_idle_ms_max / 1000,
                    age_s_max=limits.segment_age_ms_max / 1000,
                ):
                    self._seal(lane, segment)


def recover(root: Path) -> list[Path]:
    """What an earlier run left in a spool: its segments, cut back to their whole records."""
    for unfinished in root.glob("*/*.part"):
        unfinished.unlink(missing_ok=True)
    found = []
    for path in sorted(root.glob("*/*.seg")):
        with contextlib.suppress(
            FileNotFoundError
        ):  # the process that recovered it before has shipped it meanwhile
            if _recover_segment(path):
                found.append(path)
    return found


def _recover_segment(path: Path) -> bool:
    with FileReader(path) as reader:
        whole, count = 0, 0
        for record, _ in records.scan(reader, reader.size, facility=path.parent.name):
            whole, count = record.end, count + 1
        torn = reader.size - whole
    log.info("segment_recovered", segment=path.name, records=count, torn_bytes=torn)
    if not count:
        path.unlink()
        return False
    if torn:
        with path.open("r+b") as file:
            file.truncate(whole)
            os.fsync(file.fileno())
    return True


def adopt_orphans(parent: Path) -> list[Path]:
    """Segments of spools whose owners are gone (a killed import, a removed node), recovered."""
    found = []
    for root in sorted(p for p in parent.iterdir() if p.is_dir()) if parent.exists() else []:
        owner = os.open(root / ".owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            found += recover(root)
        finally:
            os.close(owner)
    return found
