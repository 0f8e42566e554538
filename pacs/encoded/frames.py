"""Which bytes belong to which frame (PS3.5 8.2, A.4; PS3.3 C.7.6.3.1.8)."""

from bisect import bisect_left
from itertools import pairwise
from struct import unpack
from typing import Any

from pacs.encoded.fragments import Fragments
from pacs.encoded.model import Limits, Notes, Ranges
from pacs.encoded.syntax import Order

Frames = tuple[Ranges, ...]

_JPEG_END = b"\xff\xd9"
_JPEG_END_WITHIN = 10  # bytes at the end of a fragment: the marker, and padding
_TABLE_BYTES = 8


def integer(attributes: dict[str, Any], key: str) -> int:
    """The first value as a number, 0 if there is none."""
    values = attributes.get(key, {}).get("Value")
    return values[0] if values and type(values[0]) is int else 0


def frame_count(attributes: dict[str, Any]) -> int:
    """Number of Frames, 1 if absent."""
    return max(integer(attributes, "00280008"), 1) if "00280008" in attributes else 1


def native_frames(
    attributes: dict[str, Any], offset: int, length: int, limits: Limits, notes: Notes
) -> Frames:
    """The frames of a native value of `length` bytes; those that are wholly there."""
    bits, count = _frame_bits(attributes), frame_count(attributes)
    if bits <= 0 or count > limits.frames_max:
        notes.add("frames:unknown")
        return ()
    present = min(count, length * 8 // bits)
    if present < count:
        notes.add("frames:missing")
    if bits % 8 == 0:
        size = bits // 8
        return tuple(((offset + index * size, size),) for index in range(present))
    return tuple((_bit_range(offset, index * bits, (index + 1) * bits),) for index in range(present))


def native_bytes(attributes: dict[str, Any]) -> int:
    """How long native pixels of all frames are; 0 where the attributes do not tell."""
    return -(-_frame_bits(attributes) * frame_count(attributes) // 8)


def _bit_range(offset: int, first: int, after: int) -> tuple[int, int]:
    """The bytes holding bits `first` to before `after`."""
    return offset + first // 8, -(-after // 8) - first // 8


def _frame_bits(attributes: dict[str, Any]) -> int:
    rows, columns = integer(attributes, "00280010"), integer(attributes, "00280011")
    samples, allocated = integer(attributes, "00280002") or 1, integer(attributes, "00280100")
    photometric = attributes.get("00280004", {}).get("Value") or [""]
    if samples == 3 and photometric[0] in ("YBR_FULL_422", "YBR_PARTIAL_422"):
        samples = 2  # two luminances share their chrominances (PS3.3 C.7.6.3.1.2)
    return rows * columns * samples * allocated


def encapsulated_frames(
    view: memoryview,
    found: Fragments,
    count: int,
    tables: tuple[bytes, bytes] | None,
    order: Order,
    notes: Notes,
) -> Frames:
    """The frames of an encapsulated value; () when nothing tells them apart.

    By the Extended Offset Table (`tables`: its values and lengths), the Basic one, one fragment a frame, all
    fragments one frame, or the ends of JPEG streams, whichever first gives `count` frames.
    """
    starts = [offset - _TABLE_BYTES - found.first for offset, _ in found.parts]
    if tables is not None:
        frames = _by_extended_table(found, starts, *tables, order)
        if len(frames) == count:
            return frames
        notes.add("frames:extended-table")
    by_table = _by_table(view, found, starts, order)
    if len(by_table) == count:
        return by_table
    if found.table[1]:
        notes.add("frames:table")
    frames = _by_count(view, found.parts, count) or by_table
    if len(frames) != count:
        notes.add("frames:unknown" if not frames else "frames:count")
    return frames


def _by_extended_table(
    found: Fragments, starts: list[int], offsets: bytes, lengths: bytes, order: Order
) -> Frames:
    """One fragment a frame; its length is without padding."""
    frames = []
    for start, size in zip(_numbers(offsets, 8, order), _numbers(lengths, 8, order), strict=False):
        index = bisect_left(starts, start)
        if index == len(starts) or starts[index] != start or size > found.parts[index][1]:
            return ()
        frames.append(((found.parts[index][0], size),))
    return tuple(frames)


def _by_table(view: memoryview, found: Fragments, starts: list[int], order: Order) -> Frames:
    """Frames from one offset of the Basic Offset Table to the next, if they all are starts of fragments."""
    begin, size = found.table
    if size // 4 > len(starts):
        return ()
    offsets = _numbers(bytes(view[begin : begin + size]), 4, order)
    if not offsets or offsets[0] != 0:
        return ()
    indices = [bisect_left(starts, offset) for offset in offsets]
    exact = all(i < len(starts) and starts[i] == o for i, o in zip(indices, offsets, strict=True))
    if not exact or any(a >= b for a, b in pairwise(indices)):
        return ()
    return tuple(found.parts[a:b] for a, b in zip(indices, [*indices[1:], len(starts)], strict=True))


def _numbers(raw: bytes, size: int, order: Order) -> list[int]:
    count = len(raw) // size
    return list(unpack(f"{order.sign}{count}{'IQ'[size // 8]}", raw[: count * size]))


def _by_count(view: memoryview, parts: Ranges, count: int) -> Frames:
    if len(parts) == count:
        return tuple((part,) for part in parts)
    if count == 1:
        return (parts,) if parts else ()
    if len(parts) < count:
        return ()
    frames = _by_jpeg_ends(view, parts)
    return frames if len(frames) == count else ()


def _by_jpeg_ends(view: memoryview, parts: Ranges) -> Frames:
    """A frame ends with the fragment that ends with the end marker of its JPEG stream."""
    frames: list[Ranges] = []
    current: list[tuple[int, int]] = []
    for offset, size in parts:
        current.append((offset, size))
        tail = max(offset, offset + size - _JPEG_END_WITHIN)
        if _JPEG_END in bytes(view[tail : offset + size]):
            frames.append(tuple(current))
            current = []
    if current:
        frames.append(tuple(current))
    return tuple(frames)
