"""The notes themselves: in no contents, so they are read from their packs."""

from __future__ import annotations

from pacs.access import Principal
from pacs.errors import NotFound
from storage import records, recycling
from storage.archive import Archive
from storage.blobs import ObjectReader
from storage.index import rejections


def read_note(archive: Archive, principal: Principal, rejection_id: int) -> bytes:
    """The Part 10 bytes of a note; raises NotFound."""
    told = recycling.find_rejection(archive, principal, rejection_id)
    with archive.database.begin() as connection:
        place = rejections.place_of_note(connection, told["facility"], told["note_uid"])
    body = _body(archive, *place) if place else None
    if body is None:
        raise NotFound("the note is not indexed yet, or its record is damaged; tongying check says more")
    return body


def is_kept(archive: Archive, facility: str, note_uid: str) -> bool:
    """Whether a note is known, and lies in the store as it was received (its CRC-32)."""
    with archive.database.begin() as connection:
        place = rejections.place_of_note(connection, facility, note_uid)
    return place is not None and _body(archive, *place) is not None


def _body(archive: Archive, key: str, body_offset: int) -> bytes | None:
    """None for one that has not its CRC-32."""
    reader = ObjectReader(archive.objects, key)
    record = records.of_body(reader, body_offset, reader.size)
    if record is None or not records.is_sound(reader, record):
        return None
    return reader.read_at(record.body_offset, record.body_length)
