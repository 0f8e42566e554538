"""From the encoded bytes of one value field to the members of its JSON "Value" (PS3.5 6.2, PS3.18 F.2.3)."""

import base64
from collections.abc import Callable
from math import isfinite
from struct import unpack
from typing import Any

Values = list[Any] | None
"""The members of "Value"; `None` when the value field is empty (PS3.18 F.2.5)."""

_PAD = " \0"
_SAFE_INTEGER_MAX = 2**53 - 1
_NUMBER_CHARS_MAX = 64  # PS3.5 6.2 has 16; parsing very long ones takes quadratic time
_COMPONENTS = ("Alphabetic", "Ideographic", "Phonetic")

# Word sizes of the binary VRs, in bytes: JSON and bulk data are little endian (PS3.18 F.2.7, PS3.5 7.3).
WORD_BYTES = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
BINARY_VRS = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))


def _until_nul(value: str) -> str:
    """Writers with C strings leave what was in the buffer behind a NUL."""
    return value.split("\0", 1)[0]


def _several(text: str, trim: Callable[[str], str]) -> Values:
    text = text.rstrip(_PAD)
    if not text:
        return None
    return [trim(_until_nul(part)) or None for part in text.split("\\")]


def padded_both(text: str) -> Values:
    """AE, CS, LO, SH and the like: spaces on either side do not count."""
    if "\\" in text or "\0" in text:
        return _several(text, lambda part: part.strip(_PAD))
    text = text.strip()
    return [text] if text else None


def padded_behind(text: str) -> Values:
    """DA, TM, UC, UI: only trailing padding, NUL included, does not count."""
    text = text.rstrip(_PAD)
    if "\\" in text or "\0" in text:
        return _several(text, lambda part: part.rstrip(_PAD))
    return [text] if text else None


def one_text(text: str) -> Values:
    """LT, ST, UT, UR: one value, a backslash is a character of it."""
    text = text.rstrip(_PAD)
    if "\0" in text:
        text = _until_nul(text).rstrip(_PAD)
    return [text] if text else None


def person_names(text: str) -> Values:
    """PN: component groups by name, the empty ones left out (PS3.18 F.2.2)."""
    text = text.rstrip(_PAD)
    if not text:
        return None
    names = [_person_name(_until_nul(part)) for part in text.split("\\")]
    return None if names == [None] else names


def _person_name(text: str) -> dict[str, str] | None:
    if "=" not in text:
        text = text.strip(_PAD)
        return {"Alphabetic": text} if text else None
    groups = zip(_COMPONENTS, text.split("=", 2), strict=False)
    return {name: trimmed for name, group in groups if (trimmed := group.strip(_PAD))} or None


def _digits(raw: bytes) -> str:
    return raw.decode("latin-1").strip(" \0\t\r\n")


def decimal_strings(raw: bytes, _: str) -> Values:
    """DS as numbers; what is no finite decimal number stays text, so that the JSON stays valid."""
    try:
        parts = raw.rstrip(b" \0").split(b"\\")
        if max(map(len, parts)) <= _NUMBER_CHARS_MAX and b"_" not in raw:
            values: list[Any] = [float(part) for part in parts]
            if isfinite(sum(values)):
                return values
    except ValueError:
        pass
    return _each(raw, _decimal)


def _decimal(text: str) -> float | str | None:
    if len(text) > _NUMBER_CHARS_MAX:
        return text
    try:
        value = float(text)
    except ValueError:
        return text or None
    return value if isfinite(value) and "_" not in text else text


def integer_strings(raw: bytes, _: str) -> Values:
    """IS as numbers; what is no whole number of at most 53 bits stays text."""
    if len(raw) <= 12 and b"_" not in raw:  # PS3.5 6.2: one value has at most 12 bytes
        try:
            return [int(raw.rstrip(b" \0"))]
        except ValueError:
            pass
    return _each(raw, _integer)


def _integer(text: str) -> int | str | None:
    number = _decimal(text)
    if isinstance(number, str) or number is None or number != int(number):
        return text or None
    return int(number) if abs(number) <= _SAFE_INTEGER_MAX else text


def _each(raw: bytes, convert: Callable[[str], Any]) -> Values:
    text = _digits(raw)
    if not text:
        return None
    return [convert(_until_nul(part).strip()) for part in text.split("\\")]


def _numbers(code: str, size: int) -> Callable[[bytes, str], Values]:
    def convert(raw: bytes, sign: str) -> Values:
        if len(raw) == size:
            return [unpack(sign + code, raw)[0]]
        count = len(raw) // size
        return list(unpack(f"{sign}{count}{code}", raw[: count * size])) or None

    return convert


def _floats(code: str, size: int) -> Callable[[bytes, str], Values]:
    plain = _numbers(code, size)

    def convert(raw: bytes, sign: str) -> Values:
        values = plain(raw, sign)
        if values is None or isfinite(sum(values)):
            return values
        return [value if isfinite(value) else _not_finite(value) for value in values]

    return convert


def _not_finite(value: float) -> str:
    """JSON has no such numbers (RFC 8259 6)."""
    return "NaN" if value != value else "inf" if value > 0 else "-inf"


def _long_integers(code: str) -> Callable[[bytes, str], Values]:
    """SV and UV: text where a reader of JSON would lose digits (PS3.18 F.2.3)."""
    plain = _numbers(code, 8)

    def convert(raw: bytes, sign: str) -> Values:
        values = plain(raw, sign)
        return values and [v if abs(v) <= _SAFE_INTEGER_MAX else str(v) for v in values]

    return convert


def _tags(raw: bytes, sign: str) -> Values:
    count = len(raw) // 4
    numbers = unpack(f"{sign}{count * 2}H", raw[: count * 4])
    return [f"{g:04X}{e:04X}" for g, e in zip(numbers[::2], numbers[1::2], strict=True)] or None


TEXT: dict[str, Callable[[str], Values]] = {
    **dict.fromkeys(("AE", "AS", "CS", "LO", "SH"), padded_both),
    **dict.fromkeys(("DA", "DT", "TM", "UC", "UI"), padded_behind),
    **dict.fromkeys(("LT", "ST", "UR", "UT"), one_text),
    "PN": person_names,
}

NUMERIC: dict[str, Callable[[bytes, str], Values]] = {
    "AT": _tags,
    "DS": decimal_strings,
    "FD": _floats("d", 8),
    "FL": _floats("f", 4),
    "IS": integer_strings,
    "SL": _numbers("i", 4),
    "SS": _numbers("h", 2),
    "SV": _long_integers("q"),
    "UL": _numbers("I", 4),
    "US": _numbers("H", 2),
    "UV": _long_integers("Q"),
}

SIZES = {"AT": 4, "FD": 8, "FL": 4, "SL": 4, "SS": 2, "SV": 8, "UL": 4, "US": 2, "UV": 8}
"""Bytes of one value, for the VRs of fixed size."""


def inline_binary(raw: bytes, vr: str, sign: str) -> str:
    """Base64 of a value field, in little endian order (PS3.18 F.2.7)."""
    size = WORD_BYTES.get(vr, 1)
    if sign == ">" and size > 1:
        raw = _swapped(raw, size)
    return base64.b64encode(raw).decode("ascii")


def _swapped(raw: bytes, size: int) -> bytes:
    whole = len(raw) - len(raw) % size
    out = bytearray(raw)
    for index in range(size):
        out[index:whole:size] = raw[size - 1 - index : whole : size]
    return bytes(out)
