"""A segment: an append-only file of the spool, with group commit.

Appends are serialised, so the file is always a row of whole records and perhaps a torn tail. Many threads
may wait for durability at once: one of them syncs for all (group commit).
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from pacs.errors import OutOfResources

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
            try:
                end = self.written + write_all(self._file, buffers, self.written)
            except OSError as error:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._file, self.written)
                raise OutOfResources(f"spool write: {error.strerror}") from error
            self.written = end
            self.touched = time.monotonic()
            return end

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
        failed = False
        try:
            os.fdatasync(self._file)
        except OSError:
            # After a failed fsync the kernel may have dropped the pages: never try again, never acknowledge.
            failed = True
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
            if not self.written:
                return False
            return (
                self.written >= bytes_max
                or now - self.touched >= idle_s_max
                or now - self.opened >= age_s_max
            )

    def seal(self) -> int:
        """Close it for appends; returns the bytes that are durable, to which it is then cut."""
        with self._cond:
            self._sealed = True
            end = self.written
        with contextlib.suppress(OutOfResources):
            self.wait_durable(end)
        if self.durable < self.written:
            # Where that fails too the tail stays: it was never acknowledged, and whole records in it do no harm.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self.durable)
        with contextlib.suppress(OSError):
            os.close(self._file)
        return self.durable


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
