"""Attribute matching (PS3.4 C.2.2.2) between an identifier and a data set, both as DICOM JSON (PS3.18 F.2).

Values are read by `pacs.query.match`, and mean what they mean to the SQL compiler: C-FIND, QIDO and the worklist agree.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import time
from fnmatch import translate
from functools import lru_cache
from typing import Any

from pacs import moments
from pacs.attributes import BY_TAG, Attribute, Level
from pacs.encoded.dictionary import public_vr
from pacs.errors import BadQuery
from pacs.names import fold, pn_text
from pacs.query import Between, Match, Wildcard, match
from pacs.values import Json, da, items, tm

Test = Callable[[Json], bool]
Projection = Callable[[Json], Json]
CHARSET = "00080005"
NESTING_LEVELS_MAX = 16  # of sequences in an identifier
GROUPS_MAX = 3  # of a person name (PS3.5 6.2.1)
# They say how to ask, not what is asked for: character set, level, view, time zone (PS3.4 C.4.1.1.3).
CONTROLS = frozenset({CHARSET, "00080052", "00080053", "00080201"})
NUMBERS = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"})
# A date and the time that belongs to it: two ranges together are one period (PS3.4 C.2.2.2.5, K.6.1.2.2).
PAIRS = {
    "00080012": "00080013", "00080020": "00080030", "00080021": "00080031", "00080022": "00080032",
    "00080023": "00080033", "00100030": "00100032", "00380020": "00380021", "00400002": "00400003",
    "00400004": "00400005", "00400244": "00400245", "00400250": "00400251", "00402004": "00402005",
}  # fmt: skip


def matches(identifier: Json, dataset: Json) -> bool:
    """Whether a data set matches all keys of an identifier; raises BadQuery for an identifier that cannot be read.

    For many data sets use `matcher`, which reads the identifier once.
    """
    return matcher(identifier)(dataset)


def matcher(identifier: Json) -> Test:
    """The test that an identifier is; raises BadQuery for one that cannot be read."""
    return _all_of(_tests(identifier, 0))


def projector(identifier: Json) -> Projection:
    """What an identifier asks for: its keys, with the values of a data set or none. A sequence without an item, or
    with an empty one, asks for all of it; else for the keys of its item, of each item that matches. Raises BadQuery."""
    return _projector(identifier, 0)


def _projector(identifier: Json, depth: int) -> Projection:
    # Whoever encodes the answer declares its character set.
    keys = [(tag, _teller(tag, asked, depth)) for tag, asked in sorted(identifier.items()) if tag != CHARSET]
    return lambda dataset: {tag: tell(dataset) for tag, tell in keys}


def _teller(tag: str, asked: Json, depth: int) -> Projection:
    """What is told under one key."""
    vr = _vr(tag, asked)
    nothing: Json = {"vr": vr}
    item = _item(asked, depth) if vr == "SQ" else None
    if not item:
        return lambda dataset: dataset.get(tag, nothing)
    fits, inner = _all_of(_tests(item, depth + 1)), _projector(item, depth + 1)

    def tell(dataset: Json) -> Json:
        projected = [inner(i) for i in items(dataset, tag) if fits(i)]
        return {"vr": vr, "Value": projected} if projected else nothing

    return tell


def _all_of(tests: list[Test]) -> Test:
    return lambda dataset: all(test(dataset) for test in tests)


def _tests(identifier: Json, depth: int) -> list[Test]:
    """One test for each key that is not matched universally."""
    if depth > NESTING_LEVELS_MAX:
        raise BadQuery(f"an identifier has at most {NESTING_LEVELS_MAX} levels of sequences")
    periods = _periods(identifier)
    tests = [_period(d, t, periods[d], periods[t]) for d, t in PAIRS.items() if d in periods]
    for tag, asked in identifier.items():
        vr = _vr(tag, asked)
        if tag in CONTROLS or tag in periods:
            continue
        if vr == "SQ":
            tests += _sequence(tag, asked, depth)
        elif vr == "DT":
            tests += _date_time(_attribute(tag, vr), texts(asked))
        elif any_of := wanted(tag, vr, asked):
            tests.append(_value(tag, vr, any_of))
    return tests


def _vr(tag: str, asked: Json) -> str:
    declared = BY_TAG[tag].vr if tag in BY_TAG else asked.get("vr")
    if declared and declared != "UN":
        return str(declared)
    return (public_vr(int(tag, 16)) if re.fullmatch("[0-9A-Fa-f]{8}", tag) else None) or "UN"


# --- Sequences (C.2.2.2.6) ------------------------------------------------------------------------------------------


def _item(asked: Json, depth: int) -> Json | None:
    """The keys within a sequence; raises BadQuery where there is more than one item, or no item at all."""
    given = asked.get("Value") or []
    if len(given) > 1 or any(i is not None and not isinstance(i, dict) for i in given):
        raise BadQuery("a sequence of an identifier has one item (PS3.4 C.2.2.2.6)")
    if depth >= NESTING_LEVELS_MAX:
        raise BadQuery(f"an identifier has at most {NESTING_LEVELS_MAX} levels of sequences")
    return given[0] if given else None


def _sequence(tag: str, asked: Json, depth: int) -> list[Test]:
    item = _item(asked, depth)
    tests = _tests(item, depth + 1) if item else []
    if not tests:
        return []
    fits = _all_of(tests)
    return [lambda dataset: any(fits(i) for i in items(dataset, tag))]


# --- Values ---------------------------------------------------------------------------------------------------------


def texts(element: Json) -> list[str]:
    """The values as text, without padding; empty ones are none."""
    found = element.get("Value")
    present = [v for v in (found if isinstance(found, list) else []) if v is not None]
    written = [(pn_text(v) if isinstance(v, dict) else str(v)).replace("\0", "").strip() for v in present]
    return [t for t in written if t]


def wanted(tag: str, vr: str, asked: Json) -> list[Match]:
    """What the element of an identifier asks for: any of these; none for universal matching. Not for SQ and DT."""
    of = _attribute(tag, vr)
    values = ["\\".join(texts(asked))] if vr == "UI" else texts(asked)
    found = [match(of, text) for text in values]
    return [] if None in found else [m for m in found if m is not None]


def _attribute(tag: str, vr: str) -> Attribute:
    return BY_TAG.get(tag) or Attribute(tag, f"({tag[:4]},{tag[4:]})", vr, Level.IMAGE)


def _value(tag: str, vr: str, any_of: list[Match]) -> Test:
    tests = [_one(vr, m) for m in any_of]
    return lambda dataset: any(test(v) for v in texts(dataset.get(tag, {})) for test in tests)


def _one(vr: str, asked: Match) -> Callable[[str], bool]:
    if isinstance(asked, Between):
        read: Callable[[str], Any] = da if vr == "DA" else tm
        return lambda text: _within(read(text), asked.low, asked.high)
    if vr == "PN":
        return _name([asked.pattern] if isinstance(asked, Wildcard) else list(asked.any_of))
    if isinstance(asked, Wildcard):
        pattern = _pattern(asked.pattern.lower())
        return lambda text: pattern.match(text.lower()) is not None
    if vr in NUMBERS:
        numbers = {_number(asked.attribute, v) for v in asked.any_of}
        return lambda text: _is_number(text) and float(text) in numbers
    return lambda text: text in asked.any_of


def _within(value: Any, low: Any, high: Any) -> bool:
    return value is not None and (low is None or low <= value) and (high is None or value <= high)


def _number(of: Attribute, text: str) -> float:
    if not _is_number(text):
        raise BadQuery(f"{of.keyword} needs a number")
    return float(text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str]:
    """`*` is any run of characters, `?` is one, all else is itself. Its time is linear in text and pattern's product,
    because what follows a `*` is found once and not given back."""
    return re.compile(translate(text.replace("[", "[[]")))


def _name(patterns: list[str]) -> Callable[[str], bool]:
    """Any component group, or several in a row, without regard to case and accents; a key that begins with empty
    groups (`=王*`) asks for the groups that it names."""
    compiled = [_pattern(fold(p).strip("=")) for p in patterns]
    return lambda text: any(p.match(run) for run in _runs(fold(text)) for p in compiled)


def _runs(name: str) -> list[str]:
    groups = name.split("=", GROUPS_MAX)
    ends = range(1, len(groups) + 1)
    return ["=".join(groups[begin:end]) for end in ends for begin in range(end)]


# --- Dates with times (C.2.2.2.5) -----------------------------------------------------------------------------------


def _periods(identifier: Json) -> dict[str, Between]:
    """Dates and times of pairs that are both ranges; to be matched together, not each for itself."""
    found: dict[str, Between] = {}
    for day, clock in PAIRS.items():
        asked = [wanted(tag, vr, identifier.get(tag, {})) for tag, vr in ((day, "DA"), (clock, "TM"))]
        if all(
            len(a) == 1 and "-" in texts(identifier[t])[0] for a, t in zip(asked, (day, clock), strict=True)
        ):
            found |= {
                tag: a[0] for tag, a in zip((day, clock), asked, strict=True) if isinstance(a[0], Between)
            }
    return found


def _period(day: str, clock: str, days: Between, clocks: Between) -> Test:
    """From the first day's time to the last day's. A data set without the time is not within."""
    low = (days.low, clocks.low or time.min) if days.low else None
    high = (days.high, clocks.high or time.max) if days.high else None

    def test(dataset: Json) -> bool:
        pairs = zip(
            map(da, texts(dataset.get(day, {}))), map(tm, texts(dataset.get(clock, {}))), strict=False
        )
        return any(_within((d, t), low, high) for d, t in pairs if d is not None and t is not None)

    return test


def _date_time(of: Attribute, values: list[str]) -> list[Test]:
    if not values or any(set(v) == {"*"} for v in values):
        return []
    ranges = [moments.read_range(of.keyword, t) for t in values]

    def test(dataset: Json) -> bool:
        found = [m for m in map(moments.read, texts(dataset.get(of.tag, {}))) if m]
        return any(m.within(low, high) for m in found for low, high in ranges)

    return [test]
