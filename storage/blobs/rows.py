"""Spans of objects that lie in a row: a store on another machine sends them as the answer to one request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Span = tuple[str, int, int]  # key, offset and length in bytes
GAP_BYTES_MAX = 256 * 1024  # between two of a row: to read so many and drop them is faster than to ask again


def rows(spans: Iterable[Span]) -> Iterator[list[Span]]:
    """Those of one object of which each begins where the one before it ends, or soon after."""
    row: list[Span] = []
    for span in spans:
        if row and not _follows(row[-1], span):
            yield row
            row = []
        row.append(span)
    if row:
        yield row


def _follows(last: Span, span: Span) -> bool:
    gap = span[1] - (last[1] + last[2])
    return span[0] == last[0] and 0 <= gap <= GAP_BYTES_MAX
