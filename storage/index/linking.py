"""Patients and who they may be, for the linking (`storage.persons`): inside the caller's transaction, and for nobody in
particular, since only what may be seen is shown later (`storage.index.persons`)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import BigInteger, Connection, bindparam, delete, func, or_, select, text, true, update
from sqlalchemy.dialects.postgresql import ARRAY, insert

from pacs.identity import Candidate, Group, Record, read_name
from pacs.identity.linking import PATIENTS_MAX
from storage.index.identity import demographics, identities, match_keys, reviews
from storage.index.tables import patients, studies

Row = dict[str, Any]
BLOCK_MAX = 100  # patients of one key that are looked at; what is commoner tells nobody apart
TOLD_MAX = 50  # demographics under one ID that are looked at
STUDIES_MAX = 500  # of a patient, in which they are looked for

_new = insert(identities).values(due_at=func.now())
_HEAR = _new.on_conflict_do_update(
    index_elements=["patient_pk"],
    set_={
        "told": identities.c.told.concat(_new.excluded.told),
        "heard": _new.excluded.heard,
        "due_at": func.coalesce(identities.c.due_at, func.now()),
    },
    where=identities.c.heard != _new.excluded.heard,
)


def hear(connection: Connection, facility_id: int, patient_pk: int, told: Row, heard: int) -> None:
    """What images say of a patient; it is compared anew where that is new (`heard` is its hash)."""
    row = {"patient_pk": patient_pk, "facility_id": facility_id, "told": told, "heard": heard}
    connection.execute(_HEAR, row)


def due(connection: Connection, limit: int) -> Sequence[int]:
    """Patients that are to be compared, the longest due first."""
    waiting = select(identities.c.patient_pk).where(identities.c.due_at <= func.now())
    return connection.execute(waiting.order_by(identities.c.due_at).limit(limit)).scalars().all()


def patients_with_id(connection: Connection, demographics_id: int | None) -> Sequence[int]:
    """The patients of an ID that a message named."""
    row = (
        connection.execute(select(demographics).where(demographics.c.id == demographics_id))
        .mappings()
        .one_or_none()
    )
    if row is None:
        return []
    with_id = _with_id(patients, row["facility_id"], row["patient_id"], row["issuer"])
    return connection.execute(select(patients.c.id).where(*with_id).limit(PATIENTS_MAX)).scalars().all()


def make_due(connection: Connection, demographics_id: int) -> None:
    """Compare the patients of this ID anew."""
    pks = patients_with_id(connection, demographics_id)
    connection.execute(update(identities).where(identities.c.patient_pk.in_(pks)).values(due_at=func.now()))


def put_off(connection: Connection, patient_pk: int, seconds: float) -> None:
    """Not now: later."""
    later = func.now() + timedelta(seconds=seconds)
    connection.execute(update(identities).where(identities.c.patient_pk == patient_pk).values(due_at=later))


def _with_id(table: Any, facility_id: int, patient_id: str, issuer: str) -> tuple[Any, ...]:
    """Images seldom name the issuer, and messages do: an empty one is any."""
    same = () if not issuer else (or_(table.c.issuer == issuer, table.c.issuer == ""),)
    return (table.c.facility_id == facility_id, table.c.patient_id == patient_id, *same)


@dataclass(frozen=True, slots=True)
class Patient:
    """A row of `patients` with what images say beyond it, and what the hospital's system says of its ID."""

    pk: int
    facility_id: int
    person: int | None
    dicom: Row
    told: Row
    corrected: Row | None


def read_patient(connection: Connection, patient_pk: int) -> Patient | None:
    """One patient, its row locked before that of its identity, as indexing does; None if it is gone, or somebody else
    holds it."""
    query = (
        select(patients, identities.c.told)
        .join(identities, identities.c.patient_pk == patients.c.id)
        .where(patients.c.id == patient_pk)
        .with_for_update(of=patients, key_share=True, skip_locked=True)
    )
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return None
    found = None
    if row["patient_id"]:
        with_id = _with_id(demographics, row["facility_id"], row["patient_id"], row["issuer"])
        exact = (demographics.c.issuer == row["issuer"]).desc()
        said = select(demographics).where(*with_id).order_by(exact, demographics.c.id).limit(1)
        found = connection.execute(said).mappings().one_or_none()
    return Patient(
        patient_pk, row["facility_id"], row["person_pk"], dict(row), row["told"], dict(found) if found else None
    )  # fmt: skip


def told_by_studies(connection: Connection, patient_pk: int) -> Sequence[tuple[str, date | None, str]]:
    """Names, birth dates and sexes that came under this patient's ID."""
    newest = (
        select(studies.c.patient_name, studies.c.birth_date, studies.c.sex)
        .where(studies.c.patient_pk == patient_pk)
        .order_by(studies.c.id.desc())
        .limit(STUDIES_MAX)
        .subquery()
    )
    found = connection.execute(select(*newest.c).distinct().limit(TOLD_MAX))
    return [(name, birth, sex) for name, birth, sex in found]


def merged_with(connection: Connection, corrected: Row) -> Sequence[int]:
    """Patients whose IDs a message merged with this one, in either direction."""
    query = select(demographics.c.id).where(
        or_(demographics.c.merged_into == corrected["id"], demographics.c.id == corrected["merged_into"])
    )
    rows = connection.execute(query.order_by(demographics.c.id).limit(PATIENTS_MAX)).scalars().all()
    return [pk for row in rows for pk in patients_with_id(connection, row)]


def save(connection: Connection, patient: Patient, values: Row, keys: Sequence[int]) -> None:
    """As it was compared now; `values` are columns of `identities`."""
    mine = identities.c.patient_pk == patient.pk
    known = {"due_at": None, "matched_at": func.now()}
    connection.execute(update(identities).where(mine).values(values | known))
    connection.execute(
        delete(match_keys).where(match_keys.c.patient_pk == patient.pk, match_keys.c.key.not_in(keys))
    )
    rows = [{"key": k, "patient_pk": patient.pk, "facility_id": patient.facility_id} for k in sorted(keys)]
    if rows:
        connection.execute(insert(match_keys).on_conflict_do_nothing(), rows)


_keys = func.unnest(bindparam("keys", type_=ARRAY(BigInteger))).table_valued("key").render_derived(name="k")
_block = (
    select(match_keys.c.patient_pk).where(match_keys.c.key == _keys.c.key).limit(BLOCK_MAX).lateral("block")
)
_NEAR = select(_block.c.patient_pk).select_from(_keys).join(_block, true()).distinct()
_COMPARED = (
    identities.c.patient_pk, identities.c.patient_name, identities.c.birth_date, identities.c.sex,
    identities.c.phone, identities.c.resident, identities.c.cards,
)  # fmt: skip


def near(connection: Connection, keys: Collection[int]) -> list[Candidate]:
    """Patients that share a key."""
    pks = connection.execute(_NEAR, {"keys": list(keys)}).scalars().all() if keys else ()
    return _compared(connection, identities.c.patient_pk.in_(pks)) if pks else []


def _compared(connection: Connection, where: Any) -> list[Candidate]:
    query = select(*_COMPARED).where(where, ~identities.c.reused).order_by(identities.c.patient_pk)
    return [Candidate(row[0], record_of(*row[1:])) for row in connection.execute(query)]


def record_of(
    name: str, birth_date: date | None, sex: str, phone: str, resident: bytes, cards: Iterable[bytes]
) -> Record:
    """A row of `identities` as it is compared."""
    return Record(read_name(name), birth_date, sex, phone, bytes(resident), frozenset(map(bytes, cards)))


def groups(connection: Connection, patient_pks: Collection[int]) -> list[Group]:
    """The persons of these patients with all who belong to them; of those without one, themselves."""
    query = select(patients.c.id, patients.c.person_pk).where(patients.c.id.in_(patient_pks))
    persons = {person for _, person in connection.execute(query) if person is not None}
    query = select(patients.c.id, patients.c.person_pk).where(
        or_(patients.c.id.in_(patient_pks), patients.c.person_pk.in_(persons))
    )
    person_of: dict[int, int | None] = {row.id: row.person_pk for row in connection.execute(query)}
    members: dict[Any, list[Candidate]] = {}
    for one in _compared(connection, identities.c.patient_pk.in_(person_of)):
        person = person_of[one.patient]
        members.setdefault(("alone", one.patient) if person is None else person, []).append(one)
    return [Group(person_of[m[0].patient], tuple(m)) for m in members.values()]


def parted(connection: Connection, patient_pks: Collection[int]) -> set[frozenset[int]]:
    """Pairs among these that somebody said are two."""
    pks = list(patient_pks)
    query = select(reviews.c.low_pk, reviews.c.high_pk).where(
        reviews.c.state == "refused", reviews.c.low_pk.in_(pks), reviews.c.high_pk.in_(pks)
    )
    return {frozenset((low, high)) for low, high in connection.execute(query)}


def population(connection: Connection) -> int:
    """About how many patients there are, as the database's own statistics say: no counting."""
    asked = text("SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'patients'::regclass")
    return int(connection.execute(asked).scalar_one())
