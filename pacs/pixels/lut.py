"""Look-up tables: modality, VOI and palette alike (PS3.3 C.11.1.1.1, C.11.2.1.1, C.7.6.3.1.5, C.7.9.2)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacs.pixels import _json
from pacs.pixels._json import Attributes
from pacs.pixels.description import PixelError

ENTRIES_MAX = 65_536
_SEGMENT_DISCRETE, _SEGMENT_LINEAR, _SEGMENT_INDIRECT = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Lut:
    """A table of `entries` (uint16, one dimension) of `bits` bits, the first for the input value `first`."""

    first: int
    entries: NDArray[np.uint16]
    bits: int

    def apply(self, values: NDArray[Any]) -> NDArray[np.uint16]:
        """Values of any shape to entries; what lies below or above the table takes its first or last."""
        index = np.clip(np.nan_to_num(values.astype(np.float64)) - self.first, 0, len(self.entries) - 1)
        return self.entries[index.astype(np.intp)]

    @property
    def white(self) -> int:
        """The entry that means the most light: what `bits` can say, or the largest entry if they lie."""
        return max((1 << self.bits) - 1, int(self.entries.max(initial=1)))


def lut_of(item: Attributes, descriptor: str = "00283002", data: str = "00283006") -> Lut:
    """The table of a LUT item or palette, by the tags of its descriptor and its data.

    Raises PixelError where either is absent, kept outside the attributes, or they do not fit each other.
    """
    count, first, bits = _descriptor(item, descriptor)
    return Lut(first, _entries(item, data, count), bits)


def segmented_lut_of(item: Attributes, descriptor: str, data: str) -> Lut:
    """A palette in segments (PS3.3 C.7.9.2), opened. Raises PixelError like `lut_of`."""
    count, first, bits = _descriptor(item, descriptor)
    raw = _json.binary(item, data)
    if raw is None:
        words = _json.numbers(item, data)
    else:
        words = [float(word) for word in np.frombuffer(raw, "u1" if bits <= 8 else "<u2", _whole(raw, bits))]
    opened = _open_segments([int(word) for word in words], count)
    return Lut(first, np.asarray(opened, np.uint16), bits)


def _whole(raw: bytes, bits: int) -> int:
    return len(raw) if bits <= 8 else len(raw) // 2


def _descriptor(item: Attributes, tag: str) -> tuple[int, int, int]:
    """(number of entries, first value mapped, bits an entry), the second signed (PS3.3 C.7.6.3.1.5)."""
    found = [int(number) for number in _json.numbers(item, tag)]
    if len(found) != 3:
        raise PixelError(f"the LUT descriptor {tag} is absent or broken")
    count, first, bits = found[0] & 0xFFFF or ENTRIES_MAX, found[1], found[2]
    if first > 0x7FFF and _json.vr_of(item, tag) == "SS":
        first -= 0x10000
    if not 1 <= bits <= 16:
        raise PixelError(f"a LUT of {bits} bits")
    return count, first, bits


def _entries(item: Attributes, tag: str, count: int) -> NDArray[np.uint16]:
    raw = _json.binary(item, tag)
    if raw is None:
        raw = np.asarray(_json.numbers(item, tag)).astype(np.int64).astype("<u2").tobytes()
    if len(raw) >= 2 * count:
        return np.frombuffer(raw, "<u2", count).astype(np.uint16)
    if len(raw) >= count:  # 8 bit entries, two in a word (PS3.3 C.11.1.1.1)
        return np.frombuffer(raw, np.uint8, count).astype(np.uint16)
    raise PixelError(f"the LUT data {tag} are absent or cut: {len(raw)} bytes for {count} entries")


def _open_segments(words: list[int], count: int) -> list[int]:
    opened: list[int] = []
    position = 0
    while position < len(words) and len(opened) < count:
        position = _open_segment(words, position, opened, is_copy=False)
    if len(opened) < count:
        raise PixelError(f"the palette's segments give {len(opened)} of {count} entries")
    return opened[:count]


def _open_segment(words: list[int], position: int, opened: list[int], is_copy: bool) -> int:
    """Append one segment's entries and return where the next starts."""
    code, length, *_ = [*words[position : position + 2], -1, -1]
    body = position + 2
    if code == _SEGMENT_DISCRETE and 0 < length <= len(words) - body:
        opened += words[body : body + length]
        return body + length
    if code == _SEGMENT_LINEAR and length > 0 and opened and body < len(words):
        opened += np.rint(np.linspace(opened[-1], words[body], length + 1)[1:]).astype(int).tolist()
        return body + 1
    if code == _SEGMENT_INDIRECT and not is_copy and body + 1 < len(words):
        _copy_segments(words, words[body] | words[body + 1] << 16, length, opened)
        return body + 2
    raise PixelError("the palette's segments are broken")


def _copy_segments(words: list[int], position: int, segments: int, opened: list[int]) -> None:
    """An indirect segment: earlier segments once more (PS3.3 C.7.9.2.3), which may not be indirect."""
    for _ in range(segments):
        if len(opened) > ENTRIES_MAX:
            raise PixelError("the palette's segments give too many entries")
        position = _open_segment(words, position, opened, is_copy=True)
