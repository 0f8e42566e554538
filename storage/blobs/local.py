"""Objects as files of one directory."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from pacs.errors import ObjectMissing
from storage.blobs.digest import file_md5
from storage.blobs.keys import checked
from storage.blobs.lent import Extent
from storage.blobs.mapping import map_file
from storage.blobs.rows import Span
from storage.packnames import new_pack_id
from storage.segments import sync_directory


class LocalStore:
    """Files; a put is written beside, synced and renamed, so that a key is whole or absent."""

    window_bytes = 4 * 1024

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def put(self, key: str, data: bytes) -> None:
        with self._beside(key) as beside, beside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def put_file(self, key: str, path: Path) -> None:
        """On one file system this is a link: no byte moves, so there is nothing to verify."""
        with self._beside(key) as beside:
            try:
                os.link(path, beside)
            except OSError:
                _copy(path, beside)

    def get(self, key: str) -> bytes:
        with _missing(key):
            return self._path(key).read_bytes()

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        with _missing(key):
            file = self._opened(key)
            try:
                return os.pread(file, length, offset)
            finally:
                os.close(file)

    def read_spans(self, spans: Iterable[Span]) -> Iterator[bytes]:
        return (self.read_range(*span) for span in spans)

    def lend_spans(self, spans: Iterable[Span]) -> Iterator[Extent]:
        for key, of_one in groupby(spans, key=lambda span: span[0]):
            with _missing(key):
                file = self._opened(key)
            try:
                size = os.fstat(file).st_size
                for _, offset, length in of_one:
                    if offset + length > size:
                        raise OSError(errno.EIO, f"{key} ends too early")
                    yield Extent(file, offset, length)
            finally:
                os.close(file)

    def _opened(self, key: str) -> int:
        """For each instance that is indexed: a Path would take as long as the read."""
        return os.open(f"{self._root}/{checked(key)}", os.O_RDONLY | os.O_CLOEXEC)

    def map_range(self, key: str, offset: int, length: int) -> memoryview:
        with _missing(key), self._path(key).open("rb") as file:
            return map_file(file.fileno(), offset, length)

    def size(self, key: str) -> int:
        with _missing(key):
            status = self._path(key).stat()
        if not stat.S_ISREG(status.st_mode):
            raise ObjectMissing(key)
        return status.st_size

    def delete(self, key: str) -> None:
        with contextlib.suppress(ObjectMissing), _missing(key):
            self._path(key).unlink()

    def keys(self, prefix: str) -> Iterator[str]:
        folder = prefix.rpartition("/")[0]
        if folder:
            with contextlib.suppress(ObjectMissing):
                yield from self._keys_in(self._path(folder), prefix)
        else:
            yield from self._keys_in(self._root, prefix)

    def _keys_in(self, folder: Path, prefix: str) -> list[str]:
        files = (p for p in folder.rglob("*") if not p.name.startswith(".") and p.is_file())
        names = (p.relative_to(self._root).as_posix() for p in files)
        return sorted(n for n in names if n.startswith(prefix))

    def _path(self, key: str) -> Path:
        return self._root / checked(key)

    @contextlib.contextmanager
    def _beside(self, key: str) -> Iterator[Path]:
        """A name to write under; what is there at the end of the block becomes the object."""
        place = self._place(key)
        beside = place.with_name(f".{place.name}.{new_pack_id().hex}")
        try:
            yield beside
            beside.rename(place)
        finally:
            # After a failure; and renaming one link onto another of the same file leaves both (rename(2)).
            beside.unlink(missing_ok=True)
        sync_directory(place.parent)

    def _place(self, key: str) -> Path:
        path = self._path(key)
        if not path.parent.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            for parent in path.parent.relative_to(self._root).parents:
                sync_directory(self._root / parent)
        return path


def _copy(source: Path, target: Path) -> None:
    """Across file systems: copy, sync, and compare what is there with what was meant."""
    with source.open("rb") as read, target.open("xb") as write:
        shutil.copyfileobj(read, write, 1024 * 1024)
        write.flush()
        os.fsync(write.fileno())
    if file_md5(source) != file_md5(target):
        raise OSError(5, "the copy differs from its source")


@contextlib.contextmanager
def _missing(key: str) -> Iterator[None]:
    """No such file, or a folder of other keys on the way."""
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise ObjectMissing(key) from None
