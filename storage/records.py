"""The record: how one instance lies in a segment, and later in a pack.

    magic "TYR1" | header bytes u32 | body bytes u64 | body CRC-32 u32 | header CRC-32 u32     (24 bytes, LE)
    header: JSON, who sent what and when
    body: the Part 10 file: preamble, file meta, and the data set exactly as it was received

A pack is a sealed segment, byte for byte, so the object store alone can rebuild the index (promise P11).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from isal.isal_zlib import crc32

MAGIC = b"TYR1"
_FIXED = struct.Struct("<4sIQII")
FIXED_BYTES = _FIXED.size
HEADER_BYTES_MAX = 16 * 1024
BODY_BYTES_MAX = 16 * 1024 * 1024  # of one that is held in memory; of a larger one, pieces are
_JSON = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an instance came from."""

    facility: str  # the code of the facility that owns it
    calling: str  # AE title, or the user of a STOW or an import
    called: str
    peer: str  # network address, or "import"


@dataclass(frozen=True, slots=True)
class RecordHeader:
    """What the node knew when it took the instance in, without decoding the data set."""

    origin: Origin
    received_ns: int  # since the epoch, UTC
    sop_class: str
    sop_instance: str
    transfer_syntax: str
    dataset_offset: int  # of the data set in the body, bytes

    @property
    def received_at(self) -> datetime:
        return datetime.fromtimestamp(self.received_ns / 1e9, UTC)

    def encode(self) -> bytes:
        """As compact JSON. Written out, as it is made for each image: `asdict` would take longer than the rest."""
        origin = self.origin
        return _JSON.encode({
            "origin": {
                "facility": origin.facility, "calling": origin.calling, "called": origin.called, "peer": origin.peer,
            },
            "received_ns": self.received_ns,
            "sop_class": self.sop_class,
            "sop_instance": self.sop_instance,
            "transfer_syntax": self.transfer_syntax,
            "dataset_offset": self.dataset_offset,
        }).encode()  # fmt: skip

    @staticmethod
    def decode(data: bytes) -> RecordHeader:
        """The reverse of `encode`; raises ValueError."""
        try:
            fields = json.loads(data)
            return RecordHeader(**{**fields, "origin": Origin(**fields["origin"])})
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a record header: {error}") from None


@dataclass(frozen=True, slots=True)
class Record:
    """A whole record found in a segment or pack."""

    header: RecordHeader
    offset: int  # of the record
    body_offset: int
    body_length: int
    body_crc: int

    @property
    def end(self) -> int:
        return self.body_offset + self.body_length


class Readable(Protocol):
    """Anything with positioned reads: a file of the spool or an object of the store."""

    def read_at(self, offset: int, length: int) -> bytes: ...


def frame(header: RecordHeader, body_length: int, body_crc: int) -> bytes:
    """The bytes that stand before the body."""
    return frame_encoded(header.encode(), body_length, body_crc)


def frame_encoded(encoded: bytes, body_length: int, body_crc: int) -> bytes:
    """The same, of a header that is encoded already."""
    fixed = _FIXED.pack(MAGIC, len(encoded), body_length, body_crc, crc32(encoded))
    return fixed + encoded


def scan(source: Readable, size: int, *, facility: str) -> Iterator[tuple[Record, bytes | None]]:
    """The whole records of a segment or pack, in order, each with its body; None for one of more than
    BODY_BYTES_MAX.

    Each body was read and has its CRC-32. What is not a whole record is passed over up to the next whole one:
    after a crash that is the tail, which nobody was told is safe; anywhere else it is damage, which must not
    cost its neighbours. A record that names another facility than the file's own is never believed: it can
    only be an imitation inside an instance.
    """
    offset = 0
    while offset < size:
        record = read_one(source, offset, size)
        crc, body = _read_body(source, record) if record is not None else (0, None)
        if record is None or crc != record.body_crc:
            offset = _next_magic(source, offset + 1, size)
            continue
        if record.header.origin.facility == facility:
            yield record, body
        offset = record.end


def read_one(source: Readable, offset: int, size: int) -> Record | None:
    """The record at an offset, None if there is no whole one. Its body is not verified."""
    if offset + FIXED_BYTES > size:
        return None
    magic, header_length, body_length, body_crc, header_crc = _FIXED.unpack(
        source.read_at(offset, FIXED_BYTES)
    )
    body_offset = offset + FIXED_BYTES + header_length
    if magic != MAGIC or header_length > HEADER_BYTES_MAX or body_offset + body_length > size:
        return None
    encoded = source.read_at(offset + FIXED_BYTES, header_length)
    if crc32(encoded) != header_crc:
        return None
    try:
        header = RecordHeader.decode(encoded)
    except ValueError:
        return None
    return Record(header, offset, body_offset, body_length, body_crc)


def of_body(source: Readable, body_offset: int, size: int) -> Record | None:
    """The record whose body begins there, None if there is none. Its body is not verified."""
    start = max(0, body_offset - FIXED_BYTES - HEADER_BYTES_MAX)
    before = source.read_at(start, max(0, body_offset - start))
    at = len(before)
    while (at := before.rfind(MAGIC, 0, at)) >= 0:
        record = read_one(source, start + at, size)
        if record is not None and record.body_offset == body_offset:
            return record
    return None


def is_sound(source: Readable, record: Record) -> bool:
    """Whether its body has its CRC-32."""
    return _read_body(source, record)[0] == record.body_crc


def _next_magic(source: Readable, offset: int, size: int) -> int:
    step, overlap = 1024 * 1024, len(MAGIC) - 1
    while offset < size:
        found = source.read_at(offset, min(step + overlap, size - offset)).find(MAGIC)
        if found >= 0:
            return offset + found
        offset += step
    return size


def _read_body(source: Readable, record: Record) -> tuple[int, bytes | None]:
    """Its CRC-32, and the body if it is small."""
    if record.body_length <= BODY_BYTES_MAX:
        body = source.read_at(record.body_offset, record.body_length)
        return crc32(body), body
    crc, position = 0, record.body_offset
    while position < record.end:
        crc = crc32(source.read_at(position, min(BODY_BYTES_MAX, record.end - position)), crc)
        position += BODY_BYTES_MAX
    return crc, None
