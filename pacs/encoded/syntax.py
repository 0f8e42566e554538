"""Encodings of a data set, and telling which one the bytes are in when the declaration may be wrong."""

from dataclasses import dataclass
from struct import Struct

from pacs.encoded.dictionary import LONG_VRS, SHORT_VRS, STANDARD_VRS

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
ENCAPSULATED_UNCOMPRESSED = "1.2.840.10008.1.2.1.98"
_COMPRESSED = ("1.2.840.10008.1.2.4.", "1.2.840.10008.1.2.5", ENCAPSULATED_UNCOMPRESSED)
# PS3.5 8.2.5 to 8.2.9 and 8.2.14: one stream holds all frames.
_VIDEO = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in range(100, 109))

UNDEFINED = 0xFFFFFFFF
ITEM = 0xFFFEE000
ITEM_END = 0xFFFEE00D
SEQUENCE_END = 0xFFFEE0DD

SHORT_CODES = {vr.encode(): vr for vr in SHORT_VRS}
LONG_CODES = {vr.encode(): vr for vr in LONG_VRS}
_CODES = frozenset(vr.encode() for vr in STANDARD_VRS)
_PROBE_ELEMENTS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """A byte order, with the layouts of element headers in it (PS3.5 7.1)."""

    sign: str
    explicit: Struct
    implicit: Struct
    long: Struct

    @property
    def little(self) -> bool:
        return self.sign == "<"


def _order(sign: str) -> Order:
    return Order(sign, Struct(f"{sign}HH2sH"), Struct(f"{sign}HHI"), Struct(f"{sign}I"))


LITTLE = _order("<")
BIG = _order(">")


@dataclass(frozen=True, slots=True)
class Encoding:
    implicit: bool
    order: Order
    uid: str


_ENCODINGS = (
    Encoding(False, LITTLE, EXPLICIT_LITTLE),
    Encoding(True, LITTLE, IMPLICIT_LITTLE),
    Encoding(False, BIG, EXPLICIT_BIG),
)


def is_encapsulated(uid: str) -> bool:
    return uid.startswith(_COMPRESSED)


def is_video(uid: str) -> bool:
    return uid.removesuffix(".1") in _VIDEO


def declared_encoding(uid: str) -> Encoding | None:
    """The encoding a transfer syntax stands for; unknown ones are explicit little endian (PS3.5 A.4)."""
    if not uid:
        return None
    if uid == IMPLICIT_LITTLE:
        return _ENCODINGS[1]
    return _ENCODINGS[2] if uid == EXPLICIT_BIG else _ENCODINGS[0]


def find_encoding(view: memoryview, start: int, declared: Encoding | None, fit_min: int) -> Encoding | None:
    """The encoding that the first elements fit, the declared one if it does.

    `None` if none fits `fit_min` of the first four elements.
    """
    if declared is not None and _fit(view, start, declared) == _PROBE_ELEMENTS:
        return declared
    scores = [(_fit(view, start, encoding), encoding) for encoding in _ENCODINGS]
    best = max(score for score, _ in scores)
    if best < fit_min:
        return None
    if declared is not None and any(s == best and e is declared for s, e in scores):
        return declared
    return next(encoding for score, encoding in scores if score == best)


def _fit(view: memoryview, pos: int, encoding: Encoding) -> int:
    """How many of the first elements are plausible, 0 to 4; a clean end counts as all of them."""
    last = 0
    for found in range(_PROBE_ELEMENTS):
        if pos == len(view) and found:
            return _PROBE_ELEMENTS
        step = _probe(view, pos, encoding)
        if step is None or not last < step[0]:
            return found
        if step[1] == UNDEFINED or step[0] >> 16 == 0x7FE0:
            return _PROBE_ELEMENTS
        last, pos = step[0], step[2] + step[1]
        if pos > len(view):
            return found
    return _PROBE_ELEMENTS


def _probe(view: memoryview, pos: int, encoding: Encoding) -> tuple[int, int, int] | None:
    """The tag, length and value offset at `pos`, `None` if they cannot be ones of this encoding."""
    if pos + 8 > len(view):
        return None
    group, number, length = encoding.order.implicit.unpack_from(view, pos)
    tag = group << 16 | number
    code = bytes(view[pos + 4 : pos + 6])
    if group in (0, 2) or group >= 0xFFFE:
        return None
    if encoding.implicit:
        return None if code in _CODES else (tag, length, pos + 8)
    if code in SHORT_CODES:
        return tag, encoding.order.explicit.unpack_from(view, pos)[3], pos + 8
    if code not in LONG_CODES or pos + 12 > len(view):
        return None
    return tag, encoding.order.long.unpack_from(view, pos + 8)[0], pos + 12
