"""Persons: who is who across facilities, for people. Each step can be undone, and what somebody decided is not decided
anew by comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, update

from pacs.access import Principal
from pacs.errors import Conflict, NotFound
from pacs.identity import Group, masked_phone, shown_id
from pacs.identity.linking import PATIENTS_MAX, contradict
from storage.archive import Archive
from storage.index import linking, persons, steps
from storage.index.identity import demographics
from storage.index.steps import Step

PAGE_MAX = 200
STUDIES_MAX = 1000  # of a person that are told at once
STEPS_MAX = 200
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SeenPatient:
    """A patient as it is shown: numbers masked. The `said_…` fields are those that are compared."""

    id: int
    facility: str
    patient_id: str
    issuer: str
    patient_name: str
    birth_date: date | None
    sex: str
    person: int | None
    phone: str
    resident_number: str
    reused: bool
    said_name: str
    said_birth_date: date | None
    said_sex: str


@dataclass(frozen=True, slots=True)
class Review:
    """A pair for a human."""

    low: SeenPatient
    high: SeenPatient
    bits: float | None
    why: str
    state: str
    decided_by: str


def find_patient(archive: Archive, principal: Principal, patient_pk: int) -> SeenPatient:
    """One patient; raises NotFound."""
    query = persons.seen_patients(principal, [patient_pk])
    with archive.database.read() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound("there is no such patient")
    return seen(row)


def patients_of_person(archive: Archive, principal: Principal, patient_pk: int) -> list[SeenPatient]:
    """A patient, and who is the same person, as far as they may be seen. Raises NotFound."""
    find_patient(archive, principal, patient_pk)
    query = persons.patients_of_person(principal, patient_pk).limit(PATIENTS_MAX)
    with archive.database.read() as connection:
        return [seen(row) for row in connection.execute(query)]


def studies_of_person(archive: Archive, principal: Principal, patient_pk: int) -> list[str]:
    """UIDs of the studies of the same person that may be seen, the newest first. Raises NotFound."""
    find_patient(archive, principal, patient_pk)
    query = persons.studies_of_person(principal, patient_pk).limit(STUDIES_MAX)
    with archive.read_as(principal) as connection:
        return list(dict.fromkeys(row.study_uid for row in connection.execute(query)))


def priors(archive: Archive, principal: Principal, study_uid: str) -> list[str]:
    """UIDs of the other studies of a study's person that may be seen, the newest first; none for an unknown study."""
    with archive.read_as(principal) as connection:
        pks = connection.execute(persons.patients_of_study(principal, study_uid)).scalars().all()
    found = [uid for pk in pks for uid in studies_of_person(archive, principal, pk)]
    return [uid for uid in dict.fromkeys(found) if uid != study_uid]


def list_persons(
    archive: Archive, principal: Principal, after: int = 0, limit: int = PAGE_MAX
) -> list[SeenPatient]:
    """Linked patients by their persons, from above the person `after`; the last person of a page may go on."""
    with archive.database.read() as connection:
        found = connection.execute(persons.seen_persons(principal, after).limit(min(limit, PAGE_MAX)))
        return [seen(row) for row in found]


def list_reviews(
    archive: Archive, principal: Principal, state: str = "open", limit: int = PAGE_MAX
) -> list[Review]:
    """Pairs of the queue, the surest first."""
    with archive.database.snapshot() as connection:
        query = persons.seen_reviews(principal, state).limit(min(limit, PAGE_MAX))
        rows = connection.execute(query).mappings().all()
        pks = {row[name] for row in rows for name in ("low_pk", "high_pk")}
        query = persons.seen_patients(principal, pks)
        shown = {row.id: seen(row) for row in connection.execute(query)}
    return [
        Review(shown[r["low_pk"]], shown[r["high_pk"]], r["bits"], r["why"], r["state"], r["decided_by"])
        for r in rows
    ]


def list_steps(archive: Archive, principal: Principal, patient_pk: int) -> list[Row]:
    """What was done with a patient, the last first. Raises NotFound."""
    find_patient(archive, principal, patient_pk)
    with archive.database.read() as connection:
        found = connection.execute(persons.seen_steps(principal, patient_pk).limit(STEPS_MAX)).mappings()
        return [{k: v for k, v in row.items() if k not in ("before", "facility_id")} for row in found]


# --- Decisions ------------------------------------------------------------------------------------------------------


def link(archive: Archive, principal: Principal, one: int, other: int, why: str = "") -> int:
    """Somebody says that two patients are one person; the number of the batch, 0 if they were linked already. Raises
    NotFound, or Conflict where their resident numbers differ or others of their persons were parted."""
    _check_pair(archive, principal, one, other)
    with archive.database.begin() as connection:
        steps.take_turn(connection, wait=True)
        return _link(connection, principal, one, other, why)


def _link(connection: Connection, principal: Principal, one: int, other: int, why: str) -> int:
    ours, *others = sorted(linking.groups(connection, [one, other]), key=lambda g: not _has(g, one))
    if not _has(ours, one) or not any(_has(g, other) for g in (ours, *others)):
        raise Conflict("an ID that was used for two people cannot be linked")
    steps.decide_pairs(connection, one, [other], "accepted", principal.name)
    if not others:
        return 0
    theirs = others[0]
    if contradict(ours, theirs):
        raise Conflict("they have different resident numbers")
    pks = [m.patient for g in (ours, theirs) for m in g.members]
    if linking.parted(connection, pks):
        raise Conflict("somebody parted patients of these persons: see their reviews")
    if len(pks) > PATIENTS_MAX:
        raise Conflict(f"a person has at most {PATIENTS_MAX} patients")
    return steps.join(connection, ours, theirs, Step("link", why, other, actor=principal.name))


def _has(group: Group, patient_pk: int) -> bool:
    return any(m.patient == patient_pk for m in group.members)


def refuse(archive: Archive, principal: Principal, one: int, other: int) -> None:
    """Somebody says that two patients are two; comparison will not link them again. Raises NotFound, or Conflict where
    they are linked."""
    _check_pair(archive, principal, one, other)
    with archive.database.begin() as connection:
        steps.take_turn(connection, wait=True)
        person = steps.person_of(connection, one)
        if person is not None and person == steps.person_of(connection, other):
            raise Conflict("they are linked: unlink one of them")
        steps.decide_pairs(connection, one, [other], "refused", principal.name)


def unlink(archive: Archive, principal: Principal, patient_pk: int, why: str = "") -> int:
    """Take a patient away from its person for good: no comparison links it with these again. The number of the batch.
    Raises NotFound, or Conflict where it is linked with nobody."""
    find_patient(archive, principal, patient_pk)
    with archive.database.begin() as connection:
        steps.take_turn(connection, wait=True)
        person = steps.person_of(connection, patient_pk)
        if person is None:
            raise Conflict("this patient is linked with nobody")
        batch = steps.next_batch(connection)
        steps.move(connection, [patient_pk], None, Step("unlink", why, actor=principal.name), batch)
        others = steps.patients_of(connection, person)
        steps.decide_pairs(connection, patient_pk, others, "refused", principal.name)
        return batch


def undo(archive: Archive, principal: Principal, batch: int) -> int:
    """Undo the steps of a batch; the number of the new one. Raises NotFound, or Conflict where later steps build on it
    or it was undone already."""
    with archive.database.begin() as connection:
        steps.take_turn(connection, wait=True)
        rows = steps.open_steps(connection, batch)
        if connection.execute(persons.unseen_steps(principal, batch)).first() or not (
            rows or steps.is_batch(connection, batch)
        ):
            raise NotFound("there is no such step")
        if not rows:
            raise Conflict("it was undone already")
        undoing = steps.next_batch(connection)
        for row in rows:
            _take_back(connection, principal, row, undoing)
        for row in rows:
            _settle(connection, principal, row)
        steps.mark_undone(connection, batch, undoing)
        return undoing


def _take_back(connection: Connection, principal: Principal, row: Row, undoing: int) -> None:
    step = Step("undo", f"of {row['batch']}", row["other_pk"], actor=principal.name)
    if row["demographics_id"] is not None:
        _restore(connection, row, step, undoing)
        return
    if steps.person_of(connection, row["patient_pk"]) != row["to_person"]:
        raise Conflict("later steps build on this one: undo them first")
    steps.move(connection, [row["patient_pk"]], row["from_person"], step, undoing)


def _restore(connection: Connection, row: Row, step: Step, undoing: int) -> None:
    """Put the row of a correction back as it was."""
    before = steps.row_before(row["before"])
    mine = demographics.c.id == row["demographics_id"]
    now = steps.read_demographics(connection, row["demographics_id"])
    if steps.corrected_later(connection, row):
        raise Conflict("later steps build on this one: undo them first")
    connection.execute(update(demographics).where(mine).values(before))
    steps.note(
        connection, step, undoing, facility_id=row["facility_id"], demographics_id=row["demographics_id"],
        before=steps.as_json(now),
    )  # fmt: skip
    if now["merged_into"] != before["merged_into"]:
        ours = linking.patients_with_id(connection, now["id"])
        theirs = linking.patients_with_id(connection, now["merged_into"])
        _part(connection, ours, theirs, step, undoing)
    linking.make_due(connection, row["demographics_id"])


def _part(
    connection: Connection, ours: Sequence[int], theirs: Sequence[int], step: Step, undoing: int
) -> None:
    """Of IDs that were merged and should not have been: they are two again, and stay so."""
    persons_of_theirs = {steps.person_of(connection, pk) for pk in theirs} - {None}
    for pk in ours:
        if steps.person_of(connection, pk) in persons_of_theirs:
            steps.move(connection, [pk], None, step, undoing)
        steps.decide_pairs(connection, pk, theirs, "refused", step.actor)


def _settle(connection: Connection, principal: Principal, row: Row) -> None:
    """What was undone is decided: comparison does not do it again."""
    pk = row["patient_pk"]
    if pk is None:
        return
    parted_from = set(steps.patients_of(connection, row["to_person"]))
    if row["other_pk"] is not None and row["to_person"] is not None:
        parted_from.add(row["other_pk"])
    back_with = set(steps.patients_of(connection, row["from_person"]))
    steps.decide_pairs(connection, pk, parted_from - back_with, "refused", principal.name)
    steps.decide_pairs(connection, pk, back_with, "accepted", principal.name)


def _check_pair(archive: Archive, principal: Principal, one: int, other: int) -> None:
    for pk in (one, other):
        find_patient(archive, principal, pk)
    if one == other:
        raise Conflict("a pair is of two patients")


def seen(row: Any) -> SeenPatient:
    """A row of `storage.index.persons` as it is shown."""
    found = row._mapping
    return SeenPatient(
        found["id"], found["facility"], shown_id(found["patient_id"]), found["issuer"],
        found["patient_name"], found["birth_date"], found["sex"], found["person_pk"],
        masked_phone(found["phone"] or ""), found["resident_masked"] or "", bool(found["reused"]),
        found["said_name"] or "", found["said_birth_date"], found["said_sex"] or "",
    )  # fmt: skip
