"""Writes to the index, each inside the caller's transaction. Rows are locked in one order, so none deadlock.

The statements are built once: building one anew takes several times as long as running it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    SmallInteger,
    Table,
    bindparam,
    case,
    func,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert

from pacs.uids import uid_hash
from storage.index.tables import incidents, instances, packs, patients, series, series_packs, studies

Row = dict[str, Any]
VALUES_MAX = 64  # modalities, SOP classes, regions of a study; there are a few at most, but for those who try


@dataclass(frozen=True, slots=True)
class PackRow:
    """A pack that waits to be indexed."""

    id: uuid.UUID
    facility_id: int
    key: str
    tries: int
    again: bool = False  # it is indexed anew
    edition: int = 0  # of what is written now


# A `PackRow`, with the edition that comes next.
NEXT_EDITION: tuple[ColumnElement[Any], ...] = (
    packs.c.id, packs.c.facility_id, packs.c.key, packs.c.tries, packs.c.again, packs.c.edition + 1,
)  # fmt: skip

_DUE = or_(packs.c.state == "shipped", packs.c.again)
_EDITION = packs.c.edition + case((packs.c.again, 1), else_=0)


_MINE = packs.c.id == bindparam("pack")
_COUNT_TRY = (
    update(packs)
    .where(_MINE, _DUE)
    .values(tries=packs.c.tries + 1, hinted_at=func.now())
    .returning(packs.c.id, packs.c.facility_id, packs.c.key, packs.c.tries, packs.c.again, _EDITION)
)
_TAKE_BACK_TRY = update(packs).where(_MINE, packs.c.tries > 0).values(tries=packs.c.tries - 1)
_LOCK_PACK = (
    select(packs.c.id)
    .where(
        _MINE, _DUE, packs.c.again == bindparam("anew"), (_EDITION - bindparam("written", type_=Integer)) == 0
    )
    .with_for_update(skip_locked=True)
)
_FINISH_PACK = (
    update(packs)
    .where(_MINE)
    .values(
        state="indexed",
        again=False,
        indexed_at=func.now(),
        records=bindparam("held"),
        callings=bindparam("callers"),
        edition=bindparam("written"),
    )
)


def count_try(connection: Connection, pack_id: uuid.UUID) -> PackRow | None:
    """Note that indexing begins; None if there is nothing to do."""
    row = connection.execute(_COUNT_TRY, {"pack": pack_id}).one_or_none()
    return PackRow(*row) if row else None


def take_back_try(connection: Connection, pack_id: uuid.UUID) -> None:
    """A try that ended because a dependency was away says nothing against the pack."""
    connection.execute(_TAKE_BACK_TRY, {"pack": pack_id})


def lock_pack(connection: Connection, pack: PackRow) -> bool:
    """Lock a pack for this transaction; False if it is indexed already, or somebody else is or was at it."""
    given = {"pack": pack.id, "anew": pack.again, "written": pack.edition}
    return connection.execute(_LOCK_PACK, given).one_or_none() is not None


def finish_pack(connection: Connection, pack: PackRow, records: int, callings: Iterable[str]) -> None:
    """It is indexed."""
    given = {"pack": pack.id, "held": records, "callers": sorted(set(callings)), "written": pack.edition}
    connection.execute(_FINISH_PACK, given)


def give_up_pack(connection: Connection, pack: PackRow) -> None:
    """It cannot be indexed, and an operator must look at it; what was indexed of it before stays."""
    state = case((packs.c.state == "shipped", "failed"), else_=packs.c.state)
    connection.execute(update(packs).where(packs.c.id == pack.id).values(state=state, again=False))


def upsert_patient(connection: Connection, row: Row) -> int:
    """The patient's key; what was empty is filled, what was there stays."""
    keep = ("patient_name", "birth_date", "sex")
    key = ("facility_id", "issuer", "patient_id", "anonymous_name")
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
    return _upsert(connection, studies, ("facility_id", "study_uid", "patient_pk"), row, keep)


def upsert_series(connection: Connection, row: Row) -> int:
    """The series' key, its row locked."""
    keep = tuple(c for c in row if c not in {"facility_id", "study_pk", "series_uid"})
    return _upsert(connection, series, ("study_pk", "series_uid"), row, keep)


def _upsert(
    connection: Connection, table: Table, key: tuple[str, ...], row: Row, keep: tuple[str, ...]
) -> int:
    return int(connection.execute(_upsert_into(table, key, keep), row).scalar_one())


@cache
def _upsert_into(table: Table, key: tuple[str, ...], keep: tuple[str, ...]) -> Any:
    statement = insert(table)
    filled = {name: _filled(table.c[name], statement.excluded[name]) for name in keep}
    statement = statement.on_conflict_do_update(index_elements=key, set_={**filled, "updated_at": func.now()})
    return statement.returning(table.c.id)


def _filled(column: Any, new: Any) -> Any:
    if column.type.python_type is str:
        return case((column == "", new), else_=column)
    return func.coalesce(column, new)


_KNOWN_INSTANCES = select(instances.c.uid_hash, instances.c.rank, instances.c.series_pk).where(
    instances.c.uid_hash == func.any(bindparam("hashes", type_=ARRAY(BigInteger))),
    instances.c.facility_id == bindparam("facility"),
)
_new = (
    func.unnest(
        bindparam("hashes", type_=ARRAY(BigInteger)),
        bindparam("ranks", type_=ARRAY(SmallInteger)),
        bindparam("series", type_=ARRAY(BigInteger)),
    )
    .table_valued("uid_hash", "rank", "series_pk")
    .render_derived()
)
_INSERT_INSTANCES = (
    insert(instances)
    .from_select(
        ["uid_hash", "facility_id", "rank", "series_pk"],
        select(_new.c.uid_hash, bindparam("facility", type_=Integer), _new.c.rank, _new.c.series_pk),
    )
    .on_conflict_do_nothing()
    .execution_options(preserve_rowcount=True)
)


def known_instances(
    connection: Connection, facility_id: int, hashes: Sequence[int]
) -> dict[int, list[tuple[int, int]]]:
    """For each hash that is known: its (rank, series) pairs."""
    found: dict[int, list[tuple[int, int]]] = {}
    given = {"hashes": list(hashes), "facility": facility_id}
    for hash_, rank, series_pk in connection.execute(_KNOWN_INSTANCES, given):
        found.setdefault(hash_, []).append((rank, series_pk))
    return found


def insert_instances(connection: Connection, facility_id: int, rows: list[InstanceRow]) -> bool:
    """Insert the narrow rows; False if another transaction was faster with one of them: then try all again."""
    if not rows:
        return True
    # Sorted, because two packs of the same instances would else deadlock.
    hashes, ranks, pks = zip(*sorted(rows), strict=True)
    given = {"hashes": list(hashes), "ranks": list(ranks), "series": list(pks), "facility": facility_id}
    return connection.execute(_INSERT_INSTANCES, given).rowcount == len(rows)


InstanceRow = tuple[int, int, int]
"""Hash of the SOP Instance UID, rank among equal hashes, series."""


def instance_row(series_pk: int, sop_instance: str, rank: int) -> InstanceRow:
    return uid_hash(sop_instance), rank, series_pk


_ADD_FRAGMENT = insert(series_packs).on_conflict_do_nothing()
_GROW_SERIES = (
    update(series)
    .where(series.c.id == bindparam("pk"))
    .values(
        instance_count=series.c.instance_count + bindparam("shown"),
        frame_count=series.c.frame_count + bindparam("frames"),
        has_pixels=series.c.has_pixels | bindparam("pixels"),
        derive_tries=0,
        rendition_at=case((bindparam("pixels"), func.now()), else_=series.c.rendition_at),
        updated_at=func.now(),
    )
    .returning(series.c.derived_count == 0)
)
_filled_series = (
    select(series).where(series.c.study_pk == bindparam("pk"), series.c.instance_count > 0).subquery()
)
_each_modality = (
    select(_filled_series.c.modality)
    .where(_filled_series.c.modality != "")
    .distinct()
    .order_by(_filled_series.c.modality)
    .limit(VALUES_MAX)
    .subquery()
)
_modalities = select(func.array_agg(_each_modality.c.modality))


def _with(column: Any, more: Any) -> Any:
    """An array's values and these, each once."""
    value = func.unnest(column.concat(more)).column_valued("value")
    each = select(value).distinct().order_by(value).limit(VALUES_MAX).correlate(studies).subquery()
    return select(func.coalesce(func.array_agg(each.c.value), text("'{}'::text[]"))).scalar_subquery()


_GROW_STUDY = (
    update(studies)
    .where(studies.c.id == bindparam("pk"))
    .values(
        instance_count=studies.c.instance_count + bindparam("shown"),
        bytes=studies.c.bytes + bindparam("size"),
        series_count=select(func.count()).select_from(_filled_series).scalar_subquery(),
        modalities=func.coalesce(_modalities.scalar_subquery(), text("'{}'::text[]")),
        sop_classes=_with(studies.c.sop_classes, bindparam("classes", type_=studies.c.sop_classes.type)),
        regions=_with(studies.c.regions, bindparam("places", type_=studies.c.regions.type)),
        updated_at=func.now(),
    )
)
_OTHER_PATIENTS = (
    select(literal(1))
    .where(
        studies.c.facility_id == bindparam("facility"),
        studies.c.study_uid == bindparam("uid"),
        studies.c.patient_pk != bindparam("patient"),
    )
    .limit(1)
)


def add_fragment(connection: Connection, pack: PackRow, series_pk: int, count: int) -> None:
    """Note that a part of the series lies in this pack."""
    row = {
        "series_pk": series_pk, "pack_id": pack.id, "facility_id": pack.facility_id, "instance_count": count,
        "edition": pack.edition,
    }  # fmt: skip
    connection.execute(_ADD_FRAGMENT, row)


def grow_series(connection: Connection, series_pk: int, *, shown: int, frames: int, pixels: bool) -> bool:
    """Add what was indexed to a series' counts; whether it has no thumbnail yet."""
    given = {"pk": series_pk, "shown": shown, "frames": frames, "pixels": pixels}
    return bool(connection.execute(_GROW_SERIES, given).scalar())


def grow_study(
    connection: Connection,
    study_pk: int,
    *,
    shown: int,
    size: int,
    sop_classes: Iterable[str] = (),
    regions: Iterable[str] = (),
) -> None:
    """Add what was indexed to a study's counts, classes and regions, and take series count and modalities from its
    series."""
    given = {
        "pk": study_pk, "shown": shown, "size": size, "classes": sorted(sop_classes), "places": sorted(regions),
    }  # fmt: skip
    connection.execute(_GROW_STUDY, given)


def other_patients(connection: Connection, facility_id: int, study_uid: str, patient_pk: int) -> bool:
    """Whether the same Study Instance UID came under another patient."""
    given = {"facility": facility_id, "uid": study_uid, "patient": patient_pk}
    return connection.execute(_OTHER_PATIENTS, given).first() is not None


def add_incidents(connection: Connection, rows: list[Row]) -> None:
    if rows:
        connection.execute(insert(incidents).values(rows).on_conflict_do_nothing())
