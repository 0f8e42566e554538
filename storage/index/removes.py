"""What a pack brought to the index is taken back, and rows are mended, inside the caller's transaction."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import (
    Connection,
    Table,
    case,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy import Row as Found
from sqlalchemy.dialects.postgresql import insert

from pacs.uids import uid_hash
from storage.index.exchange import sends
from storage.index.sharing import grants, restrictions, share_links
from storage.index.tables import instances, patients, series, series_packs, studies, superseded
from storage.index.writes import PackRow, Row, known_instances

NAME = ("patient_name", "name_folded", "name_tokens")  # columns of a study that say one thing
KEYS = (
    "facility_id",
    "issuer",
    "patient_id",
    "anonymous_name",
    "study_uid",
    "series_uid",
    "patient_pk",
    "study_pk",
)
UID_BATCH = 1000


def held_by(connection: Connection, pack_id: uuid.UUID) -> list[Found[Any]]:
    """The fragments of a pack, their series and studies locked: series_pk, study_pk, patient_pk, study_uid,
    series_uid, edition, instance_count."""
    columns = (
        series_packs.c.series_pk, series.c.study_pk, studies.c.patient_pk, studies.c.study_uid, series.c.series_uid,
        series_packs.c.edition, series_packs.c.instance_count,
    )  # fmt: skip
    query = (
        select(*columns)
        .join(series, series.c.id == series_packs.c.series_pk)
        .join(studies, studies.c.id == series.c.study_pk)
        .where(series_packs.c.pack_id == pack_id)
        .order_by(studies.c.id, series.c.id)
        .with_for_update(of=[studies, series])
    )
    return list(connection.execute(query))


def remove_fragment(
    connection: Connection, pack: PackRow, series_pk: int, shown: Collection[str], keys: Iterable[str]
) -> None:
    """Take the part of a series that lies in a pack out of the index, and note the objects that told of it."""
    of = series_packs.c
    connection.execute(delete(series_packs).where(of.series_pk == series_pk, of.pack_id == pack.id))
    supersede(connection, pack.facility_id, keys)
    _remove_instances(connection, pack.facility_id, series_pk, shown)


def supersede(connection: Connection, facility_id: int, keys: Iterable[str]) -> None:
    """The sweep removes these objects when nobody can be reading them any more."""
    rows = [{"key": key, "facility_id": facility_id} for key in keys]
    if rows:
        connection.execute(insert(superseded).values(rows).on_conflict_do_nothing())


def _remove_instances(
    connection: Connection, facility_id: int, series_pk: int, uids: Collection[str]
) -> None:
    """As many rows of a hash as there are UIDs with it: among those of one series it does not matter which."""
    wanted = Counter(uid_hash(uid) for uid in uids)
    known = known_instances(connection, facility_id, list(wanted)) if wanted else {}
    mine = [
        (hash_, rank)
        for hash_, places in known.items()
        for rank in sorted(rank for rank, of in places if of == series_pk)[: wanted[hash_]]
    ]
    key = tuple_(instances.c.uid_hash, instances.c.rank)
    for some in (mine[n : n + UID_BATCH] for n in range(0, len(mine), UID_BATCH)):
        connection.execute(delete(instances).where(instances.c.facility_id == facility_id, key.in_(some)))


def move_sends(connection: Connection, pack_id: uuid.UUID, old: int, new: int) -> None:
    """What waits to be sent of a series goes on under the row that its instances have moved to."""
    moved = sends.alias()
    there = exists().where(
        moved.c.remote_id == sends.c.remote_id,
        moved.c.series_pk == new,
        moved.c.pack_id.is_not_distinct_from(sends.c.pack_id),
    )
    mine = or_(sends.c.pack_id == pack_id, sends.c.pack_id.is_(None))
    connection.execute(update(sends).where(sends.c.series_pk == old, mine, ~there).values(series_pk=new))


def remove_empty(
    connection: Connection, series_pks: set[int], study_pks: set[int], patient_pks: set[int]
) -> list[int]:
    """Remove those of these rows that nothing belongs to any more; the series that are gone."""
    packed = exists().where(series_packs.c.series_pk == series.c.id)
    gone = delete(series).where(series.c.id.in_(series_pks), ~packed).returning(series.c.id)
    removed = list(connection.execute(gone).scalars()) if series_pks else []
    # Each is locked before it is asked whether it is empty: nothing can be put into it in between.
    # A patient of whom somebody said something stays: an objection must not be forgotten.
    told = (grants.c.patient_pk, restrictions.c.patient_pk, share_links.c.patient_pk)
    for table, children, pks in (
        (studies, (series.c.study_pk,), study_pks),
        (patients, (studies.c.patient_pk, *told), patient_pks),
    ):
        if pks:
            rows = table.c.id.in_(pks)
            connection.execute(select(table.c.id).where(rows).order_by(table.c.id).with_for_update())
            unused = (~exists().where(child == table.c.id) for child in children)
            connection.execute(delete(table).where(rows, *unused))
    return removed


def mend(connection: Connection, keys: tuple[int, int, int], readings: Iterable[tuple[Row, Row]]) -> None:
    """Patient, study and series: what a row has from an old reading it gets from the new one."""
    for table, pk, (old, new) in zip((patients, studies, series), keys, readings, strict=True):
        changed = {name: value for name, value in new.items() if name not in KEYS and old[name] != value}
        if "patient_name" in changed and table is studies:
            changed |= {name: new[name] for name in NAME}
        values = {name: _mended(table, name, old, value) for name, value in changed.items()}
        if values:
            connection.execute(update(table).where(table.c.id == pk).values(updated_at=func.now(), **values))


def _mended(table: Table, name: str, old: Mapping[str, Any], value: Any) -> Any:
    told_by = "patient_name" if name in NAME else name
    same = table.c[told_by].is_not_distinct_from(old[told_by])
    return case((same, literal(value, table.c[name].type)), else_=table.c[name])


def derive_anew(connection: Connection, series_pk: int) -> None:
    """Its pictures no longer show what it holds, and of the changed part there is no HTJ2K rendition."""
    anew = {"derived_count": 0, "derive_tries": 0, "rendition_at": func.now()}
    connection.execute(update(series).where(series.c.id == series_pk).values(anew))


def begin_series_after(connection: Connection, last: int) -> None:
    """Give new series numbers beyond this one, whose objects may be in the store still."""
    statement = text(
        "SELECT setval(pg_get_serial_sequence('series', 'id'), greatest(:last, nextval("
        "pg_get_serial_sequence('series', 'id'))))"
    )
    connection.execute(statement, {"last": last})


def known_series(connection: Connection, series_pks: Collection[int]) -> set[int]:
    """Those of these that there are."""
    return set(connection.execute(select(series.c.id).where(series.c.id.in_(series_pks))).scalars())
