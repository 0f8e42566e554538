"""Retrieve: the one door out. Places (`storage.location`) become a few range reads, and bytes as they were received."""

from __future__ import annotations

import errno
import gzip
from collections.abc import Iterator

from pacs.encoded import inflate_dataset
from pacs.errors import NotFound, ObjectMissing
from storage.archive import Archive
from storage.blobs.rows import Span
from storage.contents import Ranges, decode_metadata
from storage.location import Located
from storage.progressive import Damaged, FramePlace, read_index, weight

DEFLATED = "1.2.840.10008.1.2.1.99"
READ_BYTES = 4 * 1024 * 1024  # of one read from the object store
JOINED_LEVEL = 3  # of gzip: half the time of 6, a tenth more bytes
GAP_BYTES_MAX = 64 * 1024  # what lies between two instances is read over rather than sought over


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
