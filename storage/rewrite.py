"""An instance in another transfer syntax than it came in, piece by piece: native pixels pass through as they are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from pacs.errors import CannotRender
from pacs.transcode import EXPLICIT_LITTLE, IMPLICIT_LITTLE, before_pixels, transcoded
from storage.archive import Archive
from storage.contents import Entry
from storage.location import Located
from storage.retrieve import read_part10, read_ranges

TRANSCODED_BYTES_MAX = 1024**3  # of an instance as received that is in memory while it is written anew


def rewritten(archive: Archive, located: Located, syntax: str) -> Iterator[bytes]:
    """Its Part 10 bytes in a syntax of `pacs.transcode.transcoded`. Raises CannotRender and ObjectMissing at once.

    In memory is the whole of what must be decoded, and else what stands before the pixels.
    """
    start = _native_pixels(located.entry) if syntax in (EXPLICIT_LITTLE, IMPLICIT_LITTLE) else None
    if start is not None:
        head = b"".join(read_ranges(archive, located, ((0, start),)))
        anew = before_pixels(head, located.entry.length - start, syntax)
        if anew is not None:
            return chain((anew,), read_ranges(archive, located, ((start, located.entry.length - start),)))
    if located.entry.length > TRANSCODED_BYTES_MAX:
        raise CannotRender(f"more than {TRANSCODED_BYTES_MAX} bytes are not transcoded")
    original = read_part10(archive, located)
    return iter((transcoded(original, syntax),))


def _native_pixels(entry: Entry) -> int | None:
    """Where the pixels begin, if they are the little endian end of the data set."""
    native = entry.transfer_syntax in (EXPLICIT_LITTLE, IMPLICIT_LITTLE)
    if not native or entry.frames is None or entry.frames.encapsulated or not entry.frames.ranges:
        return None
    (start, _), (last, length) = entry.frames.ranges[0][0], entry.frames.ranges[-1][-1]
    return start if last + length in (entry.length, entry.length - 1) else None
