"""One statement for access and place: the packs that hold a study's or series' instances, if they may be seen."""

from __future__ import annotations

import uuid
from functools import lru_cache
from typing import Any

from sqlalchemy import ARRAY, BigInteger, ColumnElement, Connection, Row, Select, any_, bindparam, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from pacs.access import Principal
from pacs.attributes import Level
from storage.index.compiler import NEWEST_FIRST
from storage.index.tables import packs, series, series_packs, studies
from storage.index.visibility import Standing, visible

DIALECT = PGDialect_psycopg()  # type: ignore[no-untyped-call]
# study_uid, series_uid, series_pk, pack_id, edition, instance_count, key, rendition_bytes, resolutions
Fragment = Row[Any]


def find_fragments(
    connection: Connection, principal: Principal, study_uid: str, series_uid: str = ""
) -> list[Fragment]:
    """A row for each pack of each series, in the order in which `compile_query` lists the series."""
    said, fixed = _said(principal, one_series=bool(series_uid))
    uids = {"study": study_uid, "series": series_uid} if series_uid else {"study": study_uid}
    return list(connection.exec_driver_sql(said, fixed | uids))


def find_studies(
    connection: Connection, principal: Principal, standing: Standing, study_uid: str
) -> tuple[int, ...]:
    """The keys of the studies of this UID that may be seen."""
    query = select(studies.c.id).where(studies.c.study_uid == study_uid, visible(principal, standing))
    return tuple(connection.execute(query.order_by(studies.c.id)).scalars())


def find_fragments_in(connection: Connection, seen: tuple[int, ...], series_uid: str = "") -> list[Fragment]:
    """The same for studies that were found to be seen, by their keys."""
    said, fixed = _said(None, one_series=bool(series_uid))
    given = {"seen": list(seen), "series": series_uid} if series_uid else {"seen": list(seen)}
    return list(connection.exec_driver_sql(said, fixed | given))


def find_fragments_of(
    connection: Connection, principal: Principal, series_pk: int, pack_id: uuid.UUID | None = None
) -> list[Fragment]:
    """The same for a series by its key, or for what one pack holds of it."""
    statement = _fragments(visible(principal)).where(series.c.id == series_pk)
    if pack_id is not None:
        statement = statement.where(series_packs.c.pack_id == pack_id)
    return list(connection.execute(statement))


@lru_cache(maxsize=256)
def _said(principal: Principal | None, *, one_series: bool) -> tuple[str, dict[str, Any]]:
    """The text of the statement and its values but for the UIDs, or the keys of studies that were seen: to build it
    takes longer than to run it. What may be seen is decided by the database, anew in each request, so `visible` must
    put all that changes with time into SQL."""
    if principal is None:
        keys = bindparam("seen", [], ARRAY(BigInteger))
        statement = _fragments(studies.c.id == any_(keys))
    else:
        statement = _fragments(visible(principal)).where(studies.c.study_uid == bindparam("study", ""))
    if one_series:
        statement = statement.where(series.c.series_uid == bindparam("series", ""))
    compiled = statement.compile(dialect=DIALECT)
    return str(compiled), dict(compiled.params)


def _fragments(seen: ColumnElement[bool]) -> Select[Any]:
    return (
        select(
            studies.c.study_uid, series.c.series_uid, series.c.id.label("series_pk"),
            series_packs.c.pack_id, series_packs.c.edition, series_packs.c.instance_count, packs.c.key,
            series_packs.c.rendition_bytes, series_packs.c.resolutions,
        )
        .select_from(
            studies.join(series, series.c.study_pk == studies.c.id)
            .join(series_packs, series_packs.c.series_pk == series.c.id)
            .join(packs, packs.c.id == series_packs.c.pack_id)
        )
        .where(seen, series.c.instance_count > 0)
        .order_by(*NEWEST_FIRST, series.c.number.asc().nulls_last(), series.c.id, series_packs.c.pack_id)
    )  # fmt: skip


def find_specimens(
    connection: Connection,
    principal: Principal,
    level: Level,
    keys: list[int],
    standing: Standing | None = None,
) -> list[tuple[int, int, uuid.UUID, int]]:
    """For each of these patients, studies or series (keys of `level`) the place of one instance: key, series, pack
    and edition."""
    of = {Level.PATIENT: studies.c.patient_pk, Level.STUDY: studies.c.id, Level.SERIES: series.c.id}[level]
    statement = (
        select(of, series.c.id, series_packs.c.pack_id, series_packs.c.edition)
        .ext(distinct_on(of))
        .select_from(
            studies.join(series, series.c.study_pk == studies.c.id).join(
                series_packs, series_packs.c.series_pk == series.c.id
            )
        )
        .where(visible(principal, standing), of.in_(keys), series_packs.c.instance_count > 0)
        .order_by(of, *NEWEST_FIRST, series.c.number.asc().nulls_last(), series.c.id, series_packs.c.pack_id)
    )
    return [tuple(row) for row in connection.execute(statement)]
