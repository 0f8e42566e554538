"""Answers to queries in the DICOM JSON model (PS3.18 F.2): rows of the index, and metadata where more is asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from pacs.access import Principal
from pacs.attributes import BY_TAG, Level, above, at
from pacs.identifier import needs_metadata
from pacs.matching import Test, matcher
from pacs.names import pn_json
from pacs.query import Position, Query
from pacs.values import Json, da_text, integer, text, tm_text
from storage.archive import Archive
from storage.index.locator import find_specimens
from storage.paging import position_of
from storage.search import Found, candidate_series, metadata_lines, search

ROWS_MAX = 10_000  # of one answer above the instance level
SCANNED_MAX = 2000  # rows whose metadata one query reads
INSTANCES_MAX = 5000  # of one answer at the instance level
BATCH = 100
AVAILABLE: Json = {"00080056": {"vr": "CS", "Value": ["ONLINE"]}}
# Columns whose names differ in the joined row.
_NAMES = {
    (Level.STUDY, "description"): "study_description",
    (Level.STUDY, "instance_count"): "study_instance_count",
    (Level.SERIES, "description"): "series_description",
}
_RELATED = {
    "00201200": "patient_study_count", "00201202": "patient_series_count", "00201204": "patient_instance_count",
}  # fmt: skip


class Answers:
    """What a query finds, one DICOM JSON data set each, with all that is known at its level. Iterate once; after that
    `more` tells whether there would have been more than was asked for or than one answer may hold, and `end` where
    the next page begins: for instances in a series of which `end_offset` were given. `tags`: of the index no others
    are told; all, if there are none."""

    def __init__(
        self, archive: Archive, query: Query, principal: Principal, *, deep: bool = False,
        tags: frozenset[str] = frozenset(),
    ) -> None:  # fmt: skip
        self._archive, self._query, self._principal = archive, query, principal
        self._columns = _columns(query.level, tags)
        self._test: Test | None = matcher(query.rest) if query.rest else None
        self._deep = deep or needs_metadata(query.rest, query.level)
        self.more = False
        self.end: Position | None = query.after
        self.end_offset = 0

    def __iter__(self) -> Iterator[Json]:
        return self._instances() if self._query.level is Level.IMAGE else self._rows()

    def _rows(self) -> Iterator[Json]:
        query, tested = self._query, self._test is not None
        limit = SCANNED_MAX if self._deep else ROWS_MAX
        asked = limit if query.limit is None or tested else min(query.limit, limit)
        bounded = replace(query, limit=asked + 1, offset=0 if tested else query.offset)
        found = search(self._archive, bounded, self._principal)
        self.more = len(found) > asked
        skipped, given = query.offset if tested else 0, 0
        for row, answer in self._filtered(found[:asked]):
            if skipped:
                skipped -= 1
            elif given == query.limit:
                self.more = True
                return
            else:
                given += 1
                self._ends_with(row)
                yield answer
        if found and tested:
            self._ends_with(found[:asked][-1])

    def _ends_with(self, row: Found) -> None:
        if self._query.level is not Level.PATIENT:
            self.end = position_of(row, self._query.level)

    def _filtered(self, rows: list[Found]) -> Iterator[tuple[Found, Json]]:
        level = self._query.level
        for some in (rows[n : n + BATCH] for n in range(0, len(rows), BATCH)):
            known = self._specimens(some, level) if self._deep else {}
            for row, answer in zip(some, self._columns.attributes(some), strict=True):
                if known:
                    answer = dict(sorted((known.get(key_of(row, level), {}) | answer).items()))
                if self._test is None or self._test(answer):
                    yield row, answer

    def _specimens(self, rows: list[Found], level: Level) -> dict[int, Json]:
        """What one instance of each says of its patient, study and series."""
        keys = [key_of(row, level) for row in rows]
        standing = self._archive.standings.of(self._principal)
        with self._archive.read_as(self._principal) as connection:
            places = find_specimens(connection, self._principal, level, keys, standing)
        wanted = {a.tag for a in at(*above(level)) if not a.computed}
        found = {}
        for key, series_pk, pack_id, edition in places:
            line = self._archive.shelf.lines(self._archive.objects, series_pk, pack_id, edition)[0]
            found[key] = {tag: e for tag, e in json.loads(line).items() if tag in wanted}
        return found

    def _instances(self) -> Iterator[Json]:
        series, self.more = candidate_series(self._archive, self._query, self._principal)
        asked = INSTANCES_MAX if self._query.limit is None else min(self._query.limit, INSTANCES_MAX)
        skipped, given = self._query.offset, 0
        for row, lines in metadata_lines(self._archive, series):
            within = 0
            for answer in filter(self._test, self._of_series(row, lines)):
                within += 1
                if skipped:
                    skipped -= 1
                elif given == asked:
                    self.more = True
                    return
                else:
                    given += 1
                    self.end, self.end_offset = position_of(row, Level.IMAGE), within
                    yield answer
            self.end, self.end_offset = position_of(row, Level.IMAGE), within

    def _of_series(self, row: Found, lines: list[bytes]) -> Iterator[Json]:
        known = _columns(Level.SERIES).attributes([row])[0]
        told = {tag: e for tag, e in known.items() if _is_told(tag)}
        for attributes in sorted(map(json.loads, lines), key=_instance_number):
            yield attributes | told


def _is_told(tag: str) -> bool:
    """Whether the archive knows it better than an instance: counts, availability."""
    return tag in AVAILABLE or BY_TAG[tag].computed


def key_of(row: Found, level: Level) -> int:
    """The row's key in the table of its level."""
    names = {Level.PATIENT: "patient_pk", Level.STUDY: "study_pk", Level.SERIES: "series_pk"}
    return int(getattr(row, names[level]))


Say = Callable[[Any], Any]
_SAID: dict[str, Say] = {"SQ": json.loads, "PN": pn_json, "DA": da_text, "TM": tm_text}  # others as they are


@dataclass(frozen=True, slots=True)
class Columns:
    """What a row tells: of each tag the column it is in, and how its value is said."""

    shape: Json  # every tag, in order, before anything is known
    told: tuple[tuple[str, str, Callable[[Any], Json]], ...]

    def attributes(self, rows: list[Found]) -> list[Json]:
        """Rows of one query in DICOM JSON, in the order of tags."""
        fields = rows[0]._fields if rows else ()
        told = [(tag, fields.index(name), say) for tag, name, say in self.told if rows]
        return [self.shape | {tag: say(row[place]) for tag, place, say in told} for row in rows]


@lru_cache(maxsize=256)
def _columns(level: Level, tags: frozenset[str] = frozenset()) -> Columns:
    """Those of a level and of those above it, of these tags or all."""
    found = [
        (a, _NAMES.get((a.level, a.column), a.column)) for a in at(*above(level)) if a.column is not None
    ]
    if level is Level.PATIENT:
        found += [(BY_TAG[tag], name) for tag, name in _RELATED.items()]
    told = [(a, name) for a, name in found if not tags or a.tag in tags]
    shape = {a.tag: {"vr": a.vr} for a, _ in told} | AVAILABLE
    return Columns(dict(sorted(shape.items())), tuple((a.tag, name, _sayer(a.vr)) for a, name in told))


def _sayer(vr: str) -> Callable[[Any], Json]:
    """How the value of a column is said, one or many; None and "" are no values."""
    say, nothing = _SAID.get(vr), {"vr": vr}

    def element(value: Any) -> Json:
        many = value if isinstance(value, list) else (value,)
        values = [say(v) if say else v for v in many if v is not None and v != ""]
        return {"vr": vr, "Value": values} if values else nothing

    return element


def _instance_number(attributes: Json) -> tuple[int, str]:
    return integer(attributes, "00200013") or 0, text(attributes, "00080018")
