"""Linking, behind the index: each patient who is new or changed is compared with those who share a key, and becomes
somebody's patient, or a pair for a human. Work for one patient is bounded, whatever the archive's size."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from pacs.identity import Group, Judgement, Record, Verdict, decide, judge, keys_of, read_name, reused
from pacs.identity.linking import promising
from pacs.logs import get
from storage.archive import Archive
from storage.identity import CARD, RESIDENT
from storage.index import linking, steps
from storage.index.linking import Patient
from storage.index.steps import Step

log = get("linking")
BATCH = 10  # patients of a transaction, whose rows are held for about a tenth of a second
LOCKED = ("55P03", "40P01")  # SQLSTATE: the row is locked, or was a deadlock's
LATER_SECONDS = 600.0  # for a patient that could not be compared
BUSY_SECONDS = 2.0  # for one whose row somebody else holds
AUTOMATIC = ""
Row = dict[str, Any]


def link_due(archive: Archive, seconds: float) -> int:
    """Compare patients that are due, for so long; how many. Raises where the database is away."""
    until = time.monotonic() + seconds
    done = 0
    with archive.database.begin() as connection:
        population = linking.population(connection)
    while time.monotonic() < until:
        with archive.database.begin() as connection:
            if not steps.take_turn(connection, wait=False):
                break
            waiting = linking.due(connection, BATCH)
            for patient_pk in waiting:
                _link_one(connection, patient_pk, population)
        done += len(waiting)
        if len(waiting) < BATCH:
            break
    return done


def _link_one(connection: Connection, patient_pk: int, population: int) -> None:
    """One patient; what goes wrong with it stops no other."""
    try:
        with connection.begin_nested():
            link_patient(connection, patient_pk, population)
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) not in LOCKED:
            raise
        _put_off(connection, patient_pk, BUSY_SECONDS)
    except Exception as error:
        log.error("patient_not_compared", patient=patient_pk, error=type(error).__name__, exc_info=error)
        _put_off(connection, patient_pk, LATER_SECONDS)


def _put_off(connection: Connection, patient_pk: int, seconds: float) -> None:
    """If that cannot be noted now, it is due again at the next sweep."""
    try:
        with connection.begin_nested():
            linking.put_off(connection, patient_pk, seconds)
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) not in LOCKED:
            raise


def link_patient(connection: Connection, patient_pk: int, population: int) -> None:
    """Compare one patient, within a transaction that has its turn."""
    patient = linking.read_patient(connection, patient_pk)
    if patient is None:
        linking.put_off(connection, patient_pk, BUSY_SECONDS)
        return
    row = _effective(patient)
    record = linking.record_of(
        *(row[n] for n in ("patient_name", "birth_date", "sex", "phone", "resident", "cards"))
    )
    if _reused(connection, patient, record):
        linking.save(connection, patient, row | {"reused": True}, ())
        _leave(connection, patient)
        return
    keys = keys_of(record)
    linking.save(connection, patient, row | {"reused": False}, keys)
    _follow_messages(connection, patient)
    candidates = [c for c in linking.near(connection, keys) if c.patient != patient_pk]
    _reconsider(connection, patient, record, population)
    near = [c.patient for c in promising(record, candidates, population)]
    if near:
        _decide(connection, patient_pk, record, near, population)


def _decide(
    connection: Connection, patient_pk: int, record: Record, near: Sequence[int], population: int
) -> None:
    own, groups = _apart(linking.groups(connection, [patient_pk, *near]), patient_pk)
    if own is None:
        return
    everybody = [m.patient for g in (own, *groups) for m in g.members]
    decision = decide(own, record, groups, linking.parted(connection, everybody), population)
    for group, pair in decision.link:
        steps.join(connection, own, group, _step("link", pair.other, pair.judgement))
        own, _ = _apart(linking.groups(connection, [patient_pk]), patient_pk)
        assert own is not None
    for pair in decision.review:
        steps.add_review(
            connection, (patient_pk, pair.other), round(pair.judgement.bits, 2), "; ".join(pair.judgement.why)
        )


def _apart(groups: Sequence[Group], patient_pk: int) -> tuple[Group | None, list[Group]]:
    """The patient's own group, and the others."""
    own = [g for g in groups if any(m.patient == patient_pk for m in g.members)]
    return (own[0] if own else None), [g for g in groups if g not in own]


def _step(kind: str, other: int, judgement: Judgement) -> Step:
    return Step(kind, "; ".join(judgement.why), other, round(judgement.bits, 2), AUTOMATIC)


def _effective(patient: Patient) -> Row:
    """What is compared: what a hospital's message says, else what images say."""
    said, dicom = patient.corrected or {}, patient.dicom
    identifiers = [*(said.get("identifiers") or ()), *patient.told.get("identifiers", ())]
    residents = [(digest, shown) for kind, digest, shown in identifiers if kind == RESIDENT]
    return {
        "patient_name": said.get("patient_name") or dicom["patient_name"],
        "birth_date": said.get("birth_date") or dicom["birth_date"],
        "sex": said.get("sex") or dicom["sex"],
        "phone": said.get("phone") or patient.told.get("phone", ""),
        "resident": bytes.fromhex(residents[0][0]) if residents else b"",
        "resident_masked": residents[0][1] if residents else "",
        "cards": sorted({bytes.fromhex(digest) for kind, digest, _ in identifiers if kind == CARD}),
    }


def _reused(connection: Connection, patient: Patient, record: Record) -> bool:
    """Whether images of two people came under this ID. Where a message corrected what the first of them said, that is
    explained."""
    dicom = patient.dicom
    first = (dicom["patient_name"], dicom["birth_date"], dicom["sex"])
    told = linking.told_by_studies(connection, patient.pk)
    others = [_plain(*one) for one in told if patient.corrected is None or one != first]
    return reused(record, others)


def _plain(name: str, birth_date: date | None, sex: str) -> Record:
    return Record(read_name(name), birth_date, sex)


def _leave(connection: Connection, patient: Patient) -> None:
    """Who is two people is nobody's patient, unless somebody said so."""
    if patient.person is not None:
        step = Step("unlink", "the ID was used for two people")
        steps.move(connection, [patient.pk], None, step, steps.next_batch(connection))


def _reconsider(connection: Connection, patient: Patient, record: Record, population: int) -> None:
    """A patient that comparison linked, and whose data have changed: nobody's, where they are somebody else's now."""
    if patient.person is None or steps.last_actor(connection, patient.pk) != AUTOMATIC:
        return
    own, _ = _apart(linking.groups(connection, [patient.pk]), patient.pk)
    found = (
        [judge(record, m.record, population) for m in own.members if m.patient != patient.pk] if own else []
    )
    if found and (all(j.verdict is Verdict.APART for j in found) or any(j.against for j in found)):
        step = Step("unlink", "its data were changed, and compare no longer")
        steps.move(connection, [patient.pk], None, step, steps.next_batch(connection))


def _follow_messages(connection: Connection, patient: Patient) -> None:
    """What a hospital merged (ADT A40) is one person, however it compares, unless somebody parted it later."""
    if patient.corrected is None:
        return
    for other in linking.merged_with(connection, patient.corrected):
        own, groups = _apart(linking.groups(connection, [patient.pk, other]), patient.pk)
        if own is None or not groups:
            continue
        pks = [m.patient for g in (own, *groups) for m in g.members]
        if not linking.parted(connection, pks):
            steps.join(connection, own, groups[0], Step("merge", "ADT A40", other, actor="HL7"))
