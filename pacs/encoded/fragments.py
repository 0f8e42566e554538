"""Encapsulated values: an offset table and fragments, up to a sequence delimiter (PS3.5 A.4)."""

from dataclasses import dataclass

from pacs.encoded.model import Ranges
from pacs.encoded.syntax import ITEM, SEQUENCE_END, UNDEFINED, Order

_CHUNK_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Fragments:
    """The parts of one encapsulated value; offsets and lengths in bytes.

    table: range of the Basic Offset Table's value. parts: the range of each fragment's value.
    first: offset of the first item after the table. stop: of what follows the sequence delimiter.
    items_end: of the delimiter itself. whole: no item was damaged, missing or past the limit.
    """

    table: tuple[int, int]
    parts: Ranges
    first: int
    items_end: int
    stop: int
    whole: bool


def read_fragments(view: memoryview, start: int, end: int, order: Order, count_max: int) -> Fragments:
    """Reads the items of the value at `start`; of a damaged one, those before the damage."""
    parts: list[tuple[int, int]] = []
    pos, whole, stop = start, False, 0
    while end - pos >= 8:
        group, number, length = order.implicit.unpack_from(view, pos)
        tag = group << 16 | number
        if tag == SEQUENCE_END:
            stop, whole = pos + 8, True
            break
        if tag != ITEM or length == UNDEFINED or len(parts) > count_max:
            break
        length_present = min(length, end - pos - 8)
        parts.append((pos + 8, length_present))
        pos += 8 + length_present
        if length_present < length:
            break
    if not whole:
        pos, stop = _find_end(view, pos, end, order)
    table = parts[0] if parts else (start, 0)
    first = table[0] + table[1] if parts else pos
    return Fragments(table, tuple(parts[1:]), first, pos, stop, whole)


def _find_end(view: memoryview, pos: int, end: int, order: Order) -> tuple[int, int]:
    """Offsets of the next sequence delimiter and of what follows it; both the end if there is none."""
    delimiter = order.implicit.pack(SEQUENCE_END >> 16, SEQUENCE_END & 0xFFFF, 0)
    for chunk in range(pos, end, _CHUNK_BYTES):
        found = bytes(view[chunk : min(end, chunk + _CHUNK_BYTES + 7)]).find(delimiter)
        if found >= 0:
            return chunk + found, chunk + found + 8
    return end, end
