"""Where a page of a list ended: the next one begins there, however deep, and whatever came in meanwhile."""

from __future__ import annotations

import base64
import json
from datetime import date

from pacs.attributes import Level
from pacs.errors import BadQuery
from pacs.query import Position
from storage.search import Found

KEY_MAX = 2**63 - 1


def position_of(row: Found, level: Level) -> Position:
    """The place of a row in the list of its level."""
    if level is Level.STUDY:
        return row.sort_date, row.study_pk
    return row.sort_date, row.study_pk, row.number, row.series_pk


def as_text(position: Position) -> str:
    """A cursor, which says nothing to who is given it."""
    day, *rest = position
    said = json.dumps([day.isoformat(), *rest], separators=(",", ":"))
    return base64.urlsafe_b64encode(said.encode()).decode().rstrip("=")


def from_text(cursor: str, level: Level) -> Position:
    """Raises BadQuery for what `as_text` did not make of a position of that level."""
    try:
        day, *rest = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        study = date.fromisoformat(day), _key(rest[0])
        if level is Level.STUDY and len(rest) == 1:
            return study
        number = None if rest[1] is None else int(rest[1])
        if level in (Level.SERIES, Level.IMAGE) and len(rest) == 3 and abs(number or 0) <= KEY_MAX:
            return *study, number, _key(rest[2])
    except (ValueError, TypeError, IndexError, RecursionError):
        pass
    raise BadQuery("the cursor is not one that this list gave")


def _key(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value <= KEY_MAX:
        raise ValueError
    return value
