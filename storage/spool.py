"""The spool: where the node puts what it receives, before it answers 0x0000 (promise P1).

An instance up to `object_memory_bytes_max` is gathered in memory and appended to its facility's open segment.
A larger one is written, as it arrives, to a segment of its own. Neither way needs the database, the broker,
the object store or a parser.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path

from pacs.encoded import part10_header
from pacs.errors import OutOfResources, TooLarge
from pacs.logs import get
from pacs.settings import Settings
from storage import records
from storage.packnames import new_pack_id, segment_name
from storage.records import Origin, RecordHeader
from storage.segments import FileReader, Segment, remove, sync_directory, write_all

log = get("spool")
BUFFER_BYTES = 1024 * 1024  # of a reception, from its first bytes on
FREE_SPACE_SECONDS = 0.2  # how long a reading of the free space is believed

Sealed = Callable[[Path], None]
Lane = tuple[str, bool]  # facility, and whether it is urgent: no emergency waits for a backfill's segment


class Spool:
    """One process's spool directory. Only its owner (by a lock on the directory) writes in it."""

    def __init__(self, root: Path, settings: Settings, on_sealed: Sealed) -> None:
        self.root = root
        self.settings = settings
        self._on_sealed = on_sealed
        self._open: dict[Lane, Segment] = {}
        self._lock = threading.Lock()
        self._free_read = (-1.0, 0)
        self._durable_directories: set[str] = set()
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._owner = os.open(root / ".owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        sync_directory(root.parent)
        self._stop = threading.Event()
        self._sealer = threading.Thread(target=self._seal_ripe_ones, name="sealer", daemon=True)

    def start(self) -> None:
        """Recover what an earlier run left, then seal segments as they ripen."""
        for path in recover(self.root):
            self._on_sealed(path)
        self._sealer.start()

    def close(self) -> None:
        """Seal everything and hand it over. Nothing may be received any more."""
        self._stop.set()
        if self._sealer.is_alive():
            self._sealer.join()
        with self._lock:
            lanes = list(self._open)
        for lane in lanes:
            self._seal(lane)
        os.close(self._owner)

    def reception(self) -> Reception:
        """A place to receive instances in, one after the other; one for each association."""
        return Reception(self)

    def append(self, lane: Lane, buffers: list[bytes | bytearray | memoryview]) -> None:
        """Append a record to the open segment of its facility and lane, and return when it is durable."""
        self.check_room(sum(len(b) for b in buffers))
        while True:
            segment = self._segment(lane)
            end = segment.append(buffers)
            if end is not None:
                break
            self._seal(lane, segment)  # full, old or failed: the next round takes a new one
        segment.wait_durable(end)
        if segment.written >= self.settings.segment_bytes_max:
            self._seal(lane, segment)

    def new_segment_path(self, lane: Lane) -> Path:
        """The path of a new segment, in a directory that is durable; raises OutOfResources."""
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


class Reception:
    """Receives one instance at a time. `begin`, then `room` and `took` for each piece, then `commit`."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._buffer = bytearray()
        self._length = 0
        self._large: _LargeObject | None = None
        self._header: RecordHeader | None = None
        self._part10 = b""
        self._urgent = False

    def begin(
        self, origin: Origin, sop_class: str, sop_instance: str, transfer_syntax: str, *, urgent: bool = False
    ) -> None:
        """Start an instance; raises OutOfResources early when the disk is low."""
        self.discard()
        self._urgent = urgent
        self._spool.check_room(0)
        sendable = origin.calling.isascii() and origin.calling.isprintable() and len(origin.calling) <= 16
        source_ae = origin.calling if sendable else ""
        self._part10 = part10_header(sop_class, sop_instance, transfer_syntax, source_ae=source_ae)
        self._header = RecordHeader(
            origin, time.time_ns(), sop_class, sop_instance, transfer_syntax, len(self._part10)
        )

    def room(self, length: int) -> memoryview:
        """Where the next `length` bytes of the data set go; raises TooLarge or OutOfResources."""
        needed = self._length + length
        if needed > self._spool.settings.object_memory_bytes_max:
            self._spill()
            needed = length
        if needed > len(self._buffer):
            self._buffer += bytes(max(needed, BUFFER_BYTES, 2 * len(self._buffer)) - len(self._buffer))
        return memoryview(self._buffer)[needed - length : needed]

    def took(self, length: int) -> None:
        """`length` bytes were put where `room` said."""
        self._length += length

    def commit(self) -> None:
        """Make the instance durable; on return it may be acknowledged. Raises OutOfResources."""
        assert self._header is not None, "begin first"
        header, self._header = self._header, None
        if self._large is not None:
            self._large.write(memoryview(self._buffer)[: self._length])
            large, self._large = self._large, None
            self._spool.hand_over(large.finish())
        else:
            body = memoryview(self._buffer)[: self._length]
            crc = zlib.crc32(body, zlib.crc32(self._part10))
            before = records.frame(header, len(self._part10) + len(body), crc) + self._part10
            self._spool.append((header.origin.facility, self._urgent), [before, body])
        self._length = 0

    def discard(self) -> None:
        """Forget an instance that did not arrive whole."""
        self._length, self._header = 0, None
        if self._large is not None:
            self._large.abandon()
            self._large = None
        if len(self._buffer) > self._spool.settings.object_memory_bytes_max:
            self._buffer = bytearray()

    def close(self) -> None:
        """Receive no more. The buffer goes at once: associations are cycles, which Python collects late."""
        self.discard()
        self._buffer = bytearray()

    def _spill(self) -> None:
        assert self._header is not None, "begin first"
        if self._large is None:
            path = self._spool.new_segment_path((self._header.origin.facility, self._urgent))
            self._large = _LargeObject(path, self._header, self._part10, self._spool)
        self._large.write(memoryview(self._buffer)[: self._length])
        self._length = 0


class _LargeObject:
    """A record written piece by piece into a segment of its own; its frame is written last, at the start."""

    def __init__(self, path: Path, header: RecordHeader, part10: bytes, spool: Spool) -> None:
        self.path, self._header, self._spool = path.with_suffix(".part"), header, spool
        self._crc, self._length = 0, 0
        self._start = len(records.frame(header, 0, 0))
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise OutOfResources(f"spool: {error.strerror}") from error
        try:
            self.write(memoryview(part10))
        except (OutOfResources, TooLarge):
            self.abandon()
            raise

    def write(self, data: memoryview) -> None:
        self._spool.check_room(len(data))
        if self._length + len(data) > self._spool.settings.object_bytes_max:
            raise TooLarge(f"an object of more than {self._spool.settings.object_bytes_max} bytes")
        try:
            write_all(self._file, [data], self._start + self._length)
        except OSError as error:
            raise OutOfResources(f"spool write: {error.strerror}") from error
        self._crc = zlib.crc32(data, self._crc)
        self._length += len(data)

    def finish(self) -> Path:
        """Write the frame, sync, and give the path of the whole segment."""
        try:
            write_all(self._file, [records.frame(self._header, self._length, self._crc)], 0)
            os.fsync(self._file)
            whole = self.path.rename(self.path.with_suffix(".seg"))
            sync_directory(self.path.parent)
        except OSError as error:
            self.abandon()
            remove(self.path.with_suffix(".seg"))
            raise OutOfResources(f"spool sync: {error.strerror}") from error
        os.close(self._file)
        return whole

    def abandon(self) -> None:
        os.close(self._file)
        remove(self.path)


def recover(root: Path) -> list[Path]:
    """What an earlier run left in a spool: its segments, cut back to their whole records."""
    for unfinished in root.glob("*/*.part"):
        unfinished.unlink()
    return [path for path in sorted(root.glob("*/*.seg")) if _recover_segment(path)]


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
