"""Search: a Query and a principal in, rows out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Row

from pacs.access import Principal
from pacs.attributes import Level
from pacs.query import Query
from storage.archive import Archive
from storage.index.compiler import compile_query

SERIES_SCANNED_MAX = 500  # for one query at the instance level
Found = Row[Any]


def search(archive: Archive, query: Query, principal: Principal) -> list[Found]:
    """Studies or series (columns of `storage.index.compiler`); raises BadQuery."""
    with archive.database.begin() as connection:
        return list(connection.execute(compile_query(query, principal)))


def candidate_series(archive: Archive, query: Query, principal: Principal) -> tuple[list[Found], bool]:
    """For the instance level: the series to look into, and whether there would be more."""
    assert query.level is Level.IMAGE, "the other levels are answered by search"
    statement = compile_query(query, principal).limit(SERIES_SCANNED_MAX + 1)
    with archive.database.begin() as connection:
        found = list(connection.execute(statement))
    return found[:SERIES_SCANNED_MAX], len(found) > SERIES_SCANNED_MAX


def metadata_lines(archive: Archive, found: list[Found]) -> Iterator[tuple[Found, list[bytes]]]:
    """Each series with the DICOM JSON of its instances."""
    for row in found:
        with archive.database.begin() as connection:
            yield row, archive.metadata(connection, row.series_pk)
