"""Small typed readers for the DICOM JSON model (PS3.18 Annex F), the shape in which metadata is held.

`{"00280010": {"vr": "US", "Value": [512]}}`; binary values stand as base64 in "InlineBinary", little endian.
Nothing here raises on odd data: what cannot be read is absent, and the caller says what it misses.
"""

import base64
import binascii
import math
from collections.abc import Mapping
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

Attributes = Mapping[str, Any]
"""A DICOM JSON object: 8 hex digits of the tag to {"vr", "Value" | "InlineBinary" | "BulkDataURI"}."""

_BINARY_VRS = {"OB", "OD", "OF", "OL", "OV", "OW", "UN"}
_WORD_BYTES = {"OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}
_PIXEL_TAGS = {0x7FE00008, 0x7FE00009, 0x7FE00010}
_GROUPS = {0x0008, 0x0018, 0x0028, 0x2050, 0x5200, 0x0020, 0x3004}


def values(attributes: Attributes, tag: str) -> list[Any]:
    """All values of an element, [] where it is absent or empty."""
    found = _part(attributes, tag, "Value")
    return found if isinstance(found, list) else []


def vr_of(attributes: Attributes, tag: str) -> str:
    """The value representation of an element, "" where it is absent."""
    found = _part(attributes, tag, "vr")
    return found if isinstance(found, str) else ""


def text(attributes: Attributes, tag: str) -> str:
    """The first value as stripped upper-case text, "" where absent (code strings, PS3.5 6.2)."""
    found = values(attributes, tag)
    return str(found[0]).strip().upper() if found and found[0] is not None else ""


def numbers(attributes: Attributes, tag: str) -> list[float]:
    """The values that are finite numbers, in order; decimal strings are read as numbers too."""
    return [number for number in map(_number, values(attributes, tag)) if number is not None]


def number(attributes: Attributes, tag: str) -> float | None:
    """The first value as a finite number, None where absent."""
    found = numbers(attributes, tag)
    return found[0] if found else None


def integer(attributes: Attributes, tag: str) -> int | None:
    """The first value as an integer, None where absent."""
    found = number(attributes, tag)
    return None if found is None else int(found)


def items(attributes: Attributes, tag: str) -> list[Attributes]:
    """The items of a sequence, [] where absent."""
    return [item for item in values(attributes, tag) if isinstance(item, Mapping)]


def first_item(attributes: Attributes, tag: str) -> Attributes | None:
    """The first item of a sequence, None where absent."""
    found = items(attributes, tag)
    return found[0] if found else None


def binary(attributes: Attributes, tag: str) -> bytes | None:
    """The inline bytes of an element (little endian), None where absent or kept elsewhere."""
    encoded = _part(attributes, tag, "InlineBinary")
    if not isinstance(encoded, str):
        return None
    try:
        return base64.b64decode(encoded)
    except (binascii.Error, ValueError):
        return None


def from_dataset(dataset: Dataset) -> dict[str, Any]:
    """What the pixel room needs of a pydicom data set, as DICOM JSON; pixel data only as its VR."""
    order_swaps = dataset.original_encoding[1] is False
    return {
        f"{int(element.tag):08X}": _element(element.VR, element.value, int(element.tag), order_swaps)
        for element in (dataset[tag] for tag in dataset.keys() if _wanted(int(tag)))  # noqa: SIM118
    }


def _part(attributes: Attributes, tag: str, part: str) -> Any:
    element = attributes.get(tag)
    return element.get(part) if isinstance(element, dict) else None


def _wanted(tag: int) -> bool:
    return tag >> 16 in _GROUPS or tag in _PIXEL_TAGS


def _element(vr: str, value: Any, tag: int, swap: bool) -> dict[str, Any]:
    if tag in _PIXEL_TAGS:
        return {"vr": vr}
    if isinstance(value, Sequence):
        return {"vr": "SQ", "Value": [from_dataset(item) for item in value]}
    if isinstance(value, bytes):
        return {"vr": vr, "InlineBinary": base64.b64encode(_little(value, vr, swap)).decode()}
    if value is None or value == "":
        return {"vr": vr}
    many = value if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]
    return {"vr": vr, "Value": [_plain(each) for each in many]}


def _little(value: bytes, vr: str, swap: bool) -> bytes:
    """Words of a big endian data set turned, as PS3.18 F.2.7 has them little endian."""
    size = _WORD_BYTES.get(vr, 1)
    if not swap or size == 1 or len(value) % size:
        return value
    turned = bytearray(len(value))
    for byte in range(size):
        turned[byte::size] = value[size - 1 - byte :: size]
    return bytes(turned)


def _plain(value: Any) -> Any:
    """Decimal and integer strings become numbers, all else text."""
    if isinstance(value, (int, float)):
        return int(value) if isinstance(value, int) else float(value)
    return str(value)


def _number(value: Any) -> float | None:
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None
