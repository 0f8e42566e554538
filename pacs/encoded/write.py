"""From the DICOM JSON model to an encoded data set: answers to queries, attributes of notifications.

Not for instances: those go out as the bytes that came in.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import lru_cache
from struct import Struct, pack
from typing import Any

from pacs.encoded.charsets import encode
from pacs.encoded.dictionary import LONG_VRS
from pacs.encoded.scopes import Json
from pacs.encoded.syntax import EXPLICIT_LITTLE, IMPLICIT_LITTLE

UTF_8 = "ISO_IR 192"
NESTING_LEVELS_MAX = 16
WRITABLE = frozenset((IMPLICIT_LITTLE, EXPLICIT_LITTLE))

_US, _UL, _LONG = Struct("<H"), Struct("<I"), Struct("<HI")
_ITEM = b"\xfe\xff\x00\xe0"
_SHORT_LENGTH_MAX = 0xFFFE
IN_CHARSET = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
ONE_TEXT = frozenset(("LT", "ST", "UT", "UR"))
NUMBERS = {
    "FD": "d", "FL": "f", "SL": "i", "SS": "h", "SV": "q", "UL": "I", "US": "H", "UV": "Q",
}  # fmt: skip
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_DS_CHARACTERS_MAX = 16  # PS3.5 6.2
Encode = Callable[[str, bool], bytes]


def write_dataset(attributes: Json, transfer_syntax: str, charset: str = "") -> bytes:
    """The encoded data set, in tag order, Implicit or Explicit VR Little Endian.

    charset: values of Specific Character Set, parted by backslashes; where a text cannot be written in them without
    loss the whole data set is in UTF-8. The attribute itself is set here, if any text needs it.
    """
    implicit = transfer_syntax == IMPLICIT_LITTLE
    for terms in (tuple(charset.split("\\")) if charset else (), (UTF_8,)):
        try:
            return _Writer(implicit, terms).whole(attributes)
        except UnicodeEncodeError:
            continue
    raise ValueError("the data set holds text that is no text")  # lone surrogates


class _Writer:
    def __init__(self, implicit: bool, terms: tuple[str, ...]) -> None:
        self._implicit, self._terms = implicit, terms
        self._plain = True

    def whole(self, attributes: Json) -> bytes:
        given = {tag: element for tag, element in attributes.items() if tag != "00080005"}
        body = [(tag, self._element(tag, given[tag], 0)) for tag in sorted(given)]
        if not self._plain or "00080005" in attributes:
            value = [] if self._plain else list(self._terms)
            body.append(("00080005", self._element("00080005", {"vr": "CS", "Value": value}, 0)))
            body.sort()
        return b"".join(encoded for _, encoded in body)

    def _element(self, tag: str, element: Json, level: int) -> bytes:
        vr = element.get("vr", "UN")
        value = self._value(vr, element, level)
        if len(value) % 2:
            value += padding(vr)
        if self._implicit:
            return _tag(tag) + _UL.pack(len(value)) + value
        return header_of(tag, vr, len(value)) + value

    def _value(self, vr: str, element: Json, level: int) -> bytes:
        values = element.get("Value")
        if not values:
            return base64.b64decode(element.get("InlineBinary", b""))
        if vr == "SQ":
            return self._items(values, level)
        if vr in NUMBERS:
            return b"".join(pack("<" + NUMBERS[vr], _number(vr, v)) for v in values if v is not None)
        if vr == "AT":
            return b"".join([_tag(v) for v in values])
        if len(values) == 1 or vr in ONE_TEXT:
            return self._text(vr, values[0])
        return b"\\".join([self._text(vr, v) for v in values])

    def _items(self, items: list[Any], level: int) -> bytes:
        if level >= NESTING_LEVELS_MAX:
            return b""
        out = []  # joined once: a sequence may have many thousands
        for item in items:
            body = b"".join(self._element(tag, item[tag], level + 1) for tag in sorted(item or ()))
            out += [_ITEM, _UL.pack(len(body)), body]
        return b"".join(out)

    def _text(self, vr: str, value: Any) -> bytes:
        if value is None:
            return b""
        if vr == "PN" and isinstance(value, dict):
            text = "=".join([str(value.get(group, "")) for group in _GROUPS]).rstrip("=")
        elif vr == "DS" and isinstance(value, float | int):
            text = decimal_string(value)
        else:
            text = str(value)
        if text.isascii():
            return text.encode("ascii")
        self._plain = False
        if vr in IN_CHARSET:
            return encode(text, self._terms, is_name=vr == "PN")
        return text.encode("ascii", "replace")  # PS3.5 6.1.2.2: not in these VRs


_PADDED_WITH_SPACE = frozenset(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC",
                                "UR", "UT"))  # fmt: skip


def padding(vr: str) -> bytes:
    """What makes a value of odd length even (PS3.5 6.2)."""
    return b" " if vr in _PADDED_WITH_SPACE else b"\0"


def header_of(tag: str, vr: str, length: int) -> bytes:
    """What stands before a value in Explicit VR Little Endian (PS3.5 7.1.2); `length` in bytes, or UNDEFINED."""
    if vr in LONG_VRS or length > _SHORT_LENGTH_MAX:
        code = vr.encode("ascii") if vr in LONG_VRS else b"UN"  # PS3.5 6.2.2 note 4
        return _tag(tag) + code + _LONG.pack(0, length)
    return _tag(tag) + vr.encode("ascii") + _US.pack(length)


@lru_cache(maxsize=4096)
def _tag(tag: str) -> bytes:
    return pack("<HH", int(tag[:4], 16), int(tag[4:], 16))


def _number(vr: str, value: Any) -> Any:
    return float(value) if vr in ("FD", "FL") else int(value)


def decimal_string(value: float) -> str:
    """A DS of at most 16 characters (PS3.5 6.2), as exact as these allow."""
    if float(value).is_integer() and abs(value) < 10 ** (_DS_CHARACTERS_MAX - 1):
        return str(int(value))
    text = repr(float(value))
    digits = _DS_CHARACTERS_MAX
    while len(text) > _DS_CHARACTERS_MAX:
        digits -= 1
        text = f"{value:.{digits}g}"
    return text
