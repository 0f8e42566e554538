"""Records are found with their bodies, each read once, and their CRC-32 is everybody's."""

from __future__ import annotations

import random
import zlib

import pytest

from storage import records
from storage.records import Origin, RecordHeader

BODIES = [random.Random(n).randbytes(length) for n, length in enumerate((1, 5000, 70_000, 300_001))]


class Bytes:
    """A source that counts what is read."""

    def __init__(self, data: bytes) -> None:
        self.data, self.read = data, 0

    def read_at(self, offset: int, length: int) -> bytes:
        self.read += length
        return self.data[offset : offset + length]


def packed(*bodies: bytes) -> Bytes:
    header = RecordHeader(Origin("LOCAL", "CT", "TONGYING", "127.0.0.1"), 1, "1.2", "1.2.3", "1.2.840", 0)
    return Bytes(b"".join(records.frame(header, len(b), zlib.crc32(b)) + b for b in bodies))


def test_each_body_comes_with_its_record_and_is_read_once() -> None:
    source = packed(*BODIES)
    found = list(records.scan(source, len(source.data), facility="LOCAL"))
    assert [body for _, body in found] == BODIES
    assert source.read == len(source.data)


def test_of_a_large_body_pieces_are_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "BODY_BYTES_MAX", 50_000)
    source = packed(*BODIES)
    found = list(records.scan(source, len(source.data), facility="LOCAL"))
    assert [body for _, body in found] == [*BODIES[:2], None, None]


@pytest.mark.parametrize("place", [0, 49_999, 50_000, 69_999])
def test_one_wrong_bit_of_a_large_body_is_seen(monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    monkeypatch.setattr(records, "BODY_BYTES_MAX", 50_000)
    source = packed(BODIES[2], BODIES[1])
    damaged = bytearray(source.data)
    damaged[source.data.index(BODIES[2]) + place] ^= 1
    source.data = bytes(damaged)
    found = list(records.scan(source, len(source.data), facility="LOCAL"))
    assert [body for _, body in found] == [BODIES[1]]
