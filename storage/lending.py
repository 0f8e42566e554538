"""Instances on their way to a client, as they are stored: what lies in files is not read, but lent and sent from there.

What is lent is good until the next piece is asked for (`storage.blobs.lent`).
"""

from __future__ import annotations

from collections.abc import Iterator

from storage.archive import Archive
from storage.blobs.lent import Piece, in_memory
from storage.contents import Ranges
from storage.location import Located
from storage.retrieve import DEFLATED, apart, read_ranges, reads_of, runs, spans_of

RUN_BYTES = 256 * 1024  # of small neighbours in a pack that are read together


def lent_instances(archive: Archive, located: list[Located]) -> Iterator[tuple[Located, Piece, bool]]:
    """Many instances as received: pieces in pack order, each with whether it begins an instance. Raises OSError."""
    ordered = sorted(located, key=lambda one: (one.key, one.entry.offset))
    reads = [read for run in runs(ordered, RUN_BYTES) for read in reads_of(run)]
    for (run, span), piece in zip(reads, archive.objects.lend_spans(span for _, span in reads), strict=True):
        if len(run) == 1:
            yield run[0], piece, span[1] == run[0].entry.offset
        else:
            yield from apart(run, memoryview(in_memory(piece)))


def lent_ranges(archive: Archive, located: Located, ranges: Ranges) -> Iterator[Piece]:
    """The bytes in these ranges of an instance, as `read_ranges` gives them. Raises OSError."""
    if located.entry.transfer_syntax == DEFLATED:
        return read_ranges(archive, located, ranges)
    return archive.objects.lend_spans(
        span for offset, length in ranges
        for span in spans_of(located.key, located.entry.offset + offset, length)
    )  # fmt: skip


def lent_part10(archive: Archive, located: Located, start: int, length: int) -> Iterator[Piece]:
    """`length` bytes of an instance as it was received, from its byte `start` on. Raises OSError."""
    span = (located.key, located.entry.offset + start, length)
    return archive.objects.lend_spans(spans_of(*span))
