"""Reading one instance: head, encoding, walk, then what can be decided only at the end."""

from pacs.encoded.fields import Fields
from pacs.encoded.fragments import Fragments, read_fragments
from pacs.encoded.frames import Frames, encapsulated_frames, frame_count, native_frames
from pacs.encoded.model import DEFAULT, EncodedError, Instance, Limits, Notes, PixelLayout
from pacs.encoded.part10 import Head, as_view, inflate, is_deflated, read_head
from pacs.encoded.recall import Recall
from pacs.encoded.settle import settle_signs, settle_texts
from pacs.encoded.syntax import (
    LITTLE,
    Encoding,
    declared_encoding,
    find_encoding,
    is_encapsulated,
    is_video,
)
from pacs.encoded.walk import Walk


def read_instance(
    part10: bytes | memoryview,
    *,
    bulk_uri: str = "",
    limits: Limits = DEFAULT,
    charset: str | None = None,
    recall: Recall | None = None,
) -> Instance:
    """Reads a Part 10 file, or a bare data set, into DICOM JSON and the whereabouts of its pixels.

    bulk_uri: what BulkDataURIs start with, before "/" and the path.
    charset: defined terms, as in Specific Character Set, to use instead of the declared ones, for devices
        known to declare wrongly.
    recall: of the instances before, the same for all of a series; then the JSON of what is equal is shared.
    Raises EncodedError, and nothing else, if no data set can be recognised. What is damaged behind that is
    left out and noted.
    """
    stored = as_view(part10)
    notes = Notes(limits.notes_max)
    head = read_head(stored)
    view, start, deflated = stored, head.dataset_offset, False
    if is_deflated(head):
        view, start, deflated = _inflated(stored, start, limits, notes)
    encoding = _encoding(view, start, head, notes)
    walk = Walk(start, encoding, Fields(view, bulk_uri, limits, notes), recall)
    if recall is not None:
        recall.begin(walk, encoding)
    walk.run()
    if recall is not None:
        recall.end()
    settle_texts(walk.fields.texts, charset, notes)
    settle_signs(walk.fields.signs)
    transfer_syntax = head.transfer_syntax or encoding.uid
    return Instance(
        transfer_syntax=transfer_syntax,
        dataset_offset=head.dataset_offset,
        attributes=walk.root.attributes,
        pixels=_layout(walk, transfer_syntax),
        bulk=tuple(walk.fields.bulk),
        pointers=tuple(walk.fields.pointers),
        notes=notes.all(),
        deflated=deflated,
        big_endian=not encoding.order.little,
    )


def _inflated(stored: memoryview, start: int, limits: Limits, notes: Notes) -> tuple[memoryview, int, bool]:
    """The inflated data set; one that is not deflated, although declared so, as it is."""
    inflated = inflate(stored[start:], limits)
    if inflated is not None:
        return memoryview(inflated), 0, True
    notes.add("syntax:not-deflated")
    return stored, start, False


def _encoding(view: memoryview, start: int, head: Head, notes: Notes) -> Encoding:
    declared = declared_encoding(head.transfer_syntax)
    found = find_encoding(view, start, declared, fit_min=1 if head.meta else 2)
    if found is None:
        raise EncodedError("no DICOM data set")
    if declared is None:
        notes.add(f"syntax:undeclared->{found.uid}")
    elif found is not declared:
        notes.add(f"syntax:declared->{found.uid}")
    return found


def _layout(walk: Walk, transfer_syntax: str) -> PixelLayout | None:
    if walk.fragments is not None:
        if not is_encapsulated(transfer_syntax):
            walk.notes.add("pixels:encapsulated")
        return _encapsulated_layout(walk, *walk.fragments, transfer_syntax)
    if walk.pixels is None:
        return None
    tag, offset, length = walk.pixels
    if is_encapsulated(transfer_syntax):
        if _starts_with_item(walk, offset, length):
            # Fragments under a length: some writers add them up instead of leaving it undefined.
            found = read_fragments(walk.view, offset, offset + length, LITTLE, walk.limits.fragments_max)
            walk.notes.add("pixels:defined-length")
            return _encapsulated_layout(walk, tag, found, transfer_syntax)
        walk.notes.add("pixels:not-encapsulated")
    frames = native_frames(walk.root.attributes, offset, length, walk.limits, walk.notes)
    return PixelLayout(tag, offset, length, False, frames)


def _starts_with_item(walk: Walk, offset: int, length: int) -> bool:
    return length >= 8 and bytes(walk.view[offset : offset + 4]) == b"\xfe\xff\x00\xe0"


def _encapsulated_layout(walk: Walk, tag: int, found: Fragments, transfer_syntax: str) -> PixelLayout:
    frames = _frames(walk, found, transfer_syntax)
    return PixelLayout(tag, found.first, found.stop - found.first, True, frames)


def _frames(walk: Walk, found: Fragments, transfer_syntax: str) -> Frames:
    if is_video(transfer_syntax):
        return (found.parts,) if found.parts else ()
    count = frame_count(walk.root.attributes)
    if count > walk.limits.frames_max:
        walk.notes.add("frames:unknown")
        return ()
    tables = [_table(walk, tag) for tag in (0x7FE00001, 0x7FE00002)]
    extended = (tables[0], tables[1]) if all(tables) else None
    return encapsulated_frames(walk.view, found, count, extended, walk.root.order, walk.notes)


def _table(walk: Walk, tag: int) -> bytes:
    start, length = walk.tables.get(tag, (0, 0))
    return bytes(walk.view[start : start + min(length, 8 * walk.limits.frames_max)])
