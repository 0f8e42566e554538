"""A segment: an append-only file of the spool, with group commit.

Appends are serialised, so the file is always a row of whole records and perhaps a torn tail. Many threads
may wait for durability at once: one of them syncs for all (group commit).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from mmap import PAGESIZE
from pathlib import Path

from pacs.errors import OutOfResources

SYNC_FILE_RANGE_WRITE = 2
NO_WRITEBACK = (errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.ESPIPE)  # it is not to be had here
Buffers = Sequence[bytes | bytearray | memoryview]


class FileReader:
    """Positioned reads of one file."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self._file).st_size

    def read_at(self, offset: int, length: int) -> bytes:
        return os.pread(self._file, length, offset)

    def close(self) -> None:
        os.close(self._file)

    def __enter__(self) -> FileReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Segment:
    """An open segment. After `seal` it takes no more; after a failed sync it is truncated to what was durable."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            sync_directory(path.parent)
        except OSError:
            os.close(self._file)
            remove(path)
            raise
        self._cond = threading.Condition()
        self._syncing = False
        self._failed = False
        self._sealed = False
        self._ahead: Ahead | None = None
        self._shared = False  # a place was taken by another one's record
        self._tail = False  # there may be bytes behind the last record
        self.written = 0  # bytes appended
        self.durable = 0  # bytes known to be on the disk
        self.opened = self.touched = time.monotonic()

    def append(self, buffers: Buffers) -> int | None:
        """Append one record; returns the end offset to pass to `wait_durable`, or None if it is sealed.

        Raises OutOfResources if the file system refuses; the segment is then as it was before.
        """
        with self._cond:
            if self._sealed or self._failed:
                return None
            if self._ahead is not None:
                self._ahead, self._shared = None, True
            end = self.written + self._write(buffers, self.written)
            return self._appended(end)

    def ahead(self, frame_bytes: int) -> Ahead | None:
        """The place of the next record, whose frame has this size; None if there is none, or somebody has it. Where two
        are at work on a segment they would only take it from each other: then nobody gets it any more."""
        with self._cond:
            if self._sealed or self._failed or self._shared or self._ahead is not None:
                return None
            self._ahead = Ahead(self, self.written, frame_bytes)
            self._tail = True
            return self._ahead

    def write_ahead(self, ahead: Ahead, buffers: Buffers, *, more: bool) -> bool:
        """Write the next bytes of a record's body; False if its place was taken. Where `more` will come, the disk
        begins, with whole pages only: the kernel makes who writes to a page wait while it is on its way."""
        with self._cond:
            if self._ahead is not ahead:
                return False
            ahead.end += self._write(buffers, ahead.end)
            whole = ahead.end - ahead.end % PAGESIZE
            if more and whole > ahead.begun:
                self._begin(ahead.begun, whole)
                ahead.begun = whole
            return True

    def _begin(self, start: int, end: int) -> None:
        try:
            begin_writeback(self._file, start, end - start)
        except OSError as error:
            # As after a failed fsync: the next one may say that all is well, and must not be believed.
            self._ahead, self._failed = None, True
            raise OutOfResources(f"spool write: {error.strerror}") from error

    def append_ahead(self, ahead: Ahead, frame: bytes) -> int | None:
        """The body was written ahead as a whole: append its record, as `append` does; None if its place was taken."""
        with self._cond:
            if self._ahead is not ahead or self._failed:
                return None
            self._ahead = None
            self._write([frame], ahead.start)
            return self._appended(ahead.end)

    def leave_ahead(self, ahead: Ahead) -> None:
        with self._cond:
            if self._ahead is ahead:
                self._ahead = None

    def _appended(self, end: int) -> int:
        self.written = end
        self.touched = time.monotonic()
        return end

    def _write(self, buffers: Buffers, offset: int) -> int:
        try:
            return write_all(self._file, buffers, offset)
        except OSError as error:
            self._ahead, self._tail = None, True
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self.written)
            raise OutOfResources(f"spool write: {error.strerror}") from error

    def wait_durable(self, end: int) -> None:
        """Return when all bytes up to `end` are on the disk; raises OutOfResources if they never will be."""
        with self._cond:
            while self.durable < end:
                if self._failed:
                    raise OutOfResources("spool sync failed")
                if self._syncing:
                    self._cond.wait()
                    continue
                self._syncing, target = True, self.written
                self._sync_unlocked(target)

    def _sync_unlocked(self, target: int) -> None:
        self._cond.release()
        failed = True
        try:
            os.fdatasync(self._file)
            failed = False
        except OSError:
            # After a failed fsync the kernel may have dropped the pages: never try again, never acknowledge.
            pass
        finally:
            self._cond.acquire()
            self._syncing = False
            self._failed = self._failed or failed
            if not failed:
                self.durable = max(self.durable, target)
            self._cond.notify_all()

    def ripe(self, now: float, *, bytes_max: int, idle_s_max: float, age_s_max: float) -> bool:
        """Whether it should be sealed: failed, full, quiet or old."""
        with self._cond:
            if self._failed:
                return True
            if not self.written:  # what was written ahead and given up must not keep the disk
                return self._tail and self._ahead is None and now - self.touched >= idle_s_max
            return (
                self.written >= bytes_max
                or now - self.touched >= idle_s_max
                or now - self.opened >= age_s_max
            )

    def seal(self) -> int:
        """Close it for appends; returns the bytes that are durable, to which it is then cut."""
        with self._cond:
            self._sealed, self._ahead = True, None
            end = self.written
        with contextlib.suppress(OutOfResources):
            self.wait_durable(end)
        if self.durable < self.written or self._tail:
            # Where that fails too the tail stays: it was never acknowledged, and whole records in it do no harm.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self.durable)
        with contextlib.suppress(OSError):
            os.close(self._file)
        return self.durable


class Ahead:
    """A record whose body is written behind the end of a segment as it arrives, so that the disk is at work meanwhile.

    Whoever appends something else takes the place: then the record is appended as any other. The bytes are no record
    until `append_ahead` puts the frame before them, and a crash before that leaves a torn tail.
    """

    def __init__(self, segment: Segment, start: int, frame_bytes: int) -> None:
        self.segment, self.start, self.frame_bytes = segment, start, frame_bytes
        self.end = start + frame_bytes
        self.begun = (
            self.end - self.end % -PAGESIZE
        )  # where writing to the disk begins: behind the frame's page

    @property
    def body_bytes(self) -> int:
        """As far as they are written."""
        return self.end - self.start - self.frame_bytes

    def write(self, buffers: Buffers, *, more: bool) -> bool:
        """The next bytes of the body; False if the place was taken. Raises OutOfResources."""
        return self.segment.write_ahead(self, buffers, more=more)

    def give_up(self) -> None:
        """There will be no such record: the place is free."""
        self.segment.leave_ahead(self)


def begin_writeback(file: int, offset: int, length: int) -> None:
    """Ask the kernel to begin writing a range to the disk; it does not wait, and promises nothing (sync_file_range(2),
    Linux). Elsewhere, and on file systems that do not know it, nothing happens. Raises OSError where writing failed."""
    if _sync_file_range is None or _sync_file_range(file, offset, length, SYNC_FILE_RANGE_WRITE) == 0:
        return
    if (number := ctypes.get_errno()) not in NO_WRITEBACK:
        raise OSError(number, os.strerror(number))


def _linux_sync_file_range() -> Callable[[int, int, int, int], int] | None:
    if sys.platform != "linux":
        return None
    call = ctypes.CDLL(None, use_errno=True).sync_file_range
    call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return call


_sync_file_range = _linux_sync_file_range()


def remove(path: Path) -> None:
    """Remove what nobody was told of. Where that fails the next start of the spool does it."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def write_all(file: int, buffers: Buffers, offset: int) -> int:
    """Write all buffers at `offset`; returns the number of bytes. A short write is continued."""
    total = sum(len(b) for b in buffers)
    done = os.pwritev(file, list(buffers), offset)
    if done < total:
        rest = memoryview(b"".join(buffers))
        while done < total:
            step = os.pwrite(file, rest[done:], offset + done)
            if step == 0:
                raise OSError(5, "the file system took no bytes")
            done += step
    return total


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
