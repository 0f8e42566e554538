"""From DICOM JSON (PS3.18 Annex F) to the data set of an instance whose metadata and bulk data came apart.

Explicit VR Little Endian and UTF-8. Strict, unlike `write`: what cannot be written as it was given is refused, since
the bytes made here are the instance from now on. Bulk values stay where they are; only their places are told.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pacs.encoded.dictionary import AMBIGUOUS_VRS, STANDARD_VRS, public_vr
from pacs.encoded.scopes import Json
from pacs.encoded.syntax import UNDEFINED
from pacs.encoded.values import BINARY_VRS, SIZES, WORD_BYTES
from pacs.encoded.write import IN_CHARSET, NUMBERS, ONE_TEXT, UTF_8, decimal_string, header_of, padding
from pacs.errors import BadAttributes
from pacs.names import GROUPS

LEVELS_MAX = 32  # of sequences in sequences; structured reports have a dozen
VALUE_BYTES_MAX = 0xFFFFFFFE  # PS3.5 7.1.1
EXTENDED_FROM_BYTES = 2**32 - 2**20  # the Basic Offset Table has 32 bits (PS3.5 A.4)
CHARSET, PIXELS, OFFSETS, LENGTHS = "00080005", "7FE00010", "7FE00001", "7FE00002"
_MEMBERS = frozenset(("vr", "Value", "InlineBinary", "BulkDataURI"))  # PS3.18 F.2.2
_TAG = re.compile("[0-9A-Fa-f]{8}")
_WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
_CONTROL = re.compile("[\0-\x08\x0b\x0e-\x1f\x7f]")  # PS3.5 6.1.3; ESC has no use in UTF-8
_ITEM, _ITEM_TAG = struct.Struct("<HHI"), (0xFFFE, 0xE000)
_END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


@dataclass(frozen=True, slots=True)
class Bulk:
    """A value that lies elsewhere: where, in bytes."""

    offset: int
    length: int


Piece = bytes | Bulk
Find = Callable[[str, str, str], Sequence[Bulk]]
"""From an attribute's path, its VR and its BulkDataURI to the parts of its value; raises BadAttributes."""


@dataclass(slots=True)
class Pieces:
    """A part of a data set: its pieces in order, and their length in bytes."""

    pieces: list[Piece] = field(default_factory=list)
    length: int = 0

    def add(self, *pieces: Piece) -> None:
        for piece in pieces:
            self.pieces.append(piece)
            self.length += len(piece) if isinstance(piece, bytes) else piece.length

    def extend(self, more: Pieces) -> None:
        self.pieces += more.pieces
        self.length += more.length


def compose(attributes: Json, find: Find, frames: Sequence[Bulk] | None = None) -> Pieces:
    """The whole data set. `frames`: of compressed pixels, that are encapsulated; else they are values as all others.

    Left out are group lengths, groups 0000 and 0002, and offset tables that were another encapsulation's. Specific
    Character Set becomes ISO_IR 192. Raises BadAttributes, which names the attribute and holds no value of it.
    """
    top = {tag: element for tag, element in attributes.items() if tag[:4] not in ("0000", "0002")}
    top[CHARSET] = {"vr": "CS", "Value": [UTF_8]}
    if frames is not None:
        top = {tag: element for tag, element in top.items() if tag not in (OFFSETS, LENGTHS)}
    return _Composer(find, frames).data_set(top, "")


class _Composer:
    def __init__(self, find: Find, frames: Sequence[Bulk] | None) -> None:
        self._find, self._frames = find, frames

    def data_set(self, attributes: Any, path: str, level: int = 0) -> Pieces:
        whole = Pieces()
        for tag, element in _in_order(attributes, path):
            where = f"{path}{tag}"
            if tag == CHARSET and level:  # what an item declared of its own is UTF-8 now
                element = {"vr": "CS", "Value": [UTF_8]}
            if tag == PIXELS and not level and self._frames is not None:
                whole.extend(_encapsulated(self._frames))
                continue
            vr = _vr(tag, element, where)
            value = self._value(vr, element, where, level)
            if value.length % 2:
                value.add(padding(vr))
            if value.length > VALUE_BYTES_MAX:
                raise BadAttributes(f"{where}: longer than {VALUE_BYTES_MAX} bytes")
            whole.add(header_of(tag, vr, value.length))
            whole.extend(value)
        return whole

    def _value(self, vr: str, element: Json, where: str, level: int) -> Pieces:
        if "BulkDataURI" in element:
            return self._bulk(vr, element["BulkDataURI"], where)
        value = Pieces()
        if "InlineBinary" in element:
            value.add(_whole_words(vr, _binary(vr, element["InlineBinary"], where), where))
            return value
        values = element.get("Value")
        if values is not None and not isinstance(values, list):
            raise BadAttributes(f"{where}: its Value is no array")
        if vr == "SQ":
            return self._items(values or [], where, level)
        if values:
            value.add(_encoded(vr, values, where))
        return value

    def _bulk(self, vr: str, uri: Any, where: str) -> Pieces:
        if not isinstance(uri, str) or vr == "SQ":
            raise BadAttributes(f"{where}: it cannot be bulk data")
        value = Pieces()
        try:
            value.add(*self._find(where, vr, uri))
        except BadAttributes as error:
            raise BadAttributes(f"{where}: {error}") from None
        if value.length % _word(vr):
            raise BadAttributes(f"{where}: its bulk data is no whole number of values")
        return value

    def _items(self, items: list[Any], where: str, level: int) -> Pieces:
        if level >= LEVELS_MAX:
            raise BadAttributes(f"{where[:8]}: more than {LEVELS_MAX} sequences in each other")
        whole = Pieces()
        for number, item in enumerate(items):
            body = self.data_set({} if item is None else item, f"{where}/{number}/", level + 1)
            if body.length > VALUE_BYTES_MAX:
                raise BadAttributes(f"{where}: longer than {VALUE_BYTES_MAX} bytes")
            whole.add(_ITEM.pack(*_ITEM_TAG, body.length))
            whole.extend(body)
        return whole


def _in_order(attributes: Any, path: str) -> list[tuple[str, Json]]:
    """Attributes by their tags in capitals, without group lengths (PS3.5 7.2)."""
    if not isinstance(attributes, dict):
        raise BadAttributes(f"{path}: a data set is an object")
    found: dict[str, Json] = {}
    for given, element in attributes.items():
        tag = given.upper()
        if not _TAG.fullmatch(tag) or tag[:4] in ("0000", "0002", "FFFE"):
            raise BadAttributes(f"{path}: an attribute whose tag cannot be one of a data set, or comes twice")
        if tag in found or not isinstance(element, dict):
            raise BadAttributes(f"{path}{tag}: it comes twice, or is no object")
        found[tag] = element
    return sorted((tag, element) for tag, element in found.items() if tag[4:] != "0000")


def _vr(tag: str, element: Json, where: str) -> str:
    """The VR as given; where there is none, that of PS3.6, if it is one."""
    if not element.keys() <= _MEMBERS or len(element.keys() - {"vr"}) > 1:
        raise BadAttributes(f"{where}: members other than vr and one of Value, InlineBinary, BulkDataURI")
    vr = element.get("vr") or public_vr(int(tag, 16))
    if vr not in STANDARD_VRS:
        said = "none, and more than one is possible" if vr in AMBIGUOUS_VRS else "none of PS3.5 6.2"
        raise BadAttributes(f"{where}: its VR is {said}")
    return str(vr)


def _word(vr: str) -> int:
    return SIZES.get(vr) or WORD_BYTES.get(vr, 1)


def _whole_words(vr: str, value: bytes, where: str) -> bytes:
    if len(value) % _word(vr):
        raise BadAttributes(f"{where}: its length is no multiple of {_word(vr)} bytes")
    return value


def _binary(vr: str, text: Any, where: str) -> bytes:
    """Of InlineBinary (PS3.18 F.2.7); white space between, as XML has it, does not count."""
    if vr not in BINARY_VRS or not isinstance(text, str):
        raise BadAttributes(f"{where}: {vr} has no InlineBinary")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise BadAttributes(f"{where}: its InlineBinary is no base64") from None


def _encoded(vr: str, values: list[Any], where: str) -> bytes:
    if vr in BINARY_VRS:
        raise BadAttributes(f"{where}: {vr} has no Value")
    try:
        if vr in NUMBERS:
            number = _real if vr in ("FD", "FL") else _integer
            return b"".join(struct.pack("<" + NUMBERS[vr], number(value)) for value in values)
        if vr == "AT":
            return b"".join(_tag(value) for value in values)
        if vr in ONE_TEXT and len(values) > 1:
            raise ValueError(f"{vr} has one value")
        return b"\\".join(_text(vr, value) for value in values)
    except UnicodeError:
        raise BadAttributes(f"{where}: characters that {vr} cannot have") from None
    except (struct.error, OverflowError):
        raise BadAttributes(f"{where}: a number that {vr} cannot hold") from None
    except ValueError as error:
        raise BadAttributes(f"{where}: {error}") from None


def _integer(value: Any) -> int:
    """Of a number, or of one written as text, which JSON needs beyond 53 bits (PS3.18 F.2.3)."""
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not value == value // 1:
        raise ValueError("a value that is no whole number")
    return int(value)


def _real(value: Any) -> float:
    """Also of NaN and infinities, which JSON can only write as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or "_" in str(value)[:64]:
        raise ValueError("a value that is no number")
    try:
        return float(value)
    except ValueError:
        raise ValueError("a value that is no number") from None


def _tag(value: Any) -> bytes:
    if not isinstance(value, str) or not _TAG.fullmatch(value):
        raise ValueError("a value that is no tag")
    return struct.pack("<HH", int(value[:4], 16), int(value[4:], 16))


def _text(vr: str, value: Any) -> bytes:
    text = _name(value) if vr == "PN" else _written(vr, value)
    if _CONTROL.search(text) or ("\\" in text and vr not in ONE_TEXT):
        raise ValueError("a value with a control character, or a backslash, which parts values")
    return text.encode("utf-8" if vr in IN_CHARSET else "ascii")


def _written(vr: str, value: Any) -> str:
    """A value as text. Numbers are taken where text should be, text is taken as it is where a number should be."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"a value that {vr} cannot have")
    if vr == "IS":
        return str(_integer(value))
    return decimal_string(value) if vr == "DS" else str(value)


def _name(value: Any) -> str:
    """PN: component groups by name (PS3.18 F.2.2), or as DICOM writes them."""
    if not isinstance(value, dict):
        return _written("PN", value)
    groups = ["" if value.get(group) is None else value[group] for group in GROUPS]
    if not value.keys() <= set(GROUPS) or not all(isinstance(g, str) and "=" not in g for g in groups):
        raise ValueError("a name whose component groups are not text under their names")
    return "=".join(groups).rstrip("=")


def _encapsulated(frames: Sequence[Bulk]) -> Pieces:
    """Pixel Data of a fragment for each frame, with the offset table that has room for it (PS3.5 A.4)."""
    places, at = [], 0
    for frame in frames:
        if frame.length > VALUE_BYTES_MAX:
            raise BadAttributes(f"{PIXELS}: a frame of more than {VALUE_BYTES_MAX} bytes")
        places.append(at)
        at += _ITEM.size + frame.length + frame.length % 2
    whole, basic = Pieces(), b""
    if at < EXTENDED_FROM_BYTES:
        basic = struct.pack(f"<{len(places)}I", *places)
    else:
        for tag, numbers in ((OFFSETS, places), (LENGTHS, [frame.length for frame in frames])):
            whole.add(header_of(tag, "OV", 8 * len(numbers)), struct.pack(f"<{len(numbers)}Q", *numbers))
    whole.add(header_of(PIXELS, "OB", UNDEFINED), _ITEM.pack(*_ITEM_TAG, len(basic)) + basic)
    for frame in frames:
        odd = frame.length % 2
        whole.add(_ITEM.pack(*_ITEM_TAG, frame.length + odd), frame, b"\0" * odd)
    whole.add(_END)
    return whole
