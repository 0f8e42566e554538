"""Objects as files of one directory."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pacs.errors import ObjectMissing
from storage.packnames import new_pack_id
from storage.segments import sync_directory


class LocalStore:
    """Files; a put is written beside, synced and renamed, so that a key is whole or absent."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def put(self, key: str, data: bytes) -> None:
        path = self._place(key)
        beside = path.with_name(f".{path.name}.{new_pack_id().hex}")
        with beside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
        sync_directory(path.parent)

    def put_file(self, key: str, path: Path) -> None:
        """On one file system this is a link: no byte moves, so there is nothing to verify."""
        place = self._place(key)
        if place.exists() and place.stat().st_size == path.stat().st_size:
            return
        beside = place.with_name(f".{place.name}.{new_pack_id().hex}")
        try:
            os.link(path, beside)
        except OSError:
            self._copy(path, beside)
        beside.rename(place)
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()  # renaming one link onto another of the same file leaves both (rename(2))
        sync_directory(place.parent)

    def get(self, key: str) -> bytes:
        with self._missing(key):
            return self._path(key).read_bytes()

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        with self._missing(key):
            file = os.open(self._path(key), os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(file, length, offset)
        finally:
            os.close(file)

    def size(self, key: str) -> int:
        with self._missing(key):
            return self._path(key).stat().st_size

    def delete(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    def keys(self, prefix: str) -> Iterator[str]:
        found = (p for p in self._root.rglob("*") if p.is_file() and not p.name.startswith("."))
        yield from sorted(
            k for k in (p.relative_to(self._root).as_posix() for p in found) if k.startswith(prefix)
        )

    def _path(self, key: str) -> Path:
        path = self._root / key
        if ".." in path.parts or path.is_relative_to(self._root) is False:
            raise ObjectMissing(key)
        return path

    def _place(self, key: str) -> Path:
        path = self._path(key)
        if not path.parent.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            for parent in path.parent.relative_to(self._root).parents:
                sync_directory(self._root / parent)
        return path

    @staticmethod
    def _copy(source: Path, target: Path) -> None:
        """Across file systems: copy, sync, and compare what is there with what was meant."""
        with source.open("rb") as read, target.open("xb") as write:
            shutil.copyfileobj(read, write, 1024 * 1024)
            write.flush()
            os.fsync(write.fileno())
        from storage.blobs.digest import file_md5

        if file_md5(source) != file_md5(target):
            target.unlink()
            raise OSError(5, "the copy differs from its source")

    @staticmethod
    @contextlib.contextmanager
    def _missing(key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise ObjectMissing(key) from None
