"""A reception: how one instance at a time comes into the spool, piece by piece.

Up to `object_memory_bytes_max` it is gathered in memory, and meanwhile written behind its facility's open segment
where nobody else is at work there. A larger one goes, as it arrives, to a segment of its own.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from isal.isal_zlib import crc32

from pacs.encoded import part10_header
from pacs.errors import OutOfResources, TooLarge
from storage import records
from storage.records import Origin, RecordHeader
from storage.segments import Ahead, begin_writeback, remove, sync_directory, write_all
from storage.spool import Lane, Spool

BUFFER_BYTES = 1024 * 1024  # of a reception, from its first bytes on
# So much of an instance goes to the disk while the rest arrives; less costs more calls.
AHEAD_BYTES = 192 * 1024


class Reception:
    """Receives one instance at a time. `begin`, then `room` and `took` for each piece, then `commit`."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._buffer = bytearray()
        self._length = 0
        self._large: _LargeObject | None = None
        self._header: bytes | None = None  # of the record, encoded
        self._part10 = b""
        self._crc = 0  # of the Part 10 file as far as it came
        self._lane: Lane = ("", False)
        self._ahead: Ahead | None = None
        self._ahead_bytes = 0  # of the buffer, that were written ahead

    def begin(
        self, origin: Origin, sop_class: str, sop_instance: str, transfer_syntax: str, *, urgent: bool = False
    ) -> None:
        """Start an instance; raises OutOfResources early when the disk is low."""
        self.discard()
        self._lane = (origin.facility, urgent)
        self._spool.check_room(0)
        sendable = origin.calling.isascii() and origin.calling.isprintable() and len(origin.calling) <= 16
        source_ae = origin.calling if sendable else ""
        self._part10 = part10_header(sop_class, sop_instance, transfer_syntax, source_ae=source_ae)
        self._crc = crc32(self._part10)
        self._header = RecordHeader(
            origin, time.time_ns(), sop_class, sop_instance, transfer_syntax, len(self._part10)
        ).encode()

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
        """`length` bytes were put where `room` said. They are summed here, while the sender sends the next ones."""
        start, self._length = self._length, self._length + length
        self._crc = crc32(memoryview(self._buffer)[start : self._length], self._crc)
        if self._length - self._ahead_bytes >= AHEAD_BYTES:
            self._write_ahead()

    def commit(self) -> None:
        """Make the instance durable; on return it may be acknowledged. Raises OutOfResources."""
        assert self._header is not None, "begin first"
        header, self._header = self._header, None
        if self._large is not None:
            self._large.write(memoryview(self._buffer)[: self._length])
            large, self._large = self._large, None
            self._spool.hand_over(large.finish(self._crc))
        else:
            body = memoryview(self._buffer)[: self._length]
            if self._ahead is not None and self._ahead_bytes < self._length:
                self._write_ahead(more=False)
            frame = records.frame_encoded(header, len(self._part10) + len(body), self._crc)
            self._spool.append(self._lane, frame, [self._part10, body], self._ahead)
            self._ahead = None
        self._length = 0

    def discard(self) -> None:
        """Forget an instance that did not arrive whole."""
        self._length, self._header = 0, None
        self._ahead_bytes = 0
        if self._ahead is not None:
            self._ahead.give_up()
            self._ahead = None
        if self._large is not None:
            self._large.abandon()
            self._large = None
        if len(self._buffer) > self._spool.settings.object_memory_bytes_max:
            self._buffer = bytearray()

    def close(self) -> None:
        """Receive no more. The buffer goes at once: associations are cycles, which Python collects late."""
        self.discard()
        self._buffer = bytearray()

    def _write_ahead(self, *, more: bool = True) -> None:
        """What came since, if there is a place for it. All of it stays in memory too: the place may be taken, or the
        disk may refuse, and then `commit` appends the whole."""
        piece = memoryview(self._buffer)[self._ahead_bytes : self._length]
        try:
            if self._ahead_bytes:
                written = self._ahead is not None and self._ahead.write([piece], more=more)
            else:
                written = self._begin_ahead(piece)
        except OutOfResources:  # `commit` will tell
            written = False
        if written:
            self._ahead_bytes = self._length
        else:
            self._ahead, self._ahead_bytes = None, sys.maxsize

    def _begin_ahead(self, piece: memoryview) -> bool:
        assert self._header is not None, "begin first"
        self._ahead = self._spool.ahead(self._lane, records.FIXED_BYTES + len(self._header))
        return self._ahead is not None and self._ahead.write([self._part10, piece], more=True)

    def _spill(self) -> None:
        assert self._header is not None, "begin first"
        if self._ahead is not None:
            self._ahead.give_up()
            self._ahead = None
        self._ahead_bytes = sys.maxsize
        if self._large is None:
            path = self._spool.new_segment_path(self._lane)
            self._large = _LargeObject(path, self._header, self._part10, self._spool)
        self._large.write(memoryview(self._buffer)[: self._length])
        self._length = 0


class _LargeObject:
    """A record written piece by piece into a segment of its own; its frame is written last, at the start."""

    def __init__(self, path: Path, header: bytes, part10: bytes, spool: Spool) -> None:
        self.path, self._header, self._spool = path.with_suffix(".part"), header, spool
        self._length = 0
        self._start = records.FIXED_BYTES + len(header)
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
            begin_writeback(self._file, self._start + self._length, len(data))
        except OSError as error:
            raise OutOfResources(f"spool write: {error.strerror}") from error
        self._length += len(data)

    def finish(self, crc: int) -> Path:
        """Write the frame, sync, and give the path of the whole segment; `crc` is that of all that was written."""
        try:
            write_all(self._file, [records.frame_encoded(self._header, self._length, crc)], 0)
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
