"""Object stores behind one interface. `tests/integration/storage/test_blobs.py` is the behaviour that all share.

Keys are relative paths of letters, digits and `._-/`; no part begins with a dot. Objects are immutable: what is put
twice under one key is the same, or a rendition made anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from pacs.settings import Settings
from storage.blobs.lent import Piece
from storage.blobs.rows import Span


class ObjectStore(Protocol):
    """The interface. Methods raise ObjectMissing for an unknown or unusable key, OSError where the store is away."""

    window_bytes: int  # a read of so many takes hardly longer than one of a few

    def put(self, key: str, data: bytes) -> None:
        """Store a small object; durable, and whole or not at all."""

    def put_file(self, key: str, path: Path) -> None:
        """Store a file's bytes, verified; the file stays where it is. Safe to repeat."""

    def get(self, key: str) -> bytes:
        """All bytes."""

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`; fewer only at the object's end."""

    def read_spans(self, spans: Iterable[Span]) -> Iterator[bytes]:
        """The bytes of each in turn, as `read_range` gives them and with its errors. Those that lie in a row are asked
        for together; no more than one is held here."""

    def lend_spans(self, spans: Iterable[Span]) -> Iterator[Piece]:
        """The same, for what is sent on: lent until the next one is asked for (`storage.blobs.lent`). Where an
        object ends too early, OSError is raised when such a piece is asked for or used."""

    def map_range(self, key: str, offset: int, length: int) -> memoryview:
        """The same for a range that is too large for memory: read when it is looked at (`storage.blobs.mapping`).
        Raises OSError where the object ends before it."""

    def size(self, key: str) -> int:
        """In bytes."""

    def delete(self, key: str) -> None:
        """Remove it; an unknown key is no error."""

    def keys(self, prefix: str) -> Iterator[str]:
        """All keys under a prefix, sorted."""


class ObjectReader:
    """Positioned reads of one object, for `records.scan`, through a window so that a scan costs few reads."""

    def __init__(self, store: ObjectStore, key: str, *, window_bytes: int | None = None) -> None:
        self._store, self._key, self._window = store, key, window_bytes or store.window_bytes
        self._start, self._data = 0, b""
        self.size = store.size(key)

    def read_at(self, offset: int, length: int) -> bytes:
        start = offset - self._start
        if start < 0 or start + length > len(self._data):
            if length >= self._window:
                return self._store.read_range(self._key, offset, length)
            self._start, start = offset, 0
            self._data = self._store.read_range(self._key, offset, self._window)
        return self._data[start : start + length]


def open_store(settings: Settings) -> ObjectStore:
    """The store that the settings name."""
    name = settings.object_store
    if name.startswith("s3://"):
        from storage.blobs.s3 import S3Store

        return S3Store.from_settings(settings)
    from storage.blobs.local import LocalStore

    return LocalStore(Path(name.removeprefix("file:")) if name else settings.data / "objects")
