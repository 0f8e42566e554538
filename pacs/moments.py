"""Values of VR DT (PS3.5 6.2): a moment that may stop after any of its parts, and ranges of them."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pacs.errors import BadQuery

# A hyphen before what can be an offset from UTC (down to -1200) is its sign; every other one parts a range.
_DT = r"(\d{4,14}(?:\.\d{1,6})?(?:\+(?:0\d|1[0-4])[0-5]\d|-(?:0\d|1[0-2])[0-5]\d)?)"
_ONE, _RANGE = re.compile(_DT), re.compile(f"{_DT}?(-?){_DT}?")
_DIGITS = (4, 6, 8, 10, 12, 14)  # after which a DT may stop
_YEAR_1 = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Moment:
    """A DT: the first and the last instant that it may mean, read from its clock as if that showed UTC, and how far
    the clock is ahead of UTC, if the value says so."""

    first: datetime
    last: datetime
    ahead: timedelta | None

    def within(self, low: Moment | None, high: Moment | None) -> bool:
        """Whether its beginning lies in the range; None is open. Clocks are compared as they are where one of the two
        does not say where it stands."""
        return (low is None or _order(low.first, low, self.first, self)) and (
            high is None or _order(self.first, self, high.last, high)
        )


def read(text: str) -> Moment | None:
    """A DT, or None if it is none."""
    if not _ONE.fullmatch(text):
        return None
    sign = max(text.rfind("+"), text.rfind("-"))
    clock, zone = (text[:sign], text[sign:]) if sign > 0 else (text, "")
    digits, _, fraction = clock.partition(".")
    if len(digits) not in _DIGITS or (fraction and len(digits) < 14):
        return None
    first = digits + "00000101000000"[len(digits) :] + fraction.ljust(6, "0")
    last = _filled(digits) + fraction.ljust(6, "9")
    try:
        ends = [datetime.strptime(f"{t}+0000", "%Y%m%d%H%M%S%f%z") for t in (first, last)]
    except ValueError:
        return None
    return Moment(ends[0], ends[1], _ahead(zone))


def read_range(keyword: str, text: str) -> tuple[Moment | None, Moment | None]:
    """The ends of a range, or twice a single value; None is open. Raises BadQuery, which names the keyword."""
    found = _RANGE.fullmatch(text)
    ends = [(t, read(t) if t else None) for t in found.group(1, 3)] if found else []
    if not found or not any(m for _, m in ends) or any(t and not m for t, m in ends):
        raise BadQuery(f"{keyword} needs a value, or a range such as 20260101-202602011200")
    return (ends[0][1], ends[1][1]) if found.group(2) else (ends[0][1], ends[0][1])


def _order(earlier: datetime, one: Moment, later: datetime, other: Moment) -> bool:
    """As distances from the year 1, because an offset may lead out of what datetime holds."""
    left, right = earlier - _YEAR_1, later - _YEAR_1
    if one.ahead is not None and other.ahead is not None:
        left, right = left - one.ahead, right - other.ahead
    return left <= right


def _filled(digits: str) -> str:
    """To the last second of the year, month, day, hour or minute."""
    if len(digits) == 6 and "01" <= digits[4:] <= "12" and digits[:4] != "0000":
        digits += str(monthrange(int(digits[:4]), int(digits[4:]))[1])
    return digits + "00001231235959"[len(digits) :]


def _ahead(zone: str) -> timedelta | None:
    if not zone:
        return None
    distance = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:5]))
    return distance if zone[0] == "+" else -distance
