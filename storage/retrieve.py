"""Retrieve: the one door out. Locators become a few range reads, and bytes as they were received."""

from __future__ import annotations

import errno
import gzip
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from sqlalchemy import Row, select

from pacs.access import Principal
from pacs.attributes import Level
from pacs.encoded import inflate_dataset
from pacs.errors import NotFound, ObjectMissing
from pacs.query import Equal, Fuzzy, Match, Query, attribute
from pacs.values import Json
from storage.archive import Archive
from storage.blobs.rows import Span
from storage.contents import Entry, Ranges, decode_metadata, in_display_order
from storage.index.locator import Fragment, find_fragments, find_fragments_in, find_fragments_of
from storage.index.tables import packs, series_packs
from storage.packnames import metadata_key, progressive_key
from storage.progressive import Damaged, FramePlace, Rendition, read_index, weight
from storage.search import Found, search
from storage.shelf import Shown

DEFLATED = "1.2.840.10008.1.2.1.99"
READ_BYTES = 4 * 1024 * 1024  # of one read from the object store
JOINED_LEVEL = 3  # of gzip: half the time of 6, a tenth more bytes
_PLACE: tuple[Any, ...] = (series_packs.c.pack_id, series_packs.c.edition, series_packs.c.rendition_bytes,
          series_packs.c.resolutions, packs.c.key)  # fmt: skip
GAP_BYTES_MAX = 64 * 1024  # what lies between two instances is read over rather than sought over


@dataclass(frozen=True, slots=True)
class Located:
    """An instance, and where its pack is."""

    entry: Entry
    key: str  # of the pack in the object store
    study_uid: str
    series_uid: str
    rendition: Rendition | None = None  # of the series as far as it lies in this pack


def find_series(archive: Archive, principal: Principal, study_uid: str, series_uid: str = "") -> list[Found]:
    """The series of a study that may be seen; raises NotFound if there is none, or none that may."""
    matches = [Equal(attribute("StudyInstanceUID"), (study_uid,))]
    if series_uid:
        matches.append(Equal(attribute("SeriesInstanceUID"), (series_uid,)))
    found = search(archive, Query(Level.SERIES, tuple(matches)), principal)
    if not found:
        raise NotFound("there is no such study" if not series_uid else "there is no such series")
    return found


def fragments(archive: Archive, principal: Principal, study_uid: str, series_uid: str = "") -> list[Fragment]:
    """The packs in which a study's or a series' instances lie; raises NotFound if none may be seen."""
    standing = archive.standings.of(principal)
    seen = archive.standings.studies(principal, standing, study_uid) if standing else ()
    with archive.read_as(principal) as connection:
        if standing is None:
            found = find_fragments(connection, principal, study_uid, series_uid)
        else:
            found = find_fragments_in(connection, seen, series_uid) if seen else []
    if not found:
        raise NotFound("there is no such study" if not series_uid else "there is no such series")
    return found


def locate(archive: Archive, principal: Principal, study_uid: str, series_uid: str = "",
           sop_instance: str = "") -> list[Located]:  # fmt: skip
    """The instances of a study, a series, or one, in display order; raises NotFound."""
    return _whole(archive, fragments(archive, principal, study_uid, series_uid), sop_instance)


def _whole(archive: Archive, found: list[Fragment], sop_instance: str) -> list[Located]:
    located = list(_named(archive, found, sop_instance)) if sop_instance else _of_all(archive, found)
    if not located:
        raise NotFound("there is no such instance")
    return located


def locate_of(
    archive: Archive, principal: Principal, series_pk: int, pack_id: uuid.UUID | None = None
) -> list[Located]:
    """The instances of a series by its key, or what one pack holds of it, in display order; raises NotFound."""
    with archive.read_as(principal) as connection:
        located = _of_all(archive, find_fragments_of(connection, principal, series_pk, pack_id))
    if not located:
        raise NotFound("there is no such series")
    return located


def _of_all(archive: Archive, found: list[Fragment]) -> list[Located]:
    of_series = groupby(found, key=lambda fragment: fragment.series_pk)
    return [one for _, of_one in of_series for one in _in_order(archive, list(of_one))]


def locate_matches(archive: Archive, query: Query, principal: Principal) -> list[Located]:
    """The instances of all series that match a query and may be seen; of these the named ones, where it names any."""
    named = {uid for m in query.matches if m.attribute.keyword == "SOPInstanceUID" for uid in _uids(m)}
    level = Level.IMAGE if named else Level.SERIES
    rows = search(archive, replace(query, level=level, rest={}), principal)
    found = [one for row in rows for one in series_instances(archive, row)]
    return [one for one in found if one.entry.sop_instance in named] if named else found


def _uids(match: Match | Fuzzy) -> tuple[str, ...]:
    return match.any_of if isinstance(match, Equal) else ()


def _named(archive: Archive, found: list[Fragment], sop_instance: str) -> Iterator[Located]:
    for fragment in found:
        shown = _shown(archive, fragment)
        place = shown.places.get(sop_instance)
        if place is not None:
            yield _located(shown.entries[place], fragment)


def _in_order(archive: Archive, of_one_series: list[Fragment]) -> list[Located]:
    keys = {fragment.pack_id: fragment for fragment in of_one_series}
    entries = [entry for fragment in of_one_series for entry in _shown(archive, fragment).entries]
    return [_located(entry, keys[entry.pack]) for entry in in_display_order(entries)]


def _shown(archive: Archive, of: Fragment) -> Shown:
    return archive.shelf.shown(archive.objects, of.series_pk, of.pack_id, of.edition)


def _located(entry: Entry, fragment: Fragment) -> Located:
    rendition = _rendition(fragment, fragment.series_pk)
    return Located(entry, fragment.key, fragment.study_uid, fragment.series_uid, rendition)


def _rendition(of: Row[Any], series_pk: int) -> Rendition | None:
    if of.rendition_bytes is None:
        return None
    key = progressive_key(series_pk, of.pack_id, of.edition)
    return Rendition(key, of.rendition_bytes, tuple(of.resolutions))


def series_instances(archive: Archive, row: Found) -> list[Located]:
    """The shown instances of one series that may be seen (`find_series`), in display order."""
    with archive.database.read() as connection:
        packs_of_it = connection.execute(
            select(*_PLACE)
            .join(packs, packs.c.id == series_packs.c.pack_id)
            .where(series_packs.c.series_pk == row.series_pk)
            .order_by(series_packs.c.pack_id)
        ).all()
    places = {of.pack_id: (of.key, _rendition(of, row.series_pk)) for of in packs_of_it}
    entries = [
        e
        for of in packs_of_it
        for e in archive.shelf.shown(archive.objects, row.series_pk, of.pack_id, of.edition).entries
    ]
    found = ((e, *places[e.pack]) for e in in_display_order(entries))
    return [Located(e, key, row.study_uid, row.series_uid, rendition) for e, key, rendition in found]


def described(
    archive: Archive, principal: Principal, study_uid: str, series_uid: str, sop_instance: str
) -> tuple[Located, Json]:
    """One instance and its DICOM JSON, by one question to the database; raises NotFound."""
    for fragment in fragments(archive, principal, study_uid, series_uid):
        shown = _shown(archive, fragment)
        place = shown.places.get(sop_instance)
        if place is not None:
            lines = archive.shelf.lines(
                archive.objects, fragment.series_pk, fragment.pack_id, fragment.edition
            )
            return _located(shown.entries[place], fragment), json.loads(lines[place])
    raise NotFound("there is no such instance")


def all_described(archive: Archive, principal: Principal, study_uid: str, series_uid: str = "",
                  sop_instance: str = "") -> list[tuple[Located, Json]]:  # fmt: skip
    """What `locate` finds, each with its DICOM JSON; raises NotFound."""
    found = fragments(archive, principal, study_uid, series_uid)
    lines: dict[tuple[str, str], bytes] = {}
    for of in found:
        told = archive.shelf.lines(archive.objects, of.series_pk, of.pack_id, of.edition)
        lines |= {(of.key, uid): told[place] for uid, place in _shown(archive, of).places.items()}
    located = _whole(archive, found, sop_instance)
    return [(one, json.loads(lines[one.key, one.entry.sop_instance])) for one in located]


def attributes(
    archive: Archive, principal: Principal, study_uid: str, series_uid: str, sop_instance: str
) -> Json:
    """The DICOM JSON of one instance; raises NotFound."""
    return described(archive, principal, study_uid, series_uid, sop_instance)[1]


def metadata_keys(archive: Archive, principal: Principal, study_uid: str, series_uid: str = "") -> list[str]:
    """Where the DICOM JSON of a study's or series' instances is; raises NotFound."""
    found = fragments(archive, principal, study_uid, series_uid)
    return [metadata_key(f.series_pk, f.pack_id, f.edition) for f in found if f.instance_count > 0]


def zipped_metadata(archive: Archive, keys: list[str]) -> bytes:
    """The objects under these keys as one JSON array, gzipped: as it is stored where it is one object."""
    if len(keys) == 1:
        return archive.objects.get(keys[0])

    def join() -> bytes:
        lines = [line for key in keys for line in decode_metadata(archive.objects.get(key))]
        return gzip.compress(b"[" + b",".join(lines) + b"]", JOINED_LEVEL, mtime=0)

    return archive.shelf.take(tuple(keys), join, len)


def read_part10(archive: Archive, located: Located) -> bytes:
    """One instance as it was received: the Part 10 bytes."""
    entry = located.entry
    return archive.objects.read_range(located.key, entry.offset, entry.length)


def stream(archive: Archive, located: list[Located]) -> Iterator[tuple[Located, memoryview, bool]]:
    """Many instances as received: pieces in pack order, each with whether it begins an instance.

    Neighbours in a pack are read together, so a series costs few reads; no piece is larger than READ_BYTES.
    """
    ordered = sorted(located, key=lambda one: (one.key, one.entry.offset))
    reads = [read for run in runs(ordered, READ_BYTES) for read in reads_of(run)]
    pieces = archive.objects.read_spans(span for _, span in reads)
    for (run, span), data in zip(reads, pieces, strict=True):
        if _length(run) <= READ_BYTES:
            yield from apart(run, memoryview(data))
        else:
            _assert_whole(span, data)
            yield run[0], memoryview(data), span[1] == run[0].entry.offset


def runs(ordered: list[Located], bytes_max: int) -> Iterator[list[Located]]:
    """Neighbours that fit into one read of so many bytes; an instance that does not is a run of its own."""
    run: list[Located] = []
    for next_one in ordered:
        if run and not _fits(run, next_one, bytes_max):
            yield run
            run = []
        run.append(next_one)
    if run:
        yield run


def _fits(run: list[Located], next_one: Located, bytes_max: int) -> bool:
    start, last, new = run[0].entry, run[-1].entry, next_one.entry
    near = next_one.key == run[0].key and new.offset - (last.offset + last.length) <= GAP_BYTES_MAX
    return near and new.offset + new.length - start.offset <= bytes_max


def reads_of(run: list[Located]) -> Iterator[tuple[list[Located], Span]]:
    """A run that fits is one read; an instance that does not is several."""
    yield from ((run, span) for span in spans_of(run[0].key, run[0].entry.offset, _length(run)))


def _length(run: list[Located]) -> int:
    return run[-1].entry.offset + run[-1].entry.length - run[0].entry.offset


def apart(run: list[Located], data: memoryview) -> Iterator[tuple[Located, memoryview, bool]]:
    """The instances of a run that was read."""
    for each in run:
        offset = each.entry.offset - run[0].entry.offset
        yield each, data[offset : offset + each.entry.length], True


def part10_pieces(
    archive: Archive, located: Located, start: int = 0, length: int | None = None
) -> Iterator[bytes]:
    """One instance as it was received, or `length` bytes of it, READ_BYTES at most at a time."""
    return _pieces(archive, located, start, located.entry.length if length is None else length)


def frame_ranges(located: Located, index: int) -> Ranges:
    """Where the encoded bytes of a frame are, counted from 0; raises NotFound."""
    ranges = located.entry.frames.ranges if located.entry.frames else ()
    if not 0 <= index < len(ranges):
        raise NotFound(f"there is no frame {index + 1}")
    return ranges[index]


def bulk_ranges(located: Located, path: str) -> Ranges:
    """Where the bytes are of a value that the metadata points to; raises NotFound."""
    for value in located.entry.bulk:
        if value.path == path:
            return ((value.offset, value.length),)
    raise NotFound("there is no such bulk data")


def cut(ranges: Ranges, start: int, length: int) -> Ranges:
    """The ranges of `length` bytes, from the byte `start` of these ranges on."""
    found = []
    for offset, size in ranges:
        low, high = max(start, 0), min(size, start + length)
        if low < high:
            found.append((offset + low, high - low))
        start -= size
    return tuple(found)


def read_ranges(archive: Archive, located: Located, ranges: Ranges) -> Iterator[bytes]:
    """The bytes in these ranges of an instance, READ_BYTES at most at a time; those of a deflated data set, which are
    counted after inflation, all at once."""
    if located.entry.transfer_syntax == DEFLATED:
        inflated = inflate_dataset(read_part10(archive, located))
        yield b"".join(inflated[offset : offset + length] for offset, length in ranges)
        return
    for offset, length in ranges:
        yield from _pieces(archive, located, offset, length)


def _pieces(archive: Archive, located: Located, offset: int, length: int) -> Iterator[bytes]:
    return _pieces_of(archive, located.key, located.entry.offset + offset, length)


def _pieces_of(archive: Archive, key: str, start: int, length: int) -> Iterator[bytes]:
    spans = list(spans_of(key, start, length))
    for span, piece in zip(spans, archive.objects.read_spans(spans), strict=True):
        _assert_whole(span, piece)
        yield piece


def spans_of(key: str, start: int, length: int) -> Iterator[Span]:
    """READ_BYTES at most each."""
    for at in range(start, start + length, READ_BYTES):
        yield key, at, min(READ_BYTES, start + length - at)


def _assert_whole(span: Span, piece: bytes) -> None:
    """Raises OSError."""
    key, offset, length = span
    if len(piece) < length:
        raise OSError(errno.EIO, f"{length - len(piece)} bytes from {offset} on are missing in {key}")


def read_frame(archive: Archive, located: Located, index: int) -> bytes:
    """The encoded bytes of a frame, counted from 0: its fragments joined. Raises NotFound."""
    return b"".join(read_ranges(archive, located, frame_ranges(located, index)))


def progressive_frame(archive: Archive, located: Located, index: int) -> FramePlace | None:
    """Where a frame, counted from 0, is in the HTJ2K rendition; None where it must be transcoded now."""
    rendition = located.rendition
    if rendition is None:
        return None

    def read() -> dict[str, tuple[FramePlace | None, ...]]:
        return read_index(archive.objects, rendition.key, rendition.bytes)

    try:
        places = archive.shelf.take((rendition.key, rendition.bytes), read, weight).get(
            located.entry.sop_instance, ()
        )
    except (ObjectMissing, Damaged):  # `check` tells of it
        return None
    return places[index] if index < len(places) else None


def read_progressive(
    archive: Archive, located: Located, place: FramePlace, start: int, length: int
) -> Iterator[bytes]:
    """So many bytes of such a frame, from its byte `start` on, READ_BYTES at most at a time."""
    assert located.rendition is not None, "the place is of it"
    return _pieces_of(archive, located.rendition.key, place.offset + start, length)


def read_bulk(archive: Archive, located: Located, path: str) -> bytes:
    """The bytes of a value that the metadata points to; raises NotFound."""
    return b"".join(read_ranges(archive, located, bulk_ranges(located, path)))


def one(
    archive: Archive, principal: Principal, study_uid: str, series_uid: str, sop_instance: str
) -> Located:
    """One instance; raises NotFound."""
    return locate(archive, principal, study_uid, series_uid, sop_instance)[0]
