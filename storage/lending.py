"""Instances on their way to a client, as they are stored: what lies in files is not read, but lent and sent from there.

A piece that lies in a file (`Extent`) is good until the next piece is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from storage.archive import Archive
from storage.blobs.extent import Piece, in_memory
from storage.blobs.rows import Span
from storage.contents import Ranges
from storage.retrieve import DEFLATED, Located, apart, assert_whole, length_of, read_ranges, runs, spans_of

RUN_BYTES = 256 * 1024  # of small neighbours in a pack that are read together


def lent_instances(archive: Archive, located: list[Located]) -> Iterator[tuple[Located, Piece, bool]]:
    """Many instances as received: pieces in pack order, each with whether it begins an instance. Raises OSError."""
    ordered = sorted(located, key=lambda one: (one.key, one.entry.offset))
    reads = [read for run in runs(ordered, RUN_BYTES) for read in _reads(archive, run)]
    for (run, span), piece in zip(reads, _lent(archive, (span for _, span in reads)), strict=True):
        if len(run) == 1:
            yield run[0], piece, span[1] == run[0].entry.offset
        else:
            yield from apart(run, memoryview(in_memory(piece)))


def _reads(archive: Archive, run: list[Located]) -> Iterator[tuple[list[Located], Span]]:
    spans = spans_of(run[0].key, run[0].entry.offset, length_of(run), archive.objects.lent_bytes)
    return ((run, span) for span in spans)


def lent_ranges(archive: Archive, located: Located, ranges: Ranges) -> Iterator[Piece]:
    """The bytes in these ranges of an instance, as `read_ranges` gives them. Raises OSError."""
    if located.entry.transfer_syntax == DEFLATED:
        return read_ranges(archive, located, ranges)
    return _lent(archive, (
        span for offset, length in ranges
        for span in spans_of(located.key, located.entry.offset + offset, length, archive.objects.lent_bytes)
    ))  # fmt: skip


def lent_part10(archive: Archive, located: Located, start: int, length: int) -> Iterator[Piece]:
    """`length` bytes of an instance as it was received, from its byte `start` on. Raises OSError."""
    span = (located.key, located.entry.offset + start, length)
    return _lent(archive, spans_of(*span, archive.objects.lent_bytes))


def _lent(archive: Archive, spans: Iterable[Span]) -> Iterator[Piece]:
    asked = list(spans)
    for span, piece in zip(asked, archive.objects.lend_spans(asked), strict=True):
        assert_whole(span, piece)
        yield piece
