"""`may`, case by case; that it agrees with SQL is proven by tests/integration/storage/test_worlds.py."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pacs.access import Action, Principal, Purpose, Reason, Role, may, reason
from pacs.sharing import Grant, Kind, Objection, Policy, Scope, StudyFacts

NOW = datetime(2026, 7, 1, tzinfo=UTC)
DOCTOR = Principal("doctor", Role.CLINICIAN, "A")
STUDY = StudyFacts("B", modalities=frozenset({"CT"}))
REGION = replace(STUDY, policy=Policy(Scope.REGION))
STUDIES = 10_000


def grant(kind: Kind = Kind.REFERRAL, hours: float = 1, **to: str) -> Grant:
    return Grant(kind, NOW - timedelta(hours=1), NOW + timedelta(hours=hours), **to or {"to_facility": "A"})  # type: ignore[arg-type]


def why(study: StudyFacts, who: Principal = DOCTOR, purpose: Purpose = Purpose.TREATMENT) -> Reason | None:
    return reason(who, Action.SEE, study, purpose, NOW)


@pytest.mark.parametrize(
    ("role", "own", "marked", "elsewhere"),
    [
        (Role.ADMINISTRATOR, True, True, False),
        (Role.CLINICIAN, True, False, True),
        (Role.RADIOLOGIST, True, True, True),
        (Role.TECHNOLOGIST, True, True, False),
        (Role.AUDITOR, False, False, False),
        (Role.DEVICE, True, True, False),
        (Role.SYSTEM, True, True, False),
        (Role.LINK, False, False, False),
    ],
)
def test_roles(role: Role, own: bool, marked: bool, elsewhere: bool) -> None:
    who = Principal("x", role, "A")
    mine = replace(STUDY, facility="A")
    assert (why(mine, who), why(replace(mine, marked=True), who), why(REGION, who)) == (
        Reason.OWN if own else None, Reason.OWN if marked else None, Reason.POLICY if elsewhere else None,
    )  # fmt: skip


def test_policies() -> None:
    registered = replace(STUDY, policy=Policy(Scope.REGISTERED))
    assert why(STUDY) is None
    assert why(registered) is None
    assert why(replace(registered, registered_at=frozenset({"A"}))) is Reason.POLICY
    narrow = replace(REGION, policy=Policy(Scope.REGION, frozenset({"CT"}), frozenset({"BREAST"})))
    assert why(narrow) is Reason.POLICY
    assert why(replace(narrow, modalities=frozenset({"CT", "MR"}))) is None
    assert why(replace(narrow, modalities=frozenset())) is None, "what it is nobody knows"
    assert why(replace(narrow, body_parts=frozenset({"BREAST"}))) is None


def test_grants_and_emergencies() -> None:
    assert why(replace(STUDY, grants=(grant(),))) is Reason.GRANT
    assert why(replace(STUDY, grants=(grant(hours=0),))) is None, "it ends now"
    assert why(replace(STUDY, grants=(grant(to_facility="C"),))) is None
    assert why(replace(STUDY, grants=(grant(),)), replace(DOCTOR, role=Role.TECHNOLOGIST)) is None
    urgent = replace(STUDY, grants=(grant(Kind.EMERGENCY, to_user="doctor"),))
    assert why(urgent) is Reason.EMERGENCY
    assert why(replace(urgent, objection=Objection.ORDINARY, marked=True)) is Reason.EMERGENCY
    assert why(replace(urgent, objection=Objection.ABSOLUTE)) is None
    assert why(replace(urgent, embargo_until=NOW + timedelta(seconds=1))) is None
    assert why(replace(urgent, embargo_until=NOW)) is Reason.EMERGENCY


@pytest.mark.parametrize(
    "closed", [{"objection": Objection.ORDINARY}, {"marked": True}, {"embargo_until": NOW.replace(year=2030)}]
)
def test_what_keeps_a_study_closed_goes_before_policies_and_grants(closed: dict[str, object]) -> None:
    assert why(replace(REGION, grants=(grant(),), **closed)) is None  # type: ignore[arg-type]


def test_actions() -> None:
    mine, admin = replace(STUDY, facility="A"), Principal("x", Role.ADMINISTRATOR, "A")
    for action in (Action.STORE, Action.REJECT, Action.ADMINISTER):
        assert may(admin, action, mine, Purpose.TREATMENT, NOW)
        assert not may(DOCTOR, action, mine, Purpose.TREATMENT, NOW)
        assert not may(admin, action, REGION, Purpose.TREATMENT, NOW)
    assert may(DOCTOR, Action.SHARE, mine, Purpose.TREATMENT, NOW)
    assert not may(DOCTOR, Action.SHARE, REGION, Purpose.TREATMENT, NOW), "it is not theirs to share"
    assert may(replace(DOCTOR, role=Role.AUDITOR), Action.AUDIT, mine, Purpose.AUDIT, NOW)


def test_ten_thousand_are_decided_within_milliseconds() -> None:
    kinds = (replace(STUDY, facility="A"), REGION, replace(REGION, marked=True), STUDY,
             replace(STUDY, policy=Policy(Scope.REGISTERED), registered_at=frozenset({"A"})),
             replace(STUDY, grants=(grant(),)))  # fmt: skip
    studies = [kinds[n % len(kinds)] for n in range(STUDIES)]
    taken = []
    for _ in range(10):
        began = time.process_time()
        seen = sum(may(DOCTOR, Action.SEE, study, Purpose.TREATMENT, NOW) for study in studies)
        taken.append((time.process_time() - began) * 1000)
    print(f"\nmay on {STUDIES} studies: {min(taken):.1f} ms")
    assert seen > STUDIES // 2
    assert min(taken) < 50, "10 ms on a quiet machine"
