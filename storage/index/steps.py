"""Steps that make persons of patients, and unmake them: each stores what it changed, and is undone in constant time.
Inside the caller's transaction, which has `take_turn`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import BigInteger, Connection, bindparam, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from pacs.identity import Group
from storage.index.identity import demographics, link_events, reviews
from storage.index.tables import patients, persons

Row = dict[str, Any]
_LOCK = 0x506572736F6E  # one links at a time; no other advisory lock of ours has this number
CORRECTABLE = ("patient_name", "birth_date", "sex", "phone", "identifiers", "merged_into")
LOCK_MS_MAX = 500  # for a patient's row: who indexes is never waited for long, nor deadlocked with
_TRY = select(func.pg_try_advisory_xact_lock(bindparam("key", type_=BigInteger)))
_WAIT = select(func.pg_advisory_xact_lock(bindparam("key", type_=BigInteger)))


@dataclass(frozen=True, slots=True)
class Step:
    """Why a patient is moved: what kind of step, which other patient says so, how surely, and who decided; `actor` is
    empty where comparison did."""

    kind: str
    why: str = ""
    other: int | None = None
    bits: float | None = None
    actor: str = ""


def take_turn(connection: Connection, *, wait: bool) -> bool:
    """Be the only one that links, until the transaction ends; False if another is, and we do not wait."""
    connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_MS_MAX if not wait else 10 * LOCK_MS_MAX}"))
    mine = connection.execute(_WAIT if wait else _TRY, {"key": _LOCK}).scalar()
    connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_MS_MAX}"))
    return wait or bool(mine)


def next_batch(connection: Connection) -> int:
    """The number of a new batch of steps."""
    sequence = func.pg_get_serial_sequence("link_events", "id")
    return int(connection.execute(select(func.nextval(sequence))).scalar_one())


def join(connection: Connection, one: Group, other: Group, step: Step) -> int:
    """Make one person of both: the smaller group is moved. Returns the batch."""
    batch = next_batch(connection)
    stays, moves = (one, other) if _weight(one) >= _weight(other) else (other, one)
    person = stays.person
    if person is None:
        person = connection.execute(insert(persons).returning(persons.c.id)).scalar_one()
        moves = Group(None, (*stays.members, *moves.members))
    move(connection, sorted(m.patient for m in moves.members), person, step, batch)
    return batch


def _weight(group: Group) -> tuple[bool, int]:
    return group.person is not None, len(group.members)


def move(
    connection: Connection, patient_pks: Iterable[int], person: int | None, step: Step, batch: int
) -> list[int]:
    """Give patients to a person, or to none: a step for each whom that changes. Returns these."""
    moved = []
    for pk in patient_pks:
        mine = select(patients.c.facility_id, patients.c.person_pk).where(patients.c.id == pk)
        row = connection.execute(mine.with_for_update(key_share=True)).one_or_none()
        if row is None or row.person_pk == person:
            continue
        connection.execute(update(patients).where(patients.c.id == pk).values(person_pk=person))
        note(
            connection, step, batch, facility_id=row.facility_id, patient_pk=pk,
            from_person=row.person_pk, to_person=person,
        )  # fmt: skip
        moved.append(pk)
    return moved


def note(connection: Connection, step: Step, batch: int, **changed: Any) -> None:
    """Write down a step."""
    row = {
        "batch": batch, "kind": step.kind, "other_pk": step.other, "bits": step.bits, "why": step.why,
        "actor": step.actor,
    }  # fmt: skip
    connection.execute(insert(link_events).values(row | changed))


def open_steps(connection: Connection, batch: int) -> Sequence[Row]:
    """Those of a batch that are not undone, the last first."""
    query = select(link_events).where(link_events.c.batch == batch, link_events.c.undone_by.is_(None))
    rows = connection.execute(query.order_by(link_events.c.id.desc()).limit(1000).with_for_update())
    return [dict(row) for row in rows.mappings()]


def is_batch(connection: Connection, batch: int) -> bool:
    """Whether there is such a batch."""
    query = select(link_events.c.id).where(link_events.c.batch == batch).limit(1)
    return connection.execute(query).first() is not None


def mark_undone(connection: Connection, batch: int, undone_by: int) -> None:
    """Its steps were undone by this batch."""
    done = update(link_events).where(link_events.c.batch == batch, link_events.c.undone_by.is_(None))
    connection.execute(done.values(undone_by=undone_by))


def last_actor(connection: Connection, patient_pk: int) -> str | None:
    """Who moved a patient last; None if nobody ever did."""
    query = select(link_events.c.actor).where(link_events.c.patient_pk == patient_pk)
    return connection.execute(query.order_by(link_events.c.id.desc()).limit(1)).scalar()


def person_of(connection: Connection, patient_pk: int) -> int | None:
    """Whose patient it is now."""
    query = select(patients.c.person_pk).where(patients.c.id == patient_pk)
    return connection.execute(query).scalar()


def patients_of(connection: Connection, person: int | None) -> Sequence[int]:
    """The patients of a person."""
    if person is None:
        return []
    return connection.execute(select(patients.c.id).where(patients.c.person_pk == person)).scalars().all()


def decide_pairs(
    connection: Connection, patient_pk: int, others: Collection[int], state: str, actor: str
) -> None:
    """Write down what somebody decided of pairs: `accepted` or `refused`."""
    rows = [
        {"low_pk": min(patient_pk, o), "high_pk": max(patient_pk, o), "state": state, "decided_by": actor}
        for o in sorted(others)
        if o != patient_pk
    ]
    if rows:
        given = upsert(reviews)
        said = {
            "state": given.excluded.state,
            "decided_by": given.excluded.decided_by,
            "decided_at": func.now(),
        }
        connection.execute(given.on_conflict_do_update(index_elements=["low_pk", "high_pk"], set_=said), rows)


def add_review(connection: Connection, pair: tuple[int, int], bits: float, why: str) -> None:
    """Put a pair into the queue, or its score up to date; what was decided stays."""
    given = upsert(reviews).values(low_pk=min(pair), high_pk=max(pair), bits=bits, why=why)
    again = given.on_conflict_do_update(
        index_elements=["low_pk", "high_pk"],
        set_={"bits": given.excluded.bits, "why": given.excluded.why},
        where=reviews.c.state == "open",
    )
    connection.execute(again)


_LAST = (
    select(link_events.c.to_person)
    .where(link_events.c.patient_pk == patients.c.id)
    .order_by(link_events.c.id.desc())
    .limit(1)
    .correlate(patients)
    .scalar_subquery()
)


def misplaced(connection: Connection, limit: int) -> Sequence[int]:
    """Patients who are not where their last step put them: something else than steps moved them."""
    query = select(patients.c.id).where(patients.c.person_pk.is_distinct_from(_LAST))
    return connection.execute(query.order_by(patients.c.id).limit(limit)).scalars().all()


def read_demographics(connection: Connection, pk: int) -> Row:
    """One row of `demographics`, locked."""
    query = select(demographics).where(demographics.c.id == pk).with_for_update()
    return dict(connection.execute(query).mappings().one())


def corrected_later(connection: Connection, step: Row) -> bool:
    """Whether the row of a correction was corrected again, and that stands."""
    later = select(link_events.c.id).where(
        link_events.c.demographics_id == step["demographics_id"],
        link_events.c.kind.in_(("correct", "merge")),
        link_events.c.id > step["id"],
        link_events.c.undone_by.is_(None),
    )
    return connection.execute(later.limit(1)).first() is not None


def as_json(row: Row) -> Row:
    """What a correction may change of a row of `demographics`, as a step keeps it."""
    return {n: v.isoformat() if isinstance(v := row[n], date) else v for n in CORRECTABLE}


def row_before(kept: Row) -> Row:
    """The reverse."""
    birth = kept["birth_date"]
    return kept | {"birth_date": date.fromisoformat(birth) if birth else None}
