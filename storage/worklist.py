"""The Modality Worklist: entries come from orders, devices ask for them, performed steps close them (PS3.4 K, F.7).

A row's `status` is SCHEDULED for as long as devices are told of it, also after one has begun (00400020 of its
attributes is then STARTED); after that COMPLETED, DISCONTINUED or CANCELED.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    cast,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.types import Text

from pacs.access import Principal
from pacs.errors import Final, NotFound
from pacs.matching import matcher, projector, wanted
from pacs.query import Between, Equal, Match
from pacs.values import Json, da, text, tm, values
from pacs.worklist import (
    ACCESSION,
    MODALITY,
    PATIENT_ID,
    PATIENT_NAME,
    START_DATE,
    START_TIME,
    STATION_AE,
    STEP_ID,
    STEP_STATUS,
    STEPS,
    STUDY_UID,
    Order,
    complete,
    element,
    step_of,
)  # fmt: skip
from storage.archive import Archive
from storage.describe import key
from storage.index.exchange import worklist
from storage.index.tables import facilities, facility_key
from storage.index.visibility import facility_visible

ANSWERS_MAX = 1000  # of one query
FETCHED_ROWS = 200  # at a time
LAPSED_DAYS = 30  # an entry older than this is found only by its date
OPEN = "SCHEDULED"
CANCELED = "CANCELED"
_IS_OPEN = worklist.c.status == literal_column(
    f"'{OPEN}'"
)  # no parameter: the partial index is known to serve it
_STATUS_PATH = [STEPS, "Value", "0", STEP_STATUS]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a device may be told, and whether there was more than ANSWERS_MAX."""

    entries: list[Json]
    more: bool = False


def search(archive: Archive, facility: str, identifier: Json) -> Answers:
    """The open steps of a facility that match a Modality Worklist identifier, in the order of their start. SQL narrows
    by facility, day, modality, station and patient; raises BadQuery."""
    fits, projected = matcher(identifier), projector(identifier)
    found: list[Json] = []
    statement = _open_steps(facility, identifier)
    with (
        archive.database.begin() as connection,
        connection.execution_options(yield_per=FETCHED_ROWS).execute(statement) as rows,
    ):
        for attributes in filter(fits, map(_for_who_asks(identifier), rows.scalars())):
            if len(found) == ANSWERS_MAX:
                return Answers(found, more=True)
            found.append(projected(attributes))
    return Answers(found)


def _for_who_asks(identifier: Json) -> Callable[[Json], Json]:
    """A step that names no station is for any: orders often name none, and the answer must (type 1, table K.6-1). It is
    told to each as if it were for it."""
    stations = wanted(STATION_AE, "AE", step_of(identifier).get(STATION_AE, {}))
    asked = [v for m in stations if isinstance(m, Equal) for v in m.any_of]

    def told(attributes: Json) -> Json:
        step = step_of(attributes)
        if not asked or values(step, STATION_AE):
            return attributes
        return attributes | {STEPS: {"vr": "SQ", "Value": [step | {STATION_AE: element("AE", asked[0])}]}}

    return told


def carry_out(archive: Archive, facility: str, orders: Iterable[Order]) -> list[int]:
    """All of a message's orders, or none: the keys of the entries. Raises BadAttributes; NotFound for the facility, or
    for a step that is to be cancelled."""
    with archive.database.begin() as connection:
        owner = _facility_id(connection, facility)
        return [pk for order in orders for pk in _carry_out(connection, owner, order)]


def schedule(archive: Archive, facility: str, attributes: Json) -> int:
    """Add an entry, or replace the one with its Accession Number and Scheduled Procedure Step ID; its key. What was
    performed already stays so, what was cancelled is scheduled again. Raises BadAttributes or NotFound."""
    return carry_out(archive, facility, [Order(attributes)])[0]


def close_steps(connection: Connection, facility_id: int, scheduled: Sequence[Json], status: str) -> int:
    """Within a transaction: a device has begun (STARTED) or ended (COMPLETED, DISCONTINUED) the steps that the items
    of its Scheduled Step Attributes Sequence name; returns how many are known here."""
    changed = 0
    for item in scheduled:
        kept = OPEN if status == "STARTED" else status
        statement = update(worklist).where(
            worklist.c.facility_id == facility_id, worklist.c.status == OPEN, _named_by(item)
        )
        noted = statement.values(status=kept, attributes=_with_status(status), updated_at=func.now())
        changed += connection.execute(noted).rowcount
    return changed


def _named_by(item: Json) -> ColumnElement[bool]:
    """By accession and step; where one is missing by the study, and the step if that is there."""
    accession, step_id, study_uid = text(item, ACCESSION), text(item, STEP_ID), text(item, STUDY_UID)
    if accession and step_id:
        return and_(worklist.c.accession == key(accession), worklist.c.step_id == key(step_id))
    by_study = and_(worklist.c.study_uid == study_uid, worklist.c.study_uid != "")
    return and_(by_study, worklist.c.step_id == key(step_id)) if step_id else by_study


# --- For the portal -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entry:
    """A row, for people."""

    id: int
    facility: str
    status: str
    attributes: Json
    created_at: datetime
    updated_at: datetime


def list_entries(
    archive: Archive,
    principal: Principal,
    *,
    days: tuple[date, date],
    facility: str = "",
    status: str = "",
    after: int = 0,
    limit: int = 200,
) -> list[Entry]:
    """Entries of these days that may be seen, whatever their status, by their keys from `after` on."""
    query = _seen(principal).where(worklist.c.start_date.between(*days), worklist.c.id > after)
    if facility:
        query = query.where(facilities.c.code == facility)
    if status:
        query = query.where(worklist.c.status == status)
    with archive.database.read() as connection:
        return [Entry(*row) for row in connection.execute(query.order_by(worklist.c.id).limit(limit))]


def find_entry(archive: Archive, principal: Principal, pk: int) -> Entry:
    """One entry; raises NotFound."""
    with archive.database.read() as connection:
        return _entry(connection, principal, pk)


def change(archive: Archive, principal: Principal, pk: int, changes: Json) -> None:
    """Replace some attributes of an entry, or of its step; raises NotFound, BadAttributes, or Final where it was
    cancelled."""
    with archive.database.begin() as connection:
        known = _entry(connection, principal, pk)
        if known.status == CANCELED:
            raise Final("this step was cancelled: schedule it again")
        merged = known.attributes | changes
        step = step_of(known.attributes) | step_of(changes)
        attributes = merged | {STEPS: {"vr": "SQ", "Value": [step]}}
        _schedule(connection, _facility_id(connection, known.facility), attributes)


def cancel(archive: Archive, principal: Principal, pk: int) -> None:
    """Devices are told of it no more; raises NotFound."""
    with archive.database.begin() as connection:
        known = _entry(connection, principal, pk)
        _cancel(connection, _facility_id(connection, known.facility), known.attributes)


def _seen(principal: Principal) -> Select[Any]:
    columns = (worklist.c.id, facilities.c.code, *(worklist.c[f.name] for f in fields(Entry)[2:]))
    return (
        select(*columns)
        .join(facilities, facilities.c.id == worklist.c.facility_id)
        .where(facility_visible(principal, worklist.c.facility_id))
    )


def _entry(connection: Connection, principal: Principal, pk: int) -> Entry:
    locked = _seen(principal).where(worklist.c.id == pk).with_for_update(of=worklist)
    row = connection.execute(locked).one_or_none()
    if row is None:
        raise NotFound("there is no such worklist entry")
    return Entry(*row)


# --- Orders ---------------------------------------------------------------------------------------------------------


def _carry_out(connection: Connection, facility_id: int, order: Order) -> list[int]:
    if order.cancel:
        return _cancel(connection, facility_id, order.attributes)
    return [_schedule(connection, facility_id, order.attributes)]


def _schedule(connection: Connection, facility_id: int, attributes: Json) -> int:
    done = complete(attributes, _sibling(connection, facility_id, attributes), datetime.now(UTC).astimezone())
    row = entry_row(done) | {"facility_id": facility_id, "attributes": _told(done, OPEN)}
    added = upsert(worklist).values(row).on_conflict_do_nothing().returning(worklist.c.id)
    pk = connection.execute(added).scalar()
    return int(pk) if pk is not None else _replace(connection, facility_id, row)


def _replace(connection: Connection, facility_id: int, row: dict[str, Any]) -> int:
    known = connection.execute(
        select(worklist.c.id, worklist.c.status, worklist.c.attributes)
        .where(
            worklist.c.facility_id == facility_id,
            worklist.c.accession == row["accession"],
            worklist.c.step_id == row["step_id"],
        )
        .with_for_update()
    ).one()
    status = OPEN if known.status == CANCELED else known.status
    told = OPEN if known.status == CANCELED else text(step_of(known.attributes), STEP_STATUS) or OPEN
    changed = row | {"status": status, "attributes": _told(row["attributes"], told), "updated_at": func.now()}
    connection.execute(update(worklist).where(worklist.c.id == known.id).values(changed))
    return int(known.id)


def _sibling(connection: Connection, facility_id: int, attributes: Json) -> Json:
    """The entry itself as it was, else another step of its accession: they share what is not given now."""
    accession, step_id = text(attributes, ACCESSION), text(step_of(attributes), STEP_ID)
    if not accession:
        return {}
    query = (
        select(worklist.c.attributes)
        .where(worklist.c.facility_id == facility_id, worklist.c.accession == key(accession))
        .order_by((worklist.c.step_id == key(step_id)).desc(), worklist.c.id)
        .limit(1)
    )
    found: Json | None = connection.execute(query).scalar()
    return found or {}


def _cancel(connection: Connection, facility_id: int, attributes: Json) -> list[int]:
    accession, step_id = text(attributes, ACCESSION), text(step_of(attributes), STEP_ID)
    statement = update(worklist).where(
        worklist.c.facility_id == facility_id, worklist.c.accession == key(accession)
    )
    if step_id:
        statement = statement.where(worklist.c.step_id == key(step_id))
    done = statement.values(status=CANCELED, attributes=_with_status(CANCELED), updated_at=func.now())
    cancelled = list(connection.execute(done.returning(worklist.c.id)).scalars())
    if not cancelled:
        raise NotFound("there is no such scheduled step")
    return cancelled


def entry_row(done: Json) -> dict[str, Any]:
    """The columns that SQL narrows by, from an entry's complete attributes."""
    step = step_of(done)
    return {
        "accession": key(text(done, ACCESSION)),
        "step_id": key(text(step, STEP_ID)),
        "patient_id": key(text(done, PATIENT_ID)),
        "patient_name": text(done, PATIENT_NAME),
        "modality": text(step, MODALITY),
        "station_ae": "\\".join(str(v).strip() for v in values(step, STATION_AE) if v),
        "start_date": da(text(step, START_DATE)),
        "start_time": tm(text(step, START_TIME)),
        "study_uid": text(done, STUDY_UID),
        "attributes": done,
    }


def _told(attributes: Json, status: str) -> Json:
    """With the step's status as devices are told it (PS3.3 C.4.10)."""
    step = dict(sorted((step_of(attributes) | {STEP_STATUS: element("CS", status)}).items()))
    return attributes | {STEPS: {"vr": "SQ", "Value": [step]}}


def _with_status(status: str) -> ColumnElement[Any]:
    return func.jsonb_set(
        worklist.c.attributes, cast(_STATUS_PATH, ARRAY(Text)), cast(element("CS", status), JSONB)
    )


def _facility_id(connection: Connection, facility: str) -> int:
    found = connection.execute(facility_key(facility)).scalar()
    if found is None:
        raise NotFound(f"there is no facility {facility}")
    return int(found)


# --- What SQL narrows -----------------------------------------------------------------------------------------------


def _open_steps(facility: str, identifier: Json) -> Select[Any]:
    own = facility_key(facility).scalar_subquery()
    step = step_of(identifier)
    days = wanted(START_DATE, "DA", step.get(START_DATE, {}))
    conditions = [
        _days(days),
        _any_of(worklist.c.modality, wanted(MODALITY, "CS", step.get(MODALITY, {}))),
        _station(wanted(STATION_AE, "AE", step.get(STATION_AE, {}))),
        _any_of(worklist.c.patient_id, wanted(PATIENT_ID, "LO", identifier.get(PATIENT_ID, {}))),
    ]
    return (
        select(worklist.c.attributes)
        .where(
            worklist.c.facility_id == own,
            worklist.c.status == OPEN,
            *(c for c in conditions if c is not None),
        )
        .order_by(worklist.c.start_date, worklist.c.start_time, worklist.c.id)
    )


def _days(asked: list[Match]) -> ColumnElement[bool] | None:
    if not asked:
        return worklist.c.start_date >= func.current_date() - timedelta(days=LAPSED_DAYS)
    ranges = [(m.low, m.high) for m in asked if isinstance(m, Between)]
    return or_(*(worklist.c.start_date.between(low or date.min, high or date.max) for low, high in ranges))


def _any_of(column: ColumnElement[str], asked: list[Match]) -> ColumnElement[bool] | None:
    """By single values; wildcards are left to the matching itself."""
    if not asked or not all(isinstance(m, Equal) for m in asked):
        return None
    return column.in_([key(v) for m in asked if isinstance(m, Equal) for v in m.any_of])


def _station(asked: list[Match]) -> ColumnElement[bool] | None:
    """A step may be for any station, or for several; the matching itself looks into those."""
    one, several = (
        _any_of(worklist.c.station_ae, asked),
        worklist.c.station_ae.contains("\\", autoescape=True),
    )
    return one if one is None else or_(one, several, worklist.c.station_ae == "")
