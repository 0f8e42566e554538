"""Values of DICOM JSON (PS3.18 Annex F) as Python values, forgiving what modalities write."""

from __future__ import annotations

import re
from datetime import date, time
from typing import Any

from pacs.names import pn_text

Json = dict[str, Any]
TEXT_MAX = 1024  # characters of a value that the index keeps

_DATE = re.compile(r"(\d{4})[.-]?(\d{2})[.-]?(\d{2})")
_TIME = re.compile(r"(\d{2}):?(\d{2})?:?(\d{2})?(?:\.(\d{1,6}))?")


def values(attributes: Json, tag: str) -> list[Any]:
    """All values of an attribute; empty if it is absent or empty."""
    found = attributes.get(tag, {}).get("Value")
    return found if isinstance(found, list) else []


def first(attributes: Json, tag: str) -> Any:
    """The first value, or None."""
    found = values(attributes, tag)
    return found[0] if found else None


def items(attributes: Json, tag: str) -> list[Json]:
    """The items of a sequence; none if it is absent."""
    return [item for item in values(attributes, tag) if isinstance(item, dict)]


def text(attributes: Json, tag: str) -> str:
    """The first value as text, `""` if there is none; NULs, which PostgreSQL cannot hold, are dropped."""
    value = first(attributes, tag)
    if value is None:
        return ""
    written = pn_text(value) if attributes[tag].get("vr") == "PN" else str(value)
    return written.replace("\0", "").strip()[:TEXT_MAX]


def integer(attributes: Json, tag: str) -> int | None:
    """The first value as a whole number within 64 bits, or None."""
    try:
        number = int(float(first(attributes, tag)))
    except (TypeError, ValueError, OverflowError):
        return None
    return number if -(2**63) <= number < 2**63 else None


def floats(attributes: Json, tag: str, count: int) -> list[float] | None:
    """Exactly `count` finite numbers, or None."""
    try:
        numbers = [float(v) for v in values(attributes, tag)]
    except (TypeError, ValueError):
        return None
    finite = len(numbers) == count and all(abs(n) < 1e300 for n in numbers)
    return numbers if finite else None


def da(written: str) -> date | None:
    """A DA (also the old form with dots, PS3.5 6.2), or None if it is no date."""
    match = _DATE.match(written.strip())
    try:
        return date(*(int(part) for part in match.groups())) if match else None
    except ValueError:
        return None


def tm(written: str) -> time | None:
    """A TM, which may stop after hours or minutes, or None if it is no time."""
    match = _TIME.match(written.strip())
    if not match:
        return None
    hour, minute, second, fraction = match.groups()
    try:
        return time(
            int(hour), int(minute or 0), min(int(second or 0), 59), int((fraction or "0").ljust(6, "0"))
        )
    except ValueError:
        return None


def da_text(value: date | None) -> str:
    return value.isoformat().replace("-", "") if value else ""


def tm_text(value: time | None) -> str:
    return value.isoformat().replace(":", "") if value is not None else ""
