"""What SQL holds of the audit trail, and the queries on it.

A trigger (migration 0020) refuses to change, delete or truncate rows. That is a fence against mistakes; that who takes
it down is found is the chain's work (pacs.audit).
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Index,
    LargeBinary,
    Row,
    Select,
    Table,
    Text,
    UniqueConstraint,
    exists,
    func,
    insert,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from pacs.access import Principal
from pacs.audit import Action, Entry, Outcome, Place, Service, Subject
from storage.index.columns import count, metadata, moment
from storage.index.tables import facilities, patients, studies

_LOCK = 0x4C656467  # one writer at a time gives out positions
PATIENTS_MAX = 1000  # of one entry


def _texts(name: str) -> Column[Any]:
    return Column(name, ARRAY(Text), nullable=False)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


audit = Table(
    "audit", metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),  # 1, 2, 3 … without a gap
    Column("journal", LargeBinary, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    *map(_text, ("service", "action", "outcome", "who", "role", "facility", "purpose", "address", "ae_title", "asked")),
    _texts("studies"),
    # Whom it is about, each at the same place of all three.
    *map(_texts, ("owners", "issuers", "patient_ids")),
    Column("hash", LargeBinary, nullable=False),
    UniqueConstraint("journal", "number"),
    Index("ix_audit_at", "at"),
    Index("ix_audit_who", "who", "position"),
    Index("ix_audit_studies", "studies", postgresql_using="gin"),
    Index("ix_audit_patient_ids", "patient_ids", postgresql_using="gin"),
)  # fmt: skip

# How far the trail was sent to each receiver.
audit_sent = Table(
    "audit_sent", metadata,
    Column("receiver", Text, primary_key=True),
    count("position"),
    moment("updated_at"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the trail."""

    position: int
    place: Place
    entry: Entry
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What to look for; what is empty fits all."""

    who: str = ""
    patient_id: str = ""
    issuer: str = ""
    owner: str = ""  # the facility whose patient or study it is
    subjects: tuple[Subject, ...] = ()  # any of these patients
    study_uid: str = ""
    actions: tuple[str, ...] = ()
    outcome: str = ""
    since: datetime | None = None
    until: datetime | None = None  # not included
    before: int | None = None  # positions below it


def take_turn(connection: Connection) -> None:
    """Until the end of the transaction nobody else adds to the trail, or moves its anchor."""
    connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def head(connection: Connection) -> tuple[int, bytes] | None:
    """Position and hash of the last entry; None if there is none."""
    row = connection.execute(
        select(audit.c.position, audit.c.hash).order_by(audit.c.position.desc()).limit(1)
    ).one_or_none()
    return (row.position, bytes(row.hash)) if row else None


def hash_at(connection: Connection, position: int) -> bytes | None:
    found = connection.execute(select(audit.c.hash).where(audit.c.position == position)).scalar()
    return bytes(found) if found is not None else None


def last_number(connection: Connection, journal: bytes) -> int:
    """Of the entries of this journal that are in the trail; 0 if there is none."""
    last = select(func.coalesce(func.max(audit.c.number), 0)).where(audit.c.journal == journal)
    return int(connection.execute(last).scalar_one())


def append(connection: Connection, lines: Sequence[Line]) -> None:
    connection.execute(insert(audit), [_values(line) for line in lines])


def rows_after(connection: Connection, position: int | None, limit: int) -> Sequence[Row[Any]]:
    """The rows behind a position, or from the first on, in order."""
    query = select(audit).order_by(audit.c.position).limit(limit)
    return connection.execute(query if position is None else query.where(audit.c.position > position)).all()


def lines_after(connection: Connection, position: int, limit: int) -> list[Line]:
    """The lines behind a position; one that we cannot have written is passed over."""
    found = []
    for row in rows_after(connection, position, limit):
        with contextlib.suppress(ValueError):
            found.append(line_of(row))
    return found


def sent_up_to(connection: Connection, receiver: str) -> int:
    """The position of the last entry that it has."""
    found = connection.execute(select(audit_sent.c.position).where(audit_sent.c.receiver == receiver))
    return int(found.scalar() or 0)


def note_sent(connection: Connection, receiver: str, position: int) -> None:
    row = {"position": position, "updated_at": func.now()}
    noted = upsert(audit_sent).values(receiver=receiver, **row)
    connection.execute(noted.on_conflict_do_update(index_elements=[audit_sent.c.receiver], set_=row))


def find(connection: Connection, principal: Principal, search: Search, limit: int) -> list[Line]:
    """What fits and concerns the principal, newest first. A row that we cannot have written is passed over: the
    verification tells of it."""
    query = (
        _fitting(search, principal).where(concerns(principal)).order_by(audit.c.position.desc()).limit(limit)
    )
    found = []
    for row in connection.execute(query):
        with contextlib.suppress(ValueError):
            found.append(_told_to(principal, line_of(row)))
    return found


def _told_to(principal: Principal, line: Line) -> Line:
    """A facility is told of its own patients alone: of what its people asked for and were not shown, it would learn
    that it exists, and whose it is."""
    if principal.facility is None:
        return line
    own = tuple(s for s in line.entry.subjects if s.facility == principal.facility)
    return replace(line, entry=replace(line.entry, subjects=own))


def concerns(principal: Principal) -> ColumnElement[bool]:
    """The condition under which an entry may be read: of a facility's auditors and administrators, what its people
    did, and what was done with what it owns."""
    if principal.facility is None:
        return true()
    return or_(audit.c.facility == principal.facility, audit.c.owners.contains([principal.facility]))


def subjects_of(connection: Connection, uids: Iterable[str]) -> dict[str, set[Subject]]:
    """Whose studies these are, of all facilities: for the trail alone, which tells it to nobody else."""
    query = (
        select(studies.c.study_uid, facilities.c.code, patients.c.issuer, patients.c.patient_id)
        .join(patients, patients.c.id == studies.c.patient_pk)
        .join(facilities, facilities.c.id == studies.c.facility_id)
        .where(studies.c.study_uid == func.any(list(uids)))
    )
    found: dict[str, set[Subject]] = defaultdict(set)
    for uid, code, issuer, patient_id in connection.execute(query):
        found[uid].add(Subject(code, issuer, patient_id))
    return found


def same_person(connection: Connection, subject: Subject) -> set[Subject]:
    """A patient with those of other facilities, or other IDs, who are the same person: for the trail alone."""
    here, there, home, owner = patients.alias(), patients.alias(), facilities.alias(), facilities.alias()
    same = or_(there.c.id == here.c.id, there.c.person_pk == here.c.person_pk)
    query = (
        select(owner.c.code, there.c.issuer, there.c.patient_id)
        .select_from(here.join(home, home.c.id == here.c.facility_id).join(there, same))
        .join(owner, owner.c.id == there.c.facility_id)
        .where(home.c.code == subject.facility, here.c.issuer == subject.issuer)
        .where(here.c.patient_id == subject.patient_id)
    )
    return {Subject(*row) for row in connection.execute(query)}


def _fitting(search: Search, principal: Principal) -> Select[Any]:
    of, query = audit.c, select(audit)
    equal = {of.who: search.who, of.outcome: search.outcome}
    query = query.where(*(column == value for column, value in equal.items() if value))
    within = {of.studies: search.study_uid, of.patient_ids: search.patient_id}  # these have an index
    query = query.where(*(column.contains([value]) for column, value in within.items() if value))
    if search.patient_id or search.issuer or search.owner:
        query = query.where(_is_about(search, principal))
    if search.subjects:
        ids = sorted({s.patient_id for s in search.subjects})
        query = query.where(of.patient_ids.overlap(ids), _is_any(search.subjects))
    if search.actions:
        query = query.where(of.action.in_(search.actions))
    if search.since is not None:
        query = query.where(of.at >= search.since)
    if search.until is not None:
        query = query.where(of.at < search.until)
    return query if search.before is None else query.where(of.position < search.before)


def _is_any(subjects: Sequence[Subject]) -> ColumnElement[bool]:
    """Whether one and the same subject is one of these."""
    subject = _unnested()
    of = tuple_(subject.c.owner, subject.c.issuer, subject.c.patient_id)
    wanted = [(s.facility, s.issuer, s.patient_id) for s in subjects]
    return exists(select(1).select_from(subject).where(of.in_(wanted)))


def _unnested() -> Any:
    return (
        func.unnest(audit.c.owners, audit.c.issuers, audit.c.patient_ids)
        .table_valued("owner", "issuer", "patient_id", name="subject")
        .render_derived()
    )


def _is_about(search: Search, principal: Principal) -> ColumnElement[bool]:
    """Whether one and the same subject has what is looked for."""
    subject = _unnested()
    told = (
        true() if principal.facility is None else subject.c.owner == principal.facility
    )  # as `_told_to` tells
    asked = {"owner": search.owner, "issuer": search.issuer, "patient_id": search.patient_id}
    return exists(
        select(1).select_from(subject).where(told, *(subject.c[n] == v for n, v in asked.items() if v))
    )


def _values(line: Line) -> dict[str, Any]:
    e = line.entry
    return {
        "position": line.position, "journal": line.place.journal, "number": line.place.number, "hash": line.hash,
        "at": e.at, "service": e.service.value, "action": e.action.value, "outcome": e.outcome.value, "who": e.who,
        "role": e.role, "facility": e.facility, "purpose": e.purpose, "address": e.address,
        "ae_title": e.ae_title, "asked": e.asked, "studies": list(e.studies),
        "owners": [s.facility for s in e.subjects], "issuers": [s.issuer for s in e.subjects],
        "patient_ids": [s.patient_id for s in e.subjects],
    }  # fmt: skip


def line_of(row: Row[Any]) -> Line:
    """A row as it is read; raises ValueError for what we cannot have written."""
    entry = Entry(
        at=row.at, service=Service(row.service), action=Action(row.action), outcome=Outcome(row.outcome),
        who=row.who, role=row.role, facility=row.facility, purpose=row.purpose, address=row.address,
        ae_title=row.ae_title, asked=row.asked, studies=tuple(row.studies),
        subjects=tuple(
                Subject(*one) for one in zip(row.owners, row.issuers, row.patient_ids, strict=True)
            ),
    )  # fmt: skip
    return Line(row.position, Place(bytes(row.journal), row.number), entry, bytes(row.hash))
