"""Sharing as verbs: what stays, what is counted, and what may not be said."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, insert, select, update

from pacs.access import Principal, Role
from pacs.attributes import Level
from pacs.errors import Forbidden, NotFound, SettingError
from pacs.query import Query
from pacs.sharing import Kind, Policy, Scope
from storage import accounts, links, sharing
from storage.archive import Archive
from storage.facilities import add_department, add_facility
from storage.index import removes
from storage.index.sharing import share_links
from storage.index.subjects import Named
from storage.index.tables import patients, studies
from storage.search import search

ADMIN = Principal("admin", Role.ADMINISTRATOR)
DOCTOR = Principal("doctor", Role.CLINICIAN, "ELSEWHERE")
LATER = datetime.now(UTC) + timedelta(hours=1)
STUDY = Named(study_uid="1.2.3")


@pytest.fixture
def one(archive: Archive) -> Iterator[tuple[Archive, int, int]]:
    """An archive with a study of LOCAL, and a doctor elsewhere; the keys of the study and its patient."""
    add_facility(archive, "ELSEWHERE", "")
    add_department(archive, "ELSEWHERE", "ER")
    accounts.add_user(archive, "doctor", "a password", Role.CLINICIAN, "", "ELSEWHERE", "ER")
    with archive.database.begin() as connection:
        new = insert(patients).values(facility_id=1, patient_id="P1").returning(patients.c.id)
        patient = connection.execute(new).scalar_one()
        row = {"facility_id": 1, "patient_pk": patient, "study_uid": STUDY.study_uid, "patient_id": "P1",
               "modalities": ["CT"], "instance_count": 1}  # fmt: skip
        study = connection.execute(insert(studies).values(row).returning(studies.c.id)).scalar_one()
    yield archive, study, patient
    with archive.database.begin() as connection:  # it has no instances, which `check` would tell
        connection.execute(studies.delete())


def listed(archive: Archive, who: Principal = DOCTOR) -> int:
    archive.standings.forget()
    return len(search(archive, Query(Level.STUDY), who))


def test_a_grant_to_a_department(one: tuple[Archive, int, int]) -> None:
    archive, _, _ = one
    emergency = accounts.find_user(archive, "doctor")
    assert emergency is not None
    who = emergency.principal()
    assert (who.facility, who.department) == ("ELSEWHERE", "ER")
    key = sharing.grant(archive, ADMIN, "LOCAL", STUDY, kind=Kind.REFERRAL, until=LATER, to_facility="ELSEWHERE",
                        to_department="ER")  # fmt: skip
    assert (listed(archive, who), listed(archive)) == (1, 0)
    assert [g["id"] for g in sharing.list_grants(archive, ADMIN, before=None, limit=5)] == [key]
    sharing.revoke(archive, ADMIN, key)
    assert listed(archive, who) == 0


def test_an_objection_goes_before_a_policy(one: tuple[Archive, int, int]) -> None:
    archive, _, _ = one
    sharing.set_policy(archive, ADMIN, "LOCAL", Policy(Scope.REGION))
    assert listed(archive) == 1
    said = sharing.restrict(archive, ADMIN, "LOCAL", Named(patient_id="P1"), kind="objection")
    assert listed(archive) == 0
    sharing.lift(archive, ADMIN, said)
    assert listed(archive) == 1
    sharing.set_policy(archive, ADMIN, "LOCAL", Policy(Scope.REGION, frozenset({"MR"})))
    assert listed(archive) == 0


def test_a_patient_who_objected_is_not_forgotten_with_the_last_study(one: tuple[Archive, int, int]) -> None:
    archive, study, patient = one
    sharing.restrict(archive, ADMIN, "LOCAL", Named(patient_id="P1"), kind="objection")
    with archive.database.begin() as connection:
        removes.remove_empty(connection, set(), {study}, {patient})
        assert connection.execute(select(studies.c.id)).all() == []
        assert connection.execute(select(patients.c.id)).scalars().all() == [patient]


def test_a_broken_glass_opens_all_of_the_patient(one: tuple[Archive, int, int]) -> None:
    archive, _, _ = one
    sharing.restrict(archive, ADMIN, "LOCAL", Named(patient_id="P1"), kind="objection")
    opened = sharing.break_glass(archive, DOCTOR, STUDY, "unconscious, polytrauma")
    assert opened["studies"] == [STUDY.study_uid]
    assert opened["until"] - datetime.now(UTC) < timedelta(hours=sharing.EMERGENCY_HOURS)
    assert listed(archive) == 1
    (alert,) = sharing.list_alerts(archive, Principal("a", Role.AUDITOR, "LOCAL"), before=None, limit=5)
    assert (alert["made_by"], alert["kind"]) == ("doctor", "emergency")
    assert sharing.list_alerts(archive, Principal("a", Role.AUDITOR, "ELSEWHERE"), before=None, limit=5) == []
    sharing.restrict(archive, ADMIN, "LOCAL", STUDY, kind="embargo", until=LATER)
    assert listed(archive) == 0
    with pytest.raises(NotFound):
        sharing.break_glass(archive, DOCTOR, STUDY, "unconscious, polytrauma")


def test_what_may_not_be_said(one: tuple[Archive, int, int]) -> None:
    archive, _, _ = one
    with pytest.raises(Forbidden):
        sharing.grant(archive, DOCTOR, "LOCAL", STUDY, kind=Kind.GRANT, until=LATER, to_user="doctor")
    with pytest.raises(Forbidden):
        sharing.grant(archive, ADMIN, "LOCAL", STUDY, kind=Kind.EMERGENCY, until=LATER, to_user="doctor")
    with pytest.raises(NotFound):
        sharing.grant(archive, ADMIN, "ELSEWHERE", STUDY, kind=Kind.GRANT, until=LATER, to_user="doctor")
    for to in ({}, {"to_user": "doctor", "to_facility": "ELSEWHERE"}):
        with pytest.raises(SettingError):
            sharing.grant(archive, ADMIN, "LOCAL", STUDY, kind=Kind.GRANT, until=LATER, **to)  # type: ignore[arg-type]
    with pytest.raises(SettingError):
        sharing.grant(
            archive, ADMIN, "LOCAL", STUDY, kind=Kind.GRANT, until=datetime.now(UTC), to_user="doctor"
        )
    for said in ({"kind": "embargo"}, {"kind": "objection", "everywhere": True}):
        with pytest.raises(SettingError):
            sharing.restrict(archive, ADMIN, "LOCAL", STUDY, **said)
    with pytest.raises(SettingError):
        sharing.break_glass(archive, DOCTOR, STUDY, "why not")


def test_who_has_no_facility_opens_nothing_that_others_share(one: tuple[Archive, int, int]) -> None:
    archive, _, _ = one
    sharing.set_policy(archive, ADMIN, "LOCAL", Policy(Scope.REGION))
    regional = Principal("regional", Role.RADIOLOGIST)
    assert listed(archive, regional) == 1
    with pytest.raises(Forbidden):
        sharing.grant(archive, regional, "LOCAL", STUDY, kind=Kind.REFERRAL, until=LATER, to_user="doctor")
    with pytest.raises(Forbidden):
        links.make(archive, regional, "LOCAL", [STUDY.study_uid])


def test_a_link_ends_by_itself_and_keeps_its_patient(one: tuple[Archive, int, int]) -> None:
    archive, study, patient = one
    made = links.make(archive, ADMIN, "LOCAL", [STUDY.study_uid], days=1)
    opened = links.open_link(archive, made.secret, made.code, "here")
    assert opened is not None
    assert (opened.studies, opened.patient_id, opened.seconds) == (
        (STUDY.study_uid,),
        "P1",
        links.SESSION_SECONDS,
    )
    with archive.database.begin() as connection:
        stored = connection.execute(select(share_links.c.token_hash, share_links.c.code_hash)).one()
        assert made.secret.encode() not in (stored.token_hash, stored.code_hash)
        assert hashlib.sha256(made.code.encode()).digest() != stored.code_hash, "it cannot be tried out"
    assert listed(archive, opened.principal()) == 1
    with archive.database.begin() as connection:
        soon = {"until": func.now() + timedelta(seconds=600)}
        connection.execute(update(share_links).values(soon))
    assert (found := links.open_link(archive, made.secret, made.code, "here")) is not None
    assert found.seconds <= 600, "no longer than the link"
    with archive.database.begin() as connection:
        connection.execute(update(share_links).values(until=func.now()))
    assert links.open_link(archive, made.secret, made.code, "here") is None
    assert listed(archive, opened.principal()) == 0
    with archive.database.begin() as connection:
        connection.execute(studies.delete())
        removes.remove_empty(connection, set(), {study}, {patient})
        assert connection.execute(select(patients.c.id)).scalars().all() == [patient], (
            "the trail is asked about it"
        )
