"""Erasing: the bytes of what was erased leave the object store. The pack is written anew without them, under a new key.

Until the rows change from the one object to the other, in one transaction, nothing has happened; afterwards the old
object is swept like all whose place others took. Killed at any step it begins again: the work is found in the rows.
"""

from __future__ import annotations

import tempfile
import uuid
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import IO

from pacs.errors import ObjectMissing
from pacs.logs import get
from storage import contents, records
from storage.archive import Archive
from storage.blobs import ObjectReader
from storage.claims import claimed, of_pack
from storage.contents import Entry
from storage.index import erasures, rejections, removes
from storage.index.writes import PackRow
from storage.packnames import contents_key, metadata_key, pack_key, pack_named, part_keys
from storage.records import Record
from storage.recycling import expire

log = get("erasing")
PACKS_MAX = 8  # of one turn
READ_BYTES = 4 * 1024 * 1024
Range = tuple[int, int]
"""Where it begins, and where it ends."""


class _Changed(Exception):
    """The pack is no longer what was read: the next turn looks anew."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What is taken out of a pack."""

    records: tuple[Record, ...]

    @property
    def gone(self) -> frozenset[int]:
        """Where the records and their bodies lay."""
        return frozenset(at for r in self.records for at in (r.offset, r.body_offset))

    def kept(self, size: int) -> list[Range]:
        """The ranges between; damage between records is kept too."""
        edges = [0, *(edge for r in self.records for edge in (r.offset, r.end)), size]
        return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b]

    def moved(self, offset: int) -> int:
        """Where something lies afterwards."""
        before = bisect_right(self._ends(), offset)
        return offset - (self._sums()[before - 1] if before else 0)

    def _ends(self) -> list[int]:
        return [r.end for r in self.records]

    def _sums(self) -> list[int]:
        return list(accumulate(r.end - r.offset for r in self.records))


def erase_due(archive: Archive) -> int:
    """End what was kept for its time, and take the bytes of what was erased out of some packs; how many packs."""
    expire(archive)
    with archive.database.begin() as connection:
        due = rejections.doomed_packs(connection, PACKS_MAX)
    done = 0
    for pack_id in due:
        with claimed(archive, of_pack(pack_id)) as mine:
            done += mine and _erase(archive, pack_id)
    return done


def _erase(archive: Archive, pack_id: uuid.UUID) -> bool:
    try:
        left = erase_from(archive, pack_id)
    except (_Changed, ObjectMissing) as error:
        log.warning("erasing_delayed", pack=str(pack_id), error=type(error).__name__)
        return False
    if left is not None:
        log.info("pack_erased_from", pack=str(pack_id), bytes_left=left)
    return left is not None


def erase_from(archive: Archive, pack_id: uuid.UUID) -> int | None:
    """Take what was erased out of a pack; the bytes that are left of it, None if there was nothing to do. Raises
    ObjectMissing, OSError or a database error where something is away."""
    with archive.database.begin() as connection:
        pack = erasures.find_pack(connection, pack_id)
        doomed = rejections.doomed_in(connection, pack_id)
    if pack is None or not doomed:
        return None
    cut, size = _cut(archive, pack, doomed)
    kept = cut.kept(size)
    if not kept:
        _remove(archive, pack, doomed)
        return 0
    key = _next_key(pack)
    with archive.database.begin() as connection:
        erasures.announce(connection, pack.facility_id, key)
    left = _write_anew(archive, pack, kept, key)
    _replace(archive, pack, doomed, cut, key, left)
    return left


def _cut(archive: Archive, pack: PackRow, doomed: set[int]) -> tuple[Cut, int]:
    """Also what is damaged is erased, as long as its header tells where it ends."""
    reader = ObjectReader(archive.objects, pack.key)
    found = [records.of_body(reader, offset, reader.size) for offset in sorted(doomed)]
    cut = Cut(tuple(record for record in found if record is not None))
    if len(cut.records) != len(doomed):
        raise _Changed
    return cut, reader.size


def _next_key(pack: PackRow) -> str:
    named = pack_named(pack.key)
    assert named is not None, "a pack's row names a pack"
    facility, pack_id, writing = named
    return pack_key(facility, pack_id, writing + 1)


def _write_anew(archive: Archive, pack: PackRow, kept: list[Range], key: str) -> int:
    """Its size in bytes. It is gathered in a nameless file: who is killed leaves nothing behind."""
    with tempfile.TemporaryFile() as file:
        for piece in _pieces(archive, pack, kept):
            file.write(piece)
        file.flush()
        archive.objects.put_file(key, _path_of(file))
        return file.tell()


def _path_of(file: IO[bytes]) -> Path:
    return Path(f"/proc/self/fd/{file.fileno()}")


def _pieces(archive: Archive, pack: PackRow, kept: list[Range]) -> Iterator[bytes]:
    for start, stop in kept:
        for at in range(start, stop, READ_BYTES):
            length = min(READ_BYTES, stop - at)
            piece = archive.objects.read_range(pack.key, at, length)
            if len(piece) < length:
                raise OSError(5, f"{length - len(piece)} bytes are missing in {pack.key}")
            yield piece


def _replace(archive: Archive, pack: PackRow, doomed: set[int], cut: Cut, key: str, size: int) -> None:
    with archive.database.begin() as connection:
        rejections.take_turn(connection, pack.facility_id, alone=True)
        now = erasures.find_pack(connection, pack.id, lock=True)
        if now is None or now.key != pack.key or not doomed <= rejections.doomed_in(connection, pack.id):
            raise _Changed
        if not erasures.claim(connection, key):
            raise _Changed
        old = [pack.key]
        for one in erasures.fragments_of(connection, pack.id):
            was, told = (make(one.series_pk, pack.id, one.edition) for make in (contents_key, metadata_key))
            entries = [_at_new_place(e, cut) for e in contents.decode(archive.objects.get(was), pack.id)]
            archive.objects.put(contents_key(one.series_pk, pack.id, now.edition), contents.encode(entries))
            archive.objects.put(metadata_key(one.series_pk, pack.id, now.edition), archive.objects.get(told))
            erasures.set_fragment(connection, now, one.series_pk)
            old += part_keys(one.series_pk, pack.id, one.edition)
        erasures.replace_pack(connection, now, key, size, cut.gone, cut.moved)
        removes.supersede(connection, pack.facility_id, old)


def _at_new_place(entry: Entry, cut: Cut) -> Entry:
    assert entry.offset not in cut.gone, "what is erased is in no contents"
    return replace(entry, offset=cut.moved(entry.offset))


def _remove(archive: Archive, pack: PackRow, doomed: set[int]) -> None:
    """A pack that holds nothing else goes as a whole."""
    with archive.database.begin() as connection:
        rejections.take_turn(connection, pack.facility_id, alone=True)
        now = erasures.find_pack(connection, pack.id, lock=True)
        same = now is not None and now.key == pack.key
        if not same or not doomed <= rejections.doomed_in(connection, pack.id):
            raise _Changed
        if erasures.fragments_of(connection, pack.id):
            raise _Changed
        erasures.remove_pack(connection, pack)
        removes.supersede(connection, pack.facility_id, [pack.key])
