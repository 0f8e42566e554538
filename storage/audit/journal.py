"""A journal: the file in which a process keeps what it tells the audit trail until the database has it.

A line is a CRC-32 and the entry as JSON. What is written survives the end of the process, what is synced that of the
machine; many threads share a sync. A torn last line was never told to be kept.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pacs.audit import Entry, Place, encode, from_json

FOLDER = "audit"  # under the data directory
SUFFIX = ".journal"
DAMAGED = ".damaged"  # kept for an operator
TRIMMED_BYTES_MIN = 1024 * 1024  # a file that long is emptied once the database has all of it
READ_BYTES = 1024 * 1024
LINE_BYTES_MAX = 512 * 1024  # an entry has bounds of its own (pacs.audit)


@dataclass(frozen=True, slots=True)
class Told:
    """An entry in a journal, and where the next one begins in the file."""

    place: Place
    entry: Entry
    end: int


class Journal:
    """This process's own. Safe to share between threads."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.name = uuid.uuid4()
        self.path = folder / f"{self.name.hex}{SUFFIX}"
        beside = self.path.with_suffix(".new")  # nobody may find it before it is held
        self._file = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        beside.rename(self.path)
        self._lock, self._syncing = threading.Lock(), threading.Lock()
        self._written, self._synced, self._bytes = 0, 0, 0

    def append(self, entry: Entry, *, durable: bool) -> None:
        """Keep an entry; returns once it is on the disk, if it is to be `durable`. Raises OSError, and then it is not
        kept."""
        with self._lock:
            number = self._written + 1
            line = _line(number, entry)
            try:
                if os.write(self._file, line) != len(line):
                    raise OSError("a journal took half of a line")
            except OSError:
                os.ftruncate(self._file, self._bytes)
                raise
            self._written, self._bytes = number, self._bytes + len(line)
        if durable:
            self.sync(number)

    def sync(self, number: int = 0) -> None:
        """Have what was written up to this number, or all, on the disk."""
        with self._syncing:
            if self._synced >= (number or self._written):
                return  # another thread's sync took it along
            with self._lock:
                written = self._written
            os.fdatasync(self._file)
            self._synced = written

    def trim(self, taken_bytes: int) -> bool:
        """Empty the file if the database has all of it, and it is worth it."""
        with self._lock:
            if self._bytes < TRIMMED_BYTES_MIN or taken_bytes < self._bytes:
                return False
            os.ftruncate(self._file, 0)
            self._bytes = 0
            return True

    @property
    def bytes(self) -> int:
        return self._bytes

    def close(self, *, remove: bool) -> None:
        """Let go of it; what stays is taken in by whoever finds it."""
        if remove:
            self.path.unlink(missing_ok=True)
        os.close(self._file)


def _line(number: int, entry: Entry) -> bytes:
    said = str(number).encode() + b" " + encode(entry)
    return b"%08x %b\n" % (zlib.crc32(said), said)


def read(path: Path, start: int) -> Iterator[Told]:
    """The whole lines of a journal from a place in the file on, up to one that is torn or damaged."""
    journal, left = uuid.UUID(hex=path.stem).bytes, b""
    with path.open("rb") as file:
        file.seek(start)
        while piece := file.read(READ_BYTES):
            *lines, left = (left + piece).split(b"\n")
            for line in lines:
                start += len(line) + 1
                told = _parsed(journal, line, start)
                if told is None:
                    return
                yield told
            if len(left) > LINE_BYTES_MAX:
                return


def is_damaged(path: Path, end: int) -> bool:
    """Whether there are whole lines behind the last one that could be read: not a torn end, which nobody was told is
    kept."""
    with path.open("rb") as file:
        file.seek(end)
        return b"\n" in file.read()


def _parsed(journal: bytes, line: bytes, end: int) -> Told | None:
    said = line[9:]
    number, _, told = said.partition(b" ")
    try:
        if int(line[:8], 16) != zlib.crc32(said):
            return None
        return Told(Place(journal, int(number)), from_json(json.loads(told)), end)
    except (ValueError, TypeError, KeyError):
        return None


@contextmanager
def abandoned(folder: Path) -> Iterator[list[Path]]:
    """Journals whose processes are gone; nobody else takes them until the end of the block."""
    held: list[tuple[Path, int]] = []
    try:
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            try:
                file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                continue
            held.append((path, file))
        yield [path for path, _ in held if path.exists()]
    finally:
        for _, file in held:
            os.close(file)
