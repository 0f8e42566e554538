"""Reindexing: packs are marked to be indexed anew, and packs that no row names are found in the store (promise P11).

The work itself is `storage.indexing`'s; the workers come to it when nothing new waits. A mark is a column, so a kill
costs nothing: what is marked is done sooner or later, and what was done is not marked any more.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from pacs.access import Principal
from pacs.errors import NotFound
from storage.archive import Archive
from storage.index import erasures, removes
from storage.index.locator import find_fragments
from storage.index.tables import facility_key, incidents, packs
from storage.packnames import made_at, pack_named, registered
from storage.rejection import recall
from storage.renewal import KIND
from storage.shipping import facility_of

PAGE = 1000  # rows or objects at a time
SETTLE_SECONDS = 2.0  # in which a pack that was stored just now gets its row from who shipped it
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Scope:
    """Which packs to index anew; empty: all. What is given must all fit."""

    facility: str = ""
    device: str = ""  # AE title that sent something in it
    study_uid: str = ""
    series_uid: str = ""


def mark(archive: Archive, principal: Principal, scope: Scope, progress: Progress = lambda _n: None) -> int:
    """Mark packs to be indexed anew, those that failed too; how many. Raises NotFound."""
    condition = _condition(archive, principal, scope)
    marked, last = 0, uuid.UUID(int=0)
    while True:
        page = select(packs.c.id).where(packs.c.id > last, condition).order_by(packs.c.id).limit(PAGE)
        with archive.database.begin() as connection:
            ids = connection.execute(page).scalars().all()
            state = case((packs.c.state == "failed", "shipped"), else_=packs.c.state)
            anew = update(packs).where(packs.c.id.in_(ids), packs.c.state != "shipped")
            connection.execute(anew.values(again=True, tries=0, state=state))
        marked += len(ids)
        progress(len(ids))
        if len(ids) < PAGE:
            return marked
        last = ids[-1]


def _condition(archive: Archive, principal: Principal, scope: Scope) -> ColumnElement[bool]:
    """Of what waits for the first time nothing is marked: it will be indexed as things stand then."""
    parts: list[ColumnElement[bool]] = [packs.c.state.in_(("indexed", "failed"))]
    with archive.database.begin() as connection:
        if scope.facility:
            known = facility_key(scope.facility)
            facility_id = connection.execute(known).scalar()
            if facility_id is None:
                raise NotFound(f"there is no facility {scope.facility}")
            parts.append(packs.c.facility_id == facility_id)
        if scope.device:  # packs that were indexed before titles were kept may hold it
            parts.append(or_(packs.c.callings.is_(None), packs.c.callings.contains([scope.device])))
        if scope.study_uid:
            found = find_fragments(connection, principal, scope.study_uid, scope.series_uid)
            if not found:
                raise NotFound(
                    "there is no such study" if not scope.series_uid else "there is no such series"
                )
            parts.append(packs.c.id.in_({f.pack_id for f in found}))
    return and_(*parts)


def remaining(archive: Archive) -> int:
    """Packs that are marked still."""
    with archive.database.begin() as connection:
        return connection.execute(select(func.count()).where(packs.c.again)).scalar_one()


def given_up(archive: Archive) -> int:
    """Packs that could not be indexed, or not anew, and that an operator must look at."""
    failed = select(func.count()).where(packs.c.state == "failed")
    told = select(func.count()).where(incidents.c.kind == KIND, incidents.c.resolved_at.is_(None))
    with archive.database.begin() as connection:
        return int(connection.execute(failed).scalar_one() + connection.execute(told).scalar_one())


def cancel(archive: Archive) -> int:
    """Take back the marks of what is indexed: it stays as it is. How many."""
    statement = update(packs).where(packs.c.again, packs.c.state == "indexed").values(again=False)
    with archive.database.begin() as connection:
        return connection.execute(statement).rowcount


@dataclass
class Listed:
    """What was found in the store."""

    added: int = 0  # packs that no row named
    known: int = 0
    foreign: int = 0  # objects under packs/ that are no packs of ours


def add_from_store(archive: Archive, progress: Progress = lambda _n: None) -> Listed:
    """Give each pack in the store a row, to be indexed after all that is new; its facility too, where it has none.
    Running it twice changes nothing."""
    listed = Listed()
    unknown: list[str] = []
    with archive.database.begin() as connection:
        removes.begin_series_after(connection, max(_series_in_store(archive), default=0))
    _recall_rejections(archive)
    for keys in _pages(archive.objects.keys("packs/")):
        with archive.database.begin() as connection:
            known = erasures.known_keys(connection, keys)
        listed.known += len(known)
        unknown += [key for key in keys if key not in known]
        progress(len(known))
    if unknown:
        time.sleep(SETTLE_SECONDS)
    for keys in _pages(iter(unknown)):
        _add(archive, keys, listed)
        progress(len(keys))
    return listed


def _recall_rejections(archive: Archive) -> None:
    """Before the first pack: what is rejected must not be shown until its note is read."""
    for key in archive.objects.keys("rejections/"):
        facility = registered(key)
        if facility is not None:
            with archive.database.begin() as connection:
                recall(archive, connection, facility_of(connection, facility), key)


def _add(archive: Archive, keys: list[str], listed: Listed) -> None:
    with archive.database.begin() as connection:
        for key in keys:
            named = pack_named(key)
            if named is None:
                listed.foreign += 1
                continue
            facility, pack_id, _ = named
            row = {
                "id": pack_id, "facility_id": facility_of(connection, facility), "key": key,
                "bytes": archive.objects.size(key), "again": True, "shipped_at": made_at(pack_id),
            }  # fmt: skip
            made = insert(packs).values(row).on_conflict_do_nothing().returning(packs.c.id)
            new = connection.execute(made).first() is not None or _is_newer(connection, row)
            listed.added += new
            listed.known += not new


def _is_newer(connection: Connection, row: dict[str, Any]) -> bool:
    """Of two writings of a pack the later one counts, which lacks what was erased; the other is swept."""
    pack = erasures.find_pack(connection, row["id"], lock=True)
    if pack is None or pack.key == row["key"]:
        return False
    writings = [named[2] if (named := pack_named(key)) else 0 for key in (pack.key, row["key"])]
    newer = writings[1] > writings[0]
    if newer:
        anew = {"key": row["key"], "bytes": row["bytes"], "again": True}
        connection.execute(update(packs).where(packs.c.id == pack.id).values(anew))
    removes.supersede(connection, pack.facility_id, [pack.key if newer else row["key"]])
    return newer


def remove_strays(archive: Archive, progress: Progress = lambda _n: None) -> int:
    """Remove what another index wrote into the store: objects of series that ours does not know. How many."""
    removed = 0
    for keys in _pages(archive.objects.keys("series/")):
        named = {key: number for key in keys if (number := _series_of(key)) is not None}
        with archive.database.begin() as connection:
            known = removes.known_series(connection, set(named.values()))
        for key in (key for key, number in named.items() if number not in known):
            archive.objects.delete(key)
            removed += 1
        progress(len(keys))
    return removed


def _series_in_store(archive: Archive) -> Iterator[int]:
    """The numbers under which any index has written objects: ours must not take them for other series, whose pictures
    would be another patient's."""
    return (number for key in archive.objects.keys("series/") if (number := _series_of(key)) is not None)


def _series_of(key: str) -> int | None:
    number = key.removeprefix("series/").partition("/")[0]
    return int(number) if number.isdecimal() and len(number) < 19 else None


def _pages(keys: Iterator[str]) -> Iterator[list[str]]:
    while page := list(islice(keys, PAGE)):
        yield page
