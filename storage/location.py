"""Where instances lie: the locators of what somebody may see (`storage.index.locator`), as places in packs."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, TypeVar

from sqlalchemy import Row, select

from pacs.access import Principal
from pacs.attributes import Level
from pacs.errors import NotFound, ObjectMissing
from pacs.query import Equal, Fuzzy, Match, Query, attribute
from pacs.values import Json
from storage.archive import Archive
from storage.contents import Entry, in_display_order
from storage.index.locator import (
    Fragment,
    find_fragments,
    find_fragments_in,
    find_fragments_of,
    find_studies,
)
from storage.index.tables import packs, series_packs
from storage.packnames import metadata_key, progressive_key
from storage.progressive import Rendition
from storage.search import Found, search
from storage.shelf import Shown

T = TypeVar("T")

_PLACE: tuple[Any, ...] = (series_packs.c.pack_id, series_packs.c.edition, series_packs.c.rendition_bytes,
          series_packs.c.resolutions, packs.c.key)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Located:
    """An instance, and where its pack is."""

    entry: Entry
    key: str  # of the pack in the object store
    study_uid: str
    series_uid: str
    rendition: Rendition | None = None  # of the series as far as it lies in this pack


def find_series(archive: Archive, principal: Principal, study_uid: str, series_uid: str = "") -> list[Found]:
    """The series of a study that may be seen; raises NotFound if there is none, or none that may."""
    matches = [Equal(attribute("StudyInstanceUID"), (study_uid,))]
    if series_uid:
        matches.append(Equal(attribute("SeriesInstanceUID"), (series_uid,)))
    found = search(archive, Query(Level.SERIES, tuple(matches)), principal)
    if not found:
        raise NotFound("there is no such study" if not series_uid else "there is no such series")
    return found


def fragments(archive: Archive, principal: Principal, study_uid: str, series_uid: str = "") -> list[Fragment]:
    """The packs in which a study's or a series' instances lie; raises NotFound if none may be seen."""
    found = _fragments(archive, principal, study_uid, series_uid)
    if not found:
        raise NotFound("there is no such study" if not series_uid else "there is no such series")
    return found


def _fragments(archive: Archive, principal: Principal, study_uid: str, series_uid: str) -> list[Fragment]:
    standing = archive.standings.of(principal)
    with archive.read_as(principal) as connection:
        if standing is None:
            return find_fragments(connection, principal, study_uid, series_uid)
        seen = find_studies(connection, principal, standing, study_uid)
        return find_fragments_in(connection, seen, series_uid) if seen else []


def locate(archive: Archive, principal: Principal, study_uid: str, series_uid: str = "",
           sop_instance: str = "") -> list[Located]:  # fmt: skip
    """The instances of a study, a series, or one, in display order; raises NotFound."""
    return _whole(archive, fragments(archive, principal, study_uid, series_uid), sop_instance)


def _whole(archive: Archive, found: list[Fragment], sop_instance: str) -> list[Located]:
    located = list(_named(archive, found, sop_instance)) if sop_instance else _of_all(archive, found)
    if not located:
        raise NotFound("there is no such instance")
    return located


def locate_of(
    archive: Archive, principal: Principal, series_pk: int, pack_id: uuid.UUID | None = None
) -> list[Located]:
    """The instances of a series by its key, or what one pack holds of it, in display order; raises NotFound."""
    with archive.read_as(principal) as connection:
        located = _of_all(archive, find_fragments_of(connection, principal, series_pk, pack_id))
    if not located:
        raise NotFound("there is no such series")
    return located


def _of_all(archive: Archive, found: list[Fragment]) -> list[Located]:
    of_series = groupby(found, key=lambda fragment: fragment.series_pk)
    return [one for _, of_one in of_series for one in _in_order(archive, list(of_one))]


def locate_matches(archive: Archive, query: Query, principal: Principal) -> list[Located]:
    """The instances of all series that match a query and may be seen; of these the named ones, where it names any."""
    named = {uid for m in query.matches if m.attribute.keyword == "SOPInstanceUID" for uid in _uids(m)}
    level = Level.IMAGE if named else Level.SERIES
    rows = search(archive, replace(query, level=level, rest={}), principal)
    found = [one for row in rows for one in series_instances(archive, row)]
    return [one for one in found if one.entry.sop_instance in named] if named else found


def _uids(match: Match | Fuzzy) -> tuple[str, ...]:
    return match.any_of if isinstance(match, Equal) else ()


def _named(archive: Archive, found: list[Fragment], sop_instance: str) -> Iterator[Located]:
    for fragment, shown, place in _places(archive, found, sop_instance):
        yield _located(shown.entries[place], fragment)


def _in_order(archive: Archive, of_one_series: list[Fragment]) -> list[Located]:
    keys = {fragment.pack_id: fragment for fragment in of_one_series}
    entries = [entry for fragment in of_one_series for entry in _shown(archive, fragment).entries]
    return [_located(entry, keys[entry.pack]) for entry in in_display_order(entries)]


def _shown(archive: Archive, of: Fragment) -> Shown:
    return archive.shelf.shown(archive.objects, of.series_pk, of.pack_id, of.edition)


def _located(entry: Entry, fragment: Fragment) -> Located:
    rendition = _rendition(fragment, fragment.series_pk)
    return Located(entry, fragment.key, fragment.study_uid, fragment.series_uid, rendition)


def _rendition(of: Row[Any], series_pk: int) -> Rendition | None:
    if of.rendition_bytes is None:
        return None
    key = progressive_key(series_pk, of.pack_id, of.edition)
    return Rendition(key, of.rendition_bytes, tuple(of.resolutions))


def series_instances(archive: Archive, row: Found) -> list[Located]:
    """The shown instances of one series that may be seen (`find_series`), in display order."""
    with archive.database.read() as connection:
        packs_of_it = connection.execute(
            select(*_PLACE)
            .join(packs, packs.c.id == series_packs.c.pack_id)
            .where(series_packs.c.series_pk == row.series_pk)
            .order_by(series_packs.c.pack_id)
        ).all()
    places = {of.pack_id: (of.key, _rendition(of, row.series_pk)) for of in packs_of_it}
    entries = [
        e
        for of in packs_of_it
        for e in archive.shelf.shown(archive.objects, row.series_pk, of.pack_id, of.edition).entries
    ]
    found = ((e, *places[e.pack]) for e in in_display_order(entries))
    return [Located(e, key, row.study_uid, row.series_uid, rendition) for e, key, rendition in found]


def described(
    archive: Archive, principal: Principal, study_uid: str, series_uid: str, sop_instance: str
) -> tuple[Located, Json]:
    """One instance and its DICOM JSON; raises NotFound."""

    def give(of: Fragment, shown: Shown, place: int) -> tuple[Located, Json]:
        lines = archive.shelf.lines(archive.objects, of.series_pk, of.pack_id, of.edition)
        return _located(shown.entries[place], of), json.loads(lines[place])

    return _of_one(archive, principal, study_uid, series_uid, sop_instance, give)


def one(
    archive: Archive, principal: Principal, study_uid: str, series_uid: str, sop_instance: str
) -> Located:
    """One instance; raises NotFound."""

    def give(of: Fragment, shown: Shown, place: int) -> Located:
        return _located(shown.entries[place], of)

    return _of_one(archive, principal, study_uid, series_uid, sop_instance, give)


def _of_one(archive: Archive, principal: Principal, study_uid: str, series_uid: str, sop_instance: str,
            give: Callable[[Fragment, Shown, int], T]) -> T:  # fmt: skip
    """Of where one instance is, by what was found within the last second; if it is not there, anew. Raises NotFound."""
    asked = (archive, principal, study_uid, series_uid)
    remembered = archive.standings.fragments(
        principal, study_uid, series_uid, lambda: tuple(_fragments(*asked))
    )
    with contextlib.suppress(ObjectMissing):  # what was written of a pack gave way to the next edition
        for place in _places(archive, remembered, sop_instance):
            return give(*place)
    for place in _places(archive, fragments(*asked), sop_instance):
        return give(*place)
    raise NotFound("there is no such instance")


def _places(
    archive: Archive, found: Iterable[Fragment], sop_instance: str
) -> Iterator[tuple[Fragment, Shown, int]]:
    for fragment in found:
        shown = _shown(archive, fragment)
        place = shown.places.get(sop_instance)
        if place is not None:
            yield fragment, shown, place


def all_described(archive: Archive, principal: Principal, study_uid: str, series_uid: str = "",
                  sop_instance: str = "") -> list[tuple[Located, Json]]:  # fmt: skip
    """What `locate` finds, each with its DICOM JSON; raises NotFound."""
    found = fragments(archive, principal, study_uid, series_uid)
    lines: dict[tuple[str, str], bytes] = {}
    for of in found:
        told = archive.shelf.lines(archive.objects, of.series_pk, of.pack_id, of.edition)
        lines |= {(of.key, uid): told[place] for uid, place in _shown(archive, of).places.items()}
    located = _whole(archive, found, sop_instance)
    return [(one, json.loads(lines[one.key, one.entry.sop_instance])) for one in located]


def attributes(
    archive: Archive, principal: Principal, study_uid: str, series_uid: str, sop_instance: str
) -> Json:
    """The DICOM JSON of one instance; raises NotFound."""
    return described(archive, principal, study_uid, series_uid, sop_instance)[1]


def metadata_keys(archive: Archive, principal: Principal, study_uid: str, series_uid: str = "") -> list[str]:
    """Where the DICOM JSON of a study's or series' instances is; raises NotFound."""
    found = fragments(archive, principal, study_uid, series_uid)
    return [metadata_key(f.series_pk, f.pack_id, f.edition) for f in found if f.instance_count > 0]
