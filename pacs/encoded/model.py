"""What reading an encoded instance gives: the values, the limits, the error."""

from dataclasses import dataclass
from typing import Any

from pacs.errors import TongyingError

Ranges = tuple[tuple[int, int], ...]
"""Byte ranges, each (offset, length in bytes)."""


class EncodedError(TongyingError, ValueError):
    """The bytes cannot be read as a DICOM data set at all. Its text is fixed words, never patient data."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what one instance may cost its reader. What passes one is left out or made bulk, and noted.

    `lut_bytes_max` is for palettes and look-up tables, which viewers never fetch as bulk data.
    `number_bytes_max` is for numbers and their text (RT contours are long, and viewers want them inline).
    `json_bytes_max` is for the sum of all value fields: once they pass it, those over 64 bytes become bulk.
    """

    inline_bytes_max: int = 4 << 10
    lut_bytes_max: int = 192 << 10
    text_bytes_max: int = 64 << 10
    number_bytes_max: int = 1 << 20
    json_bytes_max: int = 32 << 20
    inflate_bytes_max: int = 512 << 20
    nesting_levels_max: int = 64
    elements_max: int = 1_000_000
    fragments_max: int = 1_000_000
    frames_max: int = 1_000_000
    notes_max: int = 64


DEFAULT = Limits()


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """Where the pixels of an instance are. Offsets and lengths in bytes, see `Instance` for their origin.

    tag: 0x7FE00010 Pixel Data, 0x7FE00008 Float, 0x7FE00009 Double Float (PS3.3 C.7.6.24, C.7.6.25).
    offset, length: native: the value as present in the file. Encapsulated: from the first item after the
        Basic Offset Table to the end of the sequence delimiter (PS3.5 A.4).
    frames: for each frame its ranges; () when the frames cannot be told apart. Native: one range a frame.
        Native frames whose bits do not fill whole bytes (PS3.5 8.1.1: Bits Allocated 1, packed without
        padding): the range is that of the bytes that hold any bit of the frame, so neighbours share one, and
        the first bit of frame i (from 0) is bit `i * rows * columns * samples % 8`, counted from the least.
        Video (MPEG, HEVC): one entry, the stream, whatever Number of Frames says.
    """

    tag: int
    offset: int
    length: int
    encapsulated: bool
    frames: tuple[Ranges, ...]


@dataclass(frozen=True, slots=True)
class BulkValue:
    """A value that the JSON only points to. `path` as in its BulkDataURI: "00420011", "54000100/0/54001010".

    offset, length: of the encoded value, in bytes, in the file's byte order; of an encapsulated value inside
    a sequence (an icon), of its items without the sequence delimiter.
    """

    path: str
    vr: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Instance:
    """One SOP instance, read.

    transfer_syntax: the declared UID, or the one recognised where none was declared.
    dataset_offset: of the data set's first byte in the Part 10 bytes, also when deflated.
    attributes: the DICOM JSON model of the data set (PS3.18 F.2), in tag order, group 0002 left out.
    bulk: all bulk values but the pixels of the top level, which `pixels` describes.
    pointers: the elements in `attributes`, nested ones too, that have a BulkDataURI.
    notes: repairs and oddities in fixed words, without patient data, at most `Limits.notes_max`.
    deflated: the offsets in `pixels` and `bulk` count in what `inflate_dataset` gives, not in the Part 10
        bytes.
    big_endian: the ranges of words in `pixels` and `bulk` hold them in big endian order.
    """

    transfer_syntax: str
    dataset_offset: int
    attributes: dict[str, Any]
    pixels: PixelLayout | None
    bulk: tuple[BulkValue, ...]
    pointers: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    deflated: bool = False
    big_endian: bool = False


class Notes:
    """Collects notes, each once, up to a limit."""

    __slots__ = ("_limit", "_seen", "count")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._seen: dict[str, None] = {}
        self.count = 0  # of all that came, repeated ones too

    def add(self, note: str) -> None:
        self.count += 1
        if len(self._seen) < self._limit:
            self._seen[note] = None

    def at(self, word: str, tag: int) -> None:
        """Notes a word about an element, as `word:GGGGEEEE`."""
        self.add(f"{word}:{tag:08X}")

    def all(self) -> tuple[str, ...]:
        return tuple(self._seen)
