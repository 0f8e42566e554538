"""Writes to the index, each inside the caller's transaction. Rows are locked in one order, so none deadlock."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, case, func, literal, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from pacs.uids import uid_hash
from storage.index.tables import incidents, instances, packs, patients, series, series_packs, studies

Row = dict[str, Any]
SOP_CLASSES_MAX = 64  # of a study; there are a few at most, but for those who try


@dataclass(frozen=True, slots=True)
class PackRow:
    """A pack that waits to be indexed."""

    id: uuid.UUID
    facility_id: int
    key: str
    tries: int
    again: bool = False  # it is indexed anew
    edition: int = 0  # of what is written now


_DUE = or_(packs.c.state == "shipped", packs.c.again)
_EDITION = packs.c.edition + case((packs.c.again, 1), else_=0)


def count_try(connection: Connection, pack_id: uuid.UUID) -> PackRow | None:
    """Note that indexing begins; None if there is nothing to do."""
    row = connection.execute(
        update(packs)
        .where(packs.c.id == pack_id, _DUE)
        .values(tries=packs.c.tries + 1, hinted_at=func.now())
        .returning(packs.c.id, packs.c.facility_id, packs.c.key, packs.c.tries, packs.c.again, _EDITION)
    ).one_or_none()
    return PackRow(*row) if row else None


def take_back_try(connection: Connection, pack_id: uuid.UUID) -> None:
    """A try that ended because a dependency was away says nothing against the pack."""
    connection.execute(
        update(packs).where(packs.c.id == pack_id, packs.c.tries > 0).values(tries=packs.c.tries - 1)
    )


def lock_pack(connection: Connection, pack: PackRow) -> bool:
    """Lock a pack for this transaction; False if it is indexed already, or somebody else is or was at it."""
    query = (
        select(packs.c.id)
        .where(packs.c.id == pack.id, _DUE, packs.c.again == pack.again, (_EDITION - pack.edition) == 0)
        .with_for_update(skip_locked=True)
    )
    return connection.execute(query).one_or_none() is not None


def finish_pack(connection: Connection, pack: PackRow, records: int, callings: Iterable[str]) -> None:
    """It is indexed."""
    values = {"records": records, "callings": sorted(set(callings)), "edition": pack.edition}
    connection.execute(
        update(packs)
        .where(packs.c.id == pack.id)
        .values(state="indexed", again=False, indexed_at=func.now(), **values)
    )


def give_up_pack(connection: Connection, pack: PackRow) -> None:
    """It cannot be indexed, and an operator must look at it; what was indexed of it before stays."""
    state = case((packs.c.state == "shipped", "failed"), else_=packs.c.state)
    connection.execute(update(packs).where(packs.c.id == pack.id).values(state=state, again=False))


def upsert_patient(connection: Connection, row: Row) -> int:
    """The patient's key; what was empty is filled, what was there stays."""
    keep = ("patient_name", "birth_date", "sex")
    key = ["facility_id", "issuer", "patient_id", "anonymous_name"]
    return _upsert(connection, patients, key, row, keep)


def upsert_study(connection: Connection, row: Row) -> int:
    """The study's key, its row locked."""
    keep = (
        "study_date",
        "study_time",
        "accession",
        "study_id",
        "description",
        "referring",
        "birth_date",
        "sex",
    )
    # A name that came empty first and filled later would need its tokens with it; a study keeps its first name.
    return _upsert(connection, studies, ["facility_id", "study_uid", "patient_pk"], row, keep)


def upsert_series(connection: Connection, row: Row) -> int:
    """The series' key, its row locked."""
    keep = tuple(c for c in row if c not in {"facility_id", "study_pk", "series_uid"})
    return _upsert(connection, series, ["study_pk", "series_uid"], row, keep)


def _upsert(connection: Connection, table: Any, key: list[str], row: Row, keep: Iterable[str]) -> int:
    statement = insert(table).values(row)
    filled = {name: _filled(table.c[name], statement.excluded[name]) for name in keep if name in row}
    statement = statement.on_conflict_do_update(index_elements=key, set_={**filled, "updated_at": func.now()})
    return int(connection.execute(statement.returning(table.c.id)).scalar_one())


def _filled(column: Any, new: Any) -> Any:
    if column.type.python_type is str:
        return case((column == "", new), else_=column)
    return func.coalesce(column, new)


def known_instances(
    connection: Connection, facility_id: int, hashes: Sequence[int]
) -> dict[int, list[tuple[int, int]]]:
    """For each hash that is known: its (rank, series) pairs."""
    found: dict[int, list[tuple[int, int]]] = {}
    query = select(instances.c.uid_hash, instances.c.rank, instances.c.series_pk).where(
        instances.c.uid_hash == func.any(list(hashes)), instances.c.facility_id == facility_id
    )
    for hash_, rank, series_pk in connection.execute(query):
        found.setdefault(hash_, []).append((rank, series_pk))
    return found


def insert_instances(connection: Connection, rows: list[Row]) -> bool:
    """Insert the narrow rows; False if another transaction was faster with one of them: then try all again."""
    if not rows:
        return True
    ordered = sorted(
        rows, key=lambda row: row["uid_hash"]
    )  # two packs of the same instances would else deadlock
    statement = insert(instances).values(ordered).on_conflict_do_nothing().returning(instances.c.uid_hash)
    return len(connection.execute(statement).all()) == len(rows)


def instance_row(facility_id: int, series_pk: int, sop_instance: str, rank: int) -> Row:
    return {
        "uid_hash": uid_hash(sop_instance),
        "facility_id": facility_id,
        "rank": rank,
        "series_pk": series_pk,
    }


def add_fragment(connection: Connection, pack: PackRow, series_pk: int, count: int) -> None:
    """Note that a part of the series lies in this pack."""
    row = {
        "series_pk": series_pk, "pack_id": pack.id, "facility_id": pack.facility_id, "instance_count": count,
        "edition": pack.edition,
    }  # fmt: skip
    connection.execute(insert(series_packs).values(row).on_conflict_do_nothing())


def grow_series(connection: Connection, series_pk: int, *, shown: int, frames: int, pixels: bool) -> None:
    """Add what was indexed to a series' counts."""
    connection.execute(
        update(series)
        .where(series.c.id == series_pk)
        .values(
            instance_count=series.c.instance_count + shown,
            frame_count=series.c.frame_count + frames,
            has_pixels=series.c.has_pixels | pixels,
            derive_tries=0,
            updated_at=func.now(),
        )
    )


def grow_study(
    connection: Connection, study_pk: int, *, shown: int, size: int, sop_classes: Iterable[str]
) -> None:
    """Add what was indexed to a study's counts and classes, and take series count and modalities from its series."""
    mine = select(series).where(series.c.study_pk == study_pk, series.c.instance_count > 0).subquery()
    modalities = select(func.array_agg(func.distinct(mine.c.modality))).where(mine.c.modality != "")
    connection.execute(
        update(studies)
        .where(studies.c.id == study_pk)
        .values(
            instance_count=studies.c.instance_count + shown,
            bytes=studies.c.bytes + size,
            series_count=select(func.count()).select_from(mine).scalar_subquery(),
            modalities=func.coalesce(modalities.scalar_subquery(), text("'{}'::text[]")),
            sop_classes=_with(studies.c.sop_classes, sop_classes),
            updated_at=func.now(),
        )
    )


def _with(column: Any, more: Iterable[str]) -> Any:
    """An array's values and these, each once."""
    value = func.unnest(column.concat(literal(sorted(more), column.type))).column_valued("value")
    each = select(value).distinct().order_by(value).limit(SOP_CLASSES_MAX).correlate(studies).subquery()
    return select(func.coalesce(func.array_agg(each.c.value), text("'{}'::text[]"))).scalar_subquery()


def other_patients(connection: Connection, facility_id: int, study_uid: str, patient_pk: int) -> bool:
    """Whether the same Study Instance UID came under another patient."""
    query = select(studies.c.id).where(
        studies.c.facility_id == facility_id,
        studies.c.study_uid == study_uid,
        studies.c.patient_pk != patient_pk,
    )
    return connection.execute(query.limit(1)).first() is not None


def add_incidents(connection: Connection, rows: list[Row]) -> None:
    if rows:
        connection.execute(insert(incidents).values(rows).on_conflict_do_nothing())
