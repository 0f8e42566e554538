"""Retrieve: the one door out. Locators become a few range reads, and bytes as they were received."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from pacs.access import Principal
from pacs.attributes import Level
from pacs.encoded import inflate_dataset
from pacs.errors import NotFound
from pacs.query import Equal, Query, attribute
from storage.archive import Archive
from storage.contents import Entry, in_display_order
from storage.index.tables import packs
from storage.search import Found, search

DEFLATED = "1.2.840.10008.1.2.1.99"
READ_BYTES = 4 * 1024 * 1024  # of one read from the object store
GAP_BYTES_MAX = 64 * 1024  # what lies between two instances is read over rather than sought over


@dataclass(frozen=True, slots=True)
class Located:
    """An instance, and where its pack is."""

    entry: Entry
    key: str  # of the pack in the object store
    study_uid: str
    series_uid: str


def find_series(archive: Archive, principal: Principal, study_uid: str, series_uid: str = "") -> list[Found]:
    """The series of a study that may be seen; raises NotFound if there is none, or none that may."""
    matches = [Equal(attribute("StudyInstanceUID"), (study_uid,))]
    if series_uid:
        matches.append(Equal(attribute("SeriesInstanceUID"), (series_uid,)))
    found = search(archive, Query(Level.SERIES, tuple(matches)), principal)
    if not found:
        raise NotFound("there is no such study" if not series_uid else "there is no such series")
    return found


def locate(archive: Archive, principal: Principal, study_uid: str, series_uid: str = "",
           sop_instance: str = "") -> list[Located]:  # fmt: skip
    """The instances of a study, a series, or one, in display order; raises NotFound."""
    found = find_series(archive, principal, study_uid, series_uid)
    located = [
        instance
        for row in found
        for instance in series_instances(archive, row)
        if sop_instance in ("", instance.entry.sop_instance)
    ]
    if not located:
        raise NotFound("there is no such instance")
    return located


def series_instances(archive: Archive, row: Found) -> list[Located]:
    """The shown instances of one series, in display order."""
    with archive.database.begin() as connection:
        entries = [e for e in archive.entries(connection, row.series_pk) if not e.conflict]
        keys = _pack_keys(connection, entries)
    return [Located(e, keys[e.pack], row.study_uid, row.series_uid) for e in in_display_order(entries)]


def _pack_keys(connection: Any, entries: list[Entry]) -> dict[Any, str]:
    ids = list({e.pack for e in entries})
    rows = connection.execute(select(packs.c.id, packs.c.key).where(packs.c.id.in_(ids)))
    return {row.id: row.key for row in rows}


def read_part10(archive: Archive, located: Located) -> bytes:
    """One instance as it was received: the Part 10 bytes."""
    entry = located.entry
    return archive.objects.read_range(located.key, entry.offset, entry.length)


def stream(archive: Archive, located: list[Located]) -> Iterator[tuple[Located, memoryview, bool]]:
    """Many instances as received: pieces in pack order, each with whether it begins an instance.

    Neighbours in a pack are read together, so a series costs few reads; no piece is larger than READ_BYTES.
    """
    ordered = sorted(located, key=lambda one: (one.key, one.entry.offset))
    for run in _runs(ordered):
        if run[-1].entry.offset + run[-1].entry.length - run[0].entry.offset <= READ_BYTES:
            yield from _read_together(archive, run)
        else:
            yield from _read_in_pieces(archive, run[0])


def _runs(ordered: list[Located]) -> Iterator[list[Located]]:
    """Neighbours that fit into one read; an instance that does not is a run of its own."""
    run: list[Located] = []
    for next_one in ordered:
        if run and not _fits(run, next_one):
            yield run
            run = []
        run.append(next_one)
    if run:
        yield run


def _fits(run: list[Located], next_one: Located) -> bool:
    start, last, new = run[0].entry, run[-1].entry, next_one.entry
    near = next_one.key == run[0].key and new.offset - (last.offset + last.length) <= GAP_BYTES_MAX
    return near and new.offset + new.length - start.offset <= READ_BYTES


def _read_together(archive: Archive, run: list[Located]) -> Iterator[tuple[Located, memoryview, bool]]:
    start, last = run[0].entry.offset, run[-1].entry
    data = memoryview(archive.objects.read_range(run[0].key, start, last.offset + last.length - start))
    for each in run:
        offset = each.entry.offset - start
        yield each, data[offset : offset + each.entry.length], True


def _read_in_pieces(archive: Archive, one: Located) -> Iterator[tuple[Located, memoryview, bool]]:
    offset, end = one.entry.offset, one.entry.offset + one.entry.length
    while offset < end:
        step = min(READ_BYTES, end - offset)
        data = archive.objects.read_range(one.key, offset, step)
        yield one, memoryview(data), offset == one.entry.offset
        offset += step


def read_frame(archive: Archive, located: Located, index: int) -> bytes:
    """The encoded bytes of a frame, counted from 0: its fragments joined. Raises NotFound."""
    entry = located.entry
    ranges = entry.frames.ranges if entry.frames else ()
    if not 0 <= index < len(ranges):
        raise NotFound(f"there is no frame {index + 1}")
    return b"".join(_read_range(archive, located, offset, length) for offset, length in ranges[index])


def read_bulk(archive: Archive, located: Located, path: str) -> bytes:
    """The bytes of a value that the metadata points to; raises NotFound."""
    for value in located.entry.bulk:
        if value.path == path:
            return _read_range(archive, located, value.offset, value.length)
    raise NotFound("there is no such bulk data")


def _read_range(archive: Archive, located: Located, offset: int, length: int) -> bytes:
    """Of an instance's bytes; those of a deflated data set are counted after inflation."""
    if located.entry.transfer_syntax == DEFLATED:
        return inflate_dataset(read_part10(archive, located))[offset : offset + length]
    return archive.objects.read_range(located.key, located.entry.offset + offset, length)


def one(
    archive: Archive, principal: Principal, study_uid: str, series_uid: str, sop_instance: str
) -> Located:
    """One instance; raises NotFound."""
    return locate(archive, principal, study_uid, series_uid, sop_instance)[0]
