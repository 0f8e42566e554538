"""Import: files, folders and ZIPs go the same way as what a modality sends. Resumable: a journal knows what is done."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol

from pacs.encoded import EncodedError, read_file_meta, read_head, read_instance
from pacs.errors import TongyingError, TooLarge
from storage.archive import Archive
from storage.contents import sop_of
from storage.intake import Intake
from storage.packnames import new_pack_id
from storage.reception import Reception
from storage.records import Origin

HEAD_BYTES = 64 * 1024  # enough for a preamble and a file meta group
CHUNK_BYTES = 1024 * 1024
ZIP_RATIO_MAX = 200  # more is a bomb, not a picture
SKIPPED_NAMES = frozenset({"DICOMDIR"})  # an index of the folder, whose files are imported themselves


@dataclass(frozen=True, slots=True)
class Source:
    """Something to import: a file, or a member of a ZIP."""

    name: str  # what the journal and messages call it
    path: Path
    member: str | None
    size: int
    changed_ns: int

    @property
    def key(self) -> str:
        """Changes when the file does."""
        return f"{self.size}\t{self.changed_ns}\t{self.name}"


@dataclass
class Imported:
    """What came of an import."""

    stored: int = 0
    already: int = 0
    ignored: int = 0  # no DICOM
    failed: list[str] = field(default_factory=list)


def find(paths: list[Path]) -> Iterator[Source]:
    """All that may be DICOM under these paths; links are not followed out of a folder."""
    for path in paths:
        if path.is_dir():
            unreadable: list[OSError] = []
            for folder, names, files in os.walk(path, onerror=unreadable.append):
                names.sort()
                for file in sorted(files):
                    yield from _sources(Path(folder) / file)
            for error in unreadable:  # taking it fails, and is told
                yield Source(str(error.filename), Path(error.filename), None, 0, 0)
        else:
            yield from _sources(path)


def _sources(path: Path) -> Iterator[Source]:
    if path.name.upper() in SKIPPED_NAMES or not path.is_file():
        return
    stat = path.stat()
    if path.suffix.lower() == ".zip" and zipfile.is_zipfile(path):
        for info in _members(path):
            name = f"{path}!{info.filename}" if info.filename else str(path)
            yield Source(name, path, info.filename, info.file_size, stat.st_mtime_ns)
    else:
        yield Source(str(path), path, None, stat.st_size, stat.st_mtime_ns)


def _members(path: Path) -> list[zipfile.ZipInfo]:
    """The files in a ZIP; of one whose directory is broken a nameless one, which then is told to have failed."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = [info for info in archive.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return [zipfile.ZipInfo("")]
    return [info for info in found if Path(info.filename).name.upper() not in SKIPPED_NAMES]


class Importer:
    """Takes sources in through a spool of its own. Use as a context."""

    def __init__(self, archive: Archive, facility: str, journal: Path) -> None:
        settings = archive.settings
        self._origin = Origin(facility, "IMPORT", settings.ae_title, "import")
        self._intake = Intake(archive, settings.spool / f"import-{new_pack_id().hex}")
        self._journal = _Journal(journal)
        self._open = _Opener()
        self._reception = self._intake.reception()
        self.result = Imported()

    def __enter__(self) -> Importer:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._open.close()
        self._reception.discard()
        self._intake.close(timeout_seconds=600)
        self._journal.close()

    def take(self, source: Source) -> None:
        """Import one source, or note why not. Raises OutOfResources when the disk is low."""
        if source.key in self._journal:
            self.result.already += 1
            return
        try:
            with self._open(source) as file:
                stored = take_in(self._reception, self._origin, file)
        except (
            EncodedError,
            TooLarge,
            zipfile.BadZipFile,
            zlib.error,
            OSError,
            KeyError,
            ValueError,
            RuntimeError,
        ) as error:
            self.result.failed.append(f"{source.name}: {_said(error)}")
            return
        if stored:
            self.result.stored += 1
            self._journal.add(source.key)
        else:
            self.result.ignored += 1


class Readable(Protocol):
    """A file, or what comes over a network like one."""

    def read(self, size: int, /) -> bytes: ...


def take_in(reception: Reception, origin: Origin, file: Readable) -> bool:
    """Store the instance in a file; durable on return. False, with nothing stored, if it is no DICOM.

    Raises EncodedError or InvalidUID for what cannot be read, TooLarge, OutOfResources, and what `file` raises.
    """
    head = file.read(HEAD_BYTES)
    found = identify(head)
    if found is None:
        return False
    take(reception, origin, found, head, file)
    return True


def take(reception: Reception, origin: Origin, found: Identity, head: bytes, rest: Readable) -> None:
    """Store an instance whose `head` was identified, and what follows it; durable on return. Raises as `take_in`."""
    reception.begin(origin, found.sop_class, found.sop_instance, found.transfer_syntax)
    _put(reception, head[found.dataset_offset :])
    while chunk := rest.read(CHUNK_BYTES):
        _put(reception, chunk)
    reception.commit()


def _put(reception: Reception, data: bytes) -> None:
    if data:
        reception.room(len(data))[:] = data
        reception.took(len(data))


@dataclass(frozen=True, slots=True)
class Identity:
    """What a file is called, and where its data set begins."""

    sop_class: str
    sop_instance: str
    transfer_syntax: str
    dataset_offset: int


def identify(head: bytes) -> Identity | None:
    """By the file meta group, or for files from before Part 10 by the data set itself; None if it is no DICOM. `head`:
    the first HEAD_BYTES, or all. Raises EncodedError."""
    if not _may_be_dicom(head):
        return None
    meta = read_file_meta(head)
    if 0x00020002 in meta and 0x00020003 in meta:
        begin = read_head(head)
        return Identity(meta[0x00020002], meta[0x00020003], begin.transfer_syntax, begin.dataset_offset)
    instance = read_instance(head)
    sop_instance, sop_class = sop_of(instance.attributes)
    return Identity(sop_class, sop_instance, instance.transfer_syntax, instance.dataset_offset)


def _may_be_dicom(head: bytes) -> bool:
    """With the prefix of PS3.10 7.1, or without it beginning with a low group."""
    if head[128:132] == b"DICM":
        return True
    return len(head) > 16 and head[:2] in (b"\x02\x00", b"\x08\x00") and head[3] == 0


class _Opener:
    """Opens sources; a ZIP stays open while its members follow each other, since its directory may be long."""

    def __init__(self) -> None:
        self._path = Path()
        self._zip: zipfile.ZipFile | None = None

    def __call__(self, source: Source) -> IO[bytes]:
        if source.member is None:
            return source.path.open("rb")
        if self._zip is None or self._path != source.path:
            self.close()
            self._path, self._zip = source.path, zipfile.ZipFile(source.path)
        info = self._zip.getinfo(source.member)
        if info.file_size > ZIP_RATIO_MAX * max(info.compress_size, 1) + CHUNK_BYTES:
            raise TooLarge("it is compressed beyond belief")
        return self._zip.open(info)

    def close(self) -> None:
        if self._zip is not None:
            self._zip.close()
        self._zip = None


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, TongyingError) else f"cannot be read ({type(error).__name__})"


class _Journal:
    """Names of what is stored, one a line, written after each is durable."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        known = (
            path.read_text(encoding="utf-8", errors="surrogateescape").splitlines() if path.exists() else []
        )
        self._known = set(known)
        self._file = path.open("a", encoding="utf-8", errors="surrogateescape")

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def add(self, key: str) -> None:
        if "\n" not in key:
            self._known.add(key)
            self._file.write(key + "\n")
            self._file.flush()

    def close(self) -> None:
        self._file.close()
