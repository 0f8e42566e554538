"""Search: a Query and a principal in, rows out."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import Row, select

from pacs.access import Principal
from pacs.attributes import Level
from pacs.query import Query
from storage.archive import Archive
from storage.index.compiler import compile_count, compile_query
from storage.index.tables import series_packs
from storage.index.within import is_of_most, plan_of

BATCH = 100  # series whose packs are asked for at once
COUNTED_MAX = 200  # studies or series
SERIES_SCANNED_MAX = 500  # for one query at the instance level
Found = Row[Any]


def search(archive: Archive, query: Query, principal: Principal) -> list[Found]:
    """Studies or series (columns of `storage.index.compiler`); raises BadQuery."""
    standing = archive.standings.of(principal)
    of_most = query.level is Level.PATIENT and is_of_most(query, standing)
    statement = compile_query(query, principal, standing, of_most=of_most)
    with archive.read_as(
        principal, listing=True, plan=plan_of(query, standing, of_most=of_most)
    ) as connection:
        return list(connection.execute(statement))


class Total(NamedTuple):
    """How many there are in all pages; where it is not whole, at least so many."""

    number: int
    is_whole: bool


def total(archive: Archive, query: Query, principal: Principal) -> Total | None:
    """Counted until COUNTED_MAX studies or series are; of instances those of the series that match. None where that
    takes more than the index."""
    if query.rest or any(m.attribute.level is Level.IMAGE for m in query.matches):
        return None
    standing = archive.standings.of(principal)
    counted = compile_count(query, principal, standing, COUNTED_MAX)
    with archive.read_as(principal, listing=True, plan=plan_of(query, standing)) as connection:
        number, rows = connection.execute(counted).one()
    return Total(int(number or 0), rows < COUNTED_MAX)


def candidate_series(archive: Archive, query: Query, principal: Principal) -> tuple[list[Found], bool]:
    """For the instance level: the series to look into, and whether there would be more."""
    assert query.level is Level.IMAGE, "the other levels are answered by search"
    standing = archive.standings.of(principal)
    statement = compile_query(query, principal, standing).limit(SERIES_SCANNED_MAX + 1)
    with archive.read_as(principal, listing=True, plan=plan_of(query, standing)) as connection:
        found = list(connection.execute(statement))
    return found[:SERIES_SCANNED_MAX], len(found) > SERIES_SCANNED_MAX


def metadata_lines(archive: Archive, found: list[Found]) -> Iterator[tuple[Found, list[bytes]]]:
    """Each series with the DICOM JSON of its instances."""
    for some in (found[n : n + BATCH] for n in range(0, len(found), BATCH)):
        places: dict[int, list[tuple[uuid.UUID, int]]] = {row.series_pk: [] for row in some}
        statement = (
            select(series_packs.c.series_pk, series_packs.c.pack_id, series_packs.c.edition)
            .where(series_packs.c.series_pk.in_(places), series_packs.c.instance_count > 0)
            .order_by(series_packs.c.pack_id)
        )
        with archive.database.read() as connection:
            for series_pk, pack_id, edition in connection.execute(statement):
                places[series_pk].append((pack_id, edition))
        for row in some:
            packs_of_it = places[row.series_pk]
            yield (
                row,
                [
                    x
                    for pack, edition in packs_of_it
                    for x in archive.shelf.lines(archive.objects, row.series_pk, pack, edition)
                ],
            )
