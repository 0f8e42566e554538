"""HTJ2K renditions: per series, pack and edition one object with the frames in HTJ2K Lossless RPCL, one behind another,
and behind them an index: where each is, and after how many of its bytes each resolution of it is whole.

Named by the edition, so never stale; made by `storage.progression`, at any time, from the pack alone.
"""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from pacs.errors import ObjectMissing
from storage.blobs import ObjectStore

TAIL_BYTES = 64 * 1024  # read at once, which is the whole index but for thousands of frames
VERIFY_BYTES = 4 * 1024 * 1024
_FOOTER = struct.Struct(">8sII")  # magic, length and CRC-32 of the index
_MAGIC = b"TYHTJ2K1"


class Damaged(ValueError):
    """The object is not what was written."""


@dataclass(frozen=True, slots=True)
class FramePlace:
    """Where a frame is in the object."""

    offset: int
    length: int
    crc32: int
    ends: tuple[int, ...]  # after so many of its bytes a resolution is whole, the lowest first


@dataclass(frozen=True, slots=True)
class Rendition:
    """What is known of the object without reading it."""

    key: str
    bytes: int
    resolutions: tuple[int, ...]
    """After how many bytes each frame of the part is whole: at full size, at a half, a quarter …; empty where some of
    them are not in the object."""


Index = dict[str, tuple[FramePlace | None, ...]]  # SOP Instance UID → its frames; None: this one is not here
FrameLine = tuple[int, tuple[int, ...]]  # CRC-32, and the ends, the last of which is the length
Lines = list[tuple[str, list[FrameLine | None]]]  # in the order of the object


def encode_index(lines: Lines) -> bytes:
    """What stands behind the frames."""
    index = gzip.compress(json.dumps(lines, separators=(",", ":")).encode(), mtime=0)
    return index + _FOOTER.pack(_MAGIC, len(index), zlib.crc32(index))


def read_index(objects: ObjectStore, key: str, size: int) -> Index:
    """The index of an object of so many bytes: by one read, or two. Raises Damaged, ObjectMissing."""
    start = max(0, size - TAIL_BYTES)
    tail = objects.read_range(key, start, size - start)
    if len(tail) < _FOOTER.size:
        raise Damaged("it is too short")
    magic, length, crc32 = _FOOTER.unpack(tail[-_FOOTER.size :])
    if magic != _MAGIC or length + _FOOTER.size > size:
        raise Damaged("it has no footer")
    if length + _FOOTER.size > len(tail):
        tail = objects.read_range(key, size - length - _FOOTER.size, length + _FOOTER.size)
    index = tail[-_FOOTER.size - length : -_FOOTER.size]
    if zlib.crc32(index) != crc32:
        raise Damaged("its index has other bytes than were written")
    return _placed(json.loads(gzip.decompress(index)))


def _placed(lines: Lines) -> Index:
    found: Index = {}
    offset = 0
    for uid, frames in lines:
        places: list[FramePlace | None] = []
        for line in frames:
            if line is None:
                places.append(None)
                continue
            crc32, ends = line
            places.append(FramePlace(offset, ends[-1], crc32, tuple(ends)))
            offset += ends[-1]
        found[uid] = tuple(places)
    return found


def weight(index: Index) -> int:
    """About how many bytes an index takes in memory."""
    return sum(200 + 400 * len(frames) for frames in index.values())


def resolutions(lines: Lines) -> tuple[int, ...]:
    """`Rendition.resolutions` of these frames."""
    reduced = [line[1][::-1] for _, frames in lines for line in frames if line]
    return tuple(max(some) for some in zip_longest(*reduced, fillvalue=0))


def first_picture_bytes(whole: Sequence[int], side: int, side_min: int) -> int:
    """Of `Rendition.resolutions`: after how many bytes there is a picture whose longer side has `side_min` pixels at
    least, if at full size it has `side`."""
    halvings = max(0, (side // side_min).bit_length() - 1)
    return whole[min(halvings, len(whole) - 1)]


def verify(objects: ObjectStore, key: str, size: int, *, read_bytes: bool) -> Iterator[str]:
    """What is wrong with an object, in words."""
    try:
        found = objects.size(key)
        if found != size:
            yield f"it has {found} bytes, recorded are {size}"
            return
        index = read_index(objects, key, size)
    except ObjectMissing:
        yield "it is not in the object store"
    except Damaged as error:
        yield str(error)
    else:
        if read_bytes and any(_crc32(objects, key, p) != p.crc32 for f in index.values() for p in f if p):
            yield "a frame has other bytes than were written"


def _crc32(objects: ObjectStore, key: str, place: FramePlace) -> int:
    crc32 = 0
    for at in range(0, place.length, VERIFY_BYTES):
        piece = objects.read_range(key, place.offset + at, min(VERIFY_BYTES, place.length - at))
        crc32 = zlib.crc32(piece, crc32)
    return crc32
