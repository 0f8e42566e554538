"""Answers to queries in the DICOM JSON model (PS3.18 F.2): rows of the index, and metadata where more is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, time
from functools import lru_cache
from typing import Any

from pacs.access import Principal
from pacs.attributes import BY_TAG, Attribute, Level, above, at
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
            for row in some:
                answer = known.get(key_of(row, level), {}) | row_attributes(row, self._columns)
                if self._test is None or self._test(answer):
                    yield row, dict(sorted(answer.items()))

    def _specimens(self, rows: list[Found], level: Level) -> dict[int, Json]:
        """What one instance of each says of its patient, study and series."""
        keys = [key_of(row, level) for row in rows]
        with self._archive.database.read() as connection:
            places = find_specimens(connection, self._principal, level, keys)
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
        told = {tag: e for tag, e in row_attributes(row, _columns(Level.SERIES)).items() if _is_told(tag)}
        for attributes in sorted(map(json.loads, lines), key=_instance_number):
            yield attributes | told


def _is_told(tag: str) -> bool:
    """Whether the archive knows it better than an instance: counts, availability."""
    return tag in AVAILABLE or BY_TAG[tag].computed


def key_of(row: Found, level: Level) -> int:
    """The row's key in the table of its level."""
    names = {Level.PATIENT: "patient_pk", Level.STUDY: "study_pk", Level.SERIES: "series_pk"}
    return int(getattr(row, names[level]))


Columns = tuple[tuple[Attribute, str], ...]  # each with the name of its column in a row


@lru_cache(maxsize=256)
def _columns(level: Level, tags: frozenset[str] = frozenset()) -> Columns:
    """Those of a level and of those above it, of these tags or all."""
    found = [
        (a, _NAMES.get((a.level, a.column), a.column)) for a in at(*above(level)) if a.column is not None
    ]
    if level is Level.PATIENT:
        found += [(BY_TAG[tag], name) for tag, name in _RELATED.items()]
    return tuple((a, name) for a, name in found if not tags or a.tag in tags)


def row_attributes(row: Found, columns: Columns) -> Json:
    """What a row tells."""
    return {a.tag: _element(a, getattr(row, name)) for a, name in columns} | AVAILABLE


def _element(attribute: Attribute, value: Any) -> Json:
    many = value if isinstance(value, list) else [value]
    encoded = [_value(attribute, v) for v in many if v is not None and v != ""]
    return {"vr": attribute.vr, "Value": encoded} if encoded else {"vr": attribute.vr}


def _value(attribute: Attribute, value: Any) -> Any:
    if attribute.vr == "SQ":
        return json.loads(value)
    if isinstance(value, time):
        return tm_text(value)
    if isinstance(value, date):
        return da_text(value)
    return pn_json(value) if attribute.vr == "PN" else value


def _instance_number(attributes: Json) -> tuple[int, str]:
    return integer(attributes, "00200013") or 0, text(attributes, "00080018")
