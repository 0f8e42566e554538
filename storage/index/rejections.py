"""What is rejected, in SQL: notes, what they name, and the records that no contents list. Each inside the caller's
transaction."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import (
    ARRAY,
    Connection,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    delete,
    distinct,
    false,
    func,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy import Row as Found
from sqlalchemy.dialects.postgresql import insert

from pacs.access import ADMINISTERING, Principal
from pacs.rejection import Named
from pacs.uids import uid_hash
from storage.index.tables import (
    asides,
    facilities,
    incidents,
    packs,
    rejected,
    rejections,
    series,
    series_packs,
    studies,
)
from storage.index.visibility import facility_visible
from storage.index.writes import NEXT_EDITION, VALUES_MAX, PackRow, Row, known_instances

T = TypeVar("T")
LOCK = (
    -113001
)  # the first half of the key of the locks below; facilities, which others have there, count from 1
BATCH = 5000  # UIDs or rows of one statement
_LOCKS = {
    alone: select(lock(LOCK, bindparam("facility", type_=Integer)))
    for alone, lock in ((True, func.pg_advisory_xact_lock), (False, func.pg_advisory_xact_lock_shared))
}
_REJECTED_AMONG = (
    select(rejected.c.study_uid, rejected.c.sop_instance, rejections.c.state, rejections.c.ended_at)
    .join(rejections, rejections.c.id == rejected.c.rejection_id)
    .where(
        rejected.c.sop_instance == func.any(bindparam("uids", type_=ARRAY(Text))),
        rejected.c.facility_id == bindparam("facility"),
        rejections.c.state != "restored",
    )
)
_DOOMED = and_(rejections.c.state == "erased", asides.c.since <= rejections.c.ended_at)
_OF_REJECTED = and_(
    asides.c.sop_instance == rejected.c.sop_instance,
    asides.c.facility_id == rejected.c.facility_id,
    asides.c.study_uid == rejected.c.study_uid,
)


def _batches(things: Iterable[T]) -> Iterator[list[T]]:
    left = iter(things)
    while some := list(islice(left, BATCH)):
        yield some


def take_turn(connection: Connection, facility_id: int, *, alone: bool) -> None:
    """Before any row of a facility is locked: `alone`, to change what is rejected; else beside others who index."""
    connection.execute(_LOCKS[alone], {"facility": facility_id})


def rejected_among(connection: Connection, facility_id: int, uids: Sequence[str]) -> list[Found[Any]]:
    """What notes that were not taken back say of these SOP Instance UIDs: study_uid, sop_instance, state, ended_at."""
    found: list[Found[Any]] = []
    for some in _batches(uids):
        found += connection.execute(_REJECTED_AMONG, {"uids": some, "facility": facility_id})
    return found


def add_note(connection: Connection, row: Row, named: Named) -> str:
    """Note a rejection, if it is not; its state."""
    anew = insert(rejections).values(row).on_conflict_do_nothing().returning(rejections.c.id)
    pk = connection.execute(anew).scalar()
    if pk is None:
        mine = (rejections.c.facility_id == row["facility_id"], rejections.c.note_uid == row["note_uid"])
        return str(connection.execute(select(rejections.c.state).where(*mine)).scalar_one())
    owned = {"rejection_id": pk, "facility_id": row["facility_id"]}
    rows = ({"study_uid": study, "sop_instance": sop} | owned for study, sop in sorted(named))
    for some in _batches(rows):
        connection.execute(insert(rejected), some)
    return str(row["state"])


def set_aside(
    connection: Connection, pack: PackRow, records: Iterable[tuple[int, str, str, datetime]]
) -> None:
    """Note records that no contents list: offset of the body, Study and SOP Instance UID, since when."""
    rows = (
        {
            "pack_id": pack.id, "facility_id": pack.facility_id, "body_offset": offset, "study_uid": study_uid,
            "sop_instance": sop_instance, "since": since,
        }
        for offset, study_uid, sop_instance, since in records
    )  # fmt: skip
    for some in _batches(rows):
        connection.execute(insert(asides).on_conflict_do_nothing(), some)


def forget_asides(connection: Connection, pack_id: uuid.UUID) -> None:
    """Of a pack whose every record is told anew."""
    connection.execute(delete(asides).where(asides.c.pack_id == pack_id))


def lock_holders(connection: Connection, facility_id: int, uids: Sequence[str]) -> list[PackRow]:
    """The packs that hold what is indexed under these UIDs, shown or in conflict, locked; each with its next
    edition."""
    series_pks = {
        pk
        for some in _batches(uids)
        for places in known_instances(connection, facility_id, [uid_hash(u) for u in some]).values()
        for _, pk in places
    }
    conflicts = select(incidents.c.pack_id).where(
        incidents.c.sop_instance == func.any(bindparam("uids", list(uids), type_=ARRAY(Text))),
        incidents.c.kind == "conflict",
        incidents.c.facility_id == facility_id,
    )
    holding = select(series_packs.c.pack_id).where(series_packs.c.series_pk.in_(series_pks))
    either = or_(packs.c.id.in_(holding), packs.c.id.in_(conflicts))
    query = select(*NEXT_EDITION).where(either).order_by(packs.c.id).with_for_update()
    return [PackRow(*row) for row in connection.execute(query)]


def note_edition(connection: Connection, pack: PackRow) -> None:
    """What is written of the pack now has this edition; whoever reads it meanwhile to index it anew begins again."""
    connection.execute(update(packs).where(packs.c.id == pack.id).values(edition=pack.edition))


def index_again(connection: Connection, pack_ids: Select[Any] | Sequence[uuid.UUID]) -> int:
    """Mark packs that were indexed once to be indexed anew; how many."""
    marked = update(packs).where(packs.c.id.in_(pack_ids), packs.c.state != "shipped")
    return connection.execute(marked.values(again=True, tries=0)).rowcount


_IN_BIN = (
    select(func.count(distinct(tuple_(asides.c.study_uid, asides.c.sop_instance))))
    .select_from(asides.join(rejected, _OF_REJECTED))
    .where(rejected.c.rejection_id == rejections.c.id)
    .correlate(rejections)
    .scalar_subquery()
)
_COLUMNS = (
    rejections.c.id, rejections.c.facility_id, facilities.c.code.label("facility"), rejections.c.note_uid,
    rejections.c.study_uids, rejections.c.patient_id, rejections.c.patient_name, rejections.c.code,
    rejections.c.reason, rejections.c.author, rejections.c.state, rejections.c.rejected_at, rejections.c.ended_at,
    rejections.c.ended_by,
)  # fmt: skip


def _of(principal: Principal) -> Select[Any]:
    mine = facility_visible(principal, rejections.c.facility_id)
    joined = rejections.join(facilities, facilities.c.id == rejections.c.facility_id)
    allowed = mine if principal.role in ADMINISTERING else false()
    return select(*_COLUMNS, _IN_BIN.label("instances")).select_from(joined).where(allowed)


def find_rejections(
    connection: Connection, principal: Principal, *, state: str, note_uid: str, before: int | None, limit: int
) -> list[Found[Any]]:
    """Those in a state, or all; of one note, or all; newest first, from below the id `before`. `instances`: how many
    are kept of what it names."""
    query = _of(principal).order_by(rejections.c.id.desc()).limit(limit)
    if state:
        query = query.where(rejections.c.state == state)
    if note_uid:
        query = query.where(rejections.c.note_uid == note_uid)
    if before is not None:
        query = query.where(rejections.c.id < before)
    return list(connection.execute(query))


def find_rejection(connection: Connection, principal: Principal, rejection_id: int) -> Found[Any] | None:
    return connection.execute(_of(principal).where(rejections.c.id == rejection_id)).one_or_none()


def named_by(connection: Connection, rejection_id: int) -> Named:
    """What a note names."""
    query = select(rejected.c.study_uid, rejected.c.sop_instance).where(
        rejected.c.rejection_id == rejection_id
    )
    return frozenset((study, sop) for study, sop in connection.execute(query))


def end(connection: Connection, rejection_id: int, state: str, at: datetime, by: str) -> None:
    """It was restored or erased."""
    ended = {"state": state, "ended_at": at, "ended_by": by}
    connection.execute(update(rejections).where(rejections.c.id == rejection_id).values(**ended))


def expired(connection: Connection, before: datetime, limit: int) -> Sequence[int]:
    """Some that were rejected before then, and are neither restored nor erased."""
    query = select(rejections.c.id).where(rejections.c.state == "active", rejections.c.rejected_at < before)
    return connection.execute(query.order_by(rejections.c.rejected_at).limit(limit)).scalars().all()


def held_aside(rejection_id: int) -> Select[Any]:
    """The packs in which something lies that a note names."""
    return select(asides.c.pack_id).join(rejected, _OF_REJECTED).where(
        rejected.c.rejection_id == rejection_id
    )  # fmt: skip


def kept_aside(connection: Connection, facility_id: int, uids: Sequence[str]) -> set[str]:
    """Those of these SOP Instance UIDs under which something lies that is not shown: nobody need bring it again."""
    wanted = func.any(bindparam("uids", list(uids), type_=ARRAY(Text)))
    query = select(asides.c.sop_instance).where(
        asides.c.sop_instance == wanted, asides.c.facility_id == facility_id
    )
    return set(connection.execute(query).scalars())


def series_shown(connection: Connection, study_pk: int) -> Sequence[int]:
    """Those of a study's series that show something."""
    query = select(series.c.id).where(series.c.study_pk == study_pk, series.c.instance_count > 0)
    return connection.execute(query.order_by(series.c.id)).scalars().all()


def set_told(
    connection: Connection, study_pk: int, sop_classes: Iterable[str], regions: Iterable[str]
) -> None:
    """What all instances of a study together tell."""
    told = {
        "sop_classes": sorted(set(sop_classes))[:VALUES_MAX], "regions": sorted(set(regions))[:VALUES_MAX],
    }  # fmt: skip
    connection.execute(update(studies).where(studies.c.id == study_pk).values(**told))


_DOOMED_IN = asides.join(rejected, _OF_REJECTED).join(rejections, rejections.c.id == rejected.c.rejection_id)


def doomed_packs(connection: Connection, limit: int) -> Sequence[uuid.UUID]:
    """Some packs in which something lies that was erased."""
    query = select(asides.c.pack_id).select_from(_DOOMED_IN).where(_DOOMED).distinct().limit(limit)
    return connection.execute(query).scalars().all()


def doomed_in(connection: Connection, pack_id: uuid.UUID) -> set[int]:
    """Where the bodies lie in a pack that were erased."""
    query = select(asides.c.body_offset).select_from(_DOOMED_IN).where(_DOOMED, asides.c.pack_id == pack_id)
    return set(connection.execute(query).scalars())


def place_of_note(connection: Connection, facility: str, note_uid: str) -> tuple[str, int] | None:
    """A pack's key, and where the note's body lies in it; None for what is no note that is known."""
    query = (
        select(packs.c.key, asides.c.body_offset)
        .join(packs, packs.c.id == asides.c.pack_id)
        .join(facilities, facilities.c.id == asides.c.facility_id)
        .join(
            rejections,
            and_(
                rejections.c.note_uid == asides.c.sop_instance,
                rejections.c.facility_id == asides.c.facility_id,
            ),
        )
        .where(facilities.c.code == facility, asides.c.sop_instance == note_uid)
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return (row.key, row.body_offset) if row else None
