"""`visible(principal)`: the SQL twin of `pacs.access.may` for reading. No query of studies is written without it.

`tests/house` proves that nothing outside this folder builds a query on the tables of patients, studies and series, and
`tests/integration/storage/test_worlds.py` that the twins agree. All of it is SQL, so that what is taken back is closed
with the next statement. What is the same for all rows (who asks, whether anything was opened to them at all) stands in
sub-selects of its own, which PostgreSQL runs once; what remains for each row looks into indexes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    FromClause,
    Text,
    and_,
    any_,
    cast,
    exists,
    false,
    func,
    or_,
    select,
    true,
)

from pacs.access import CARE, OPERATING, PROFESSIONALS, WORKING, Principal, Purpose, Role, reads_own
from pacs.sharing import Kind, Scope
from storage.index.sharing import grants, restrictions, share_links, sharing_policies
from storage.index.tables import departments, facilities, patients, series, studies, users

OBJECTION, ABSOLUTE, SENSITIVE, EMBARGO = "objection", "absolute", "sensitive", "embargo"
RESTRICTIONS = (OBJECTION, ABSOLUTE, SENSITIVE, EMBARGO)
IN_CARE = (Kind.REFERRAL, Kind.CONSULTATION, Kind.GRANT)
NOTHING: ColumnElement[Any] = cast([], ARRAY(Text))
Condition = ColumnElement[bool]


def facility_visible(principal: Principal, facility_id: ColumnElement[int]) -> Condition:
    """The condition under which what a facility owns besides studies may be seen: queues, incidents, worklists."""
    if principal.role not in OPERATING:
        return false()
    return true() if principal.facility is None else facility_id == _own(principal)


@lru_cache(maxsize=1024)
def visible(principal: Principal) -> Condition:
    """The condition under which a row of `studies` may be seen."""
    if principal.is_operator:
        return true()
    if principal.role is Role.LINK:
        return and_(_linked(principal), ~_restricted(EMBARGO))
    arms = []
    if principal.facility is not None and reads_own(principal.role, principal.purpose):
        mine: Condition = studies.c.facility_id == _own(principal)
        arms.append(mine if principal.role in WORKING else and_(mine, ~_restricted(SENSITIVE, EMBARGO)))
    if principal.role in PROFESSIONALS:
        if principal.purpose in CARE:
            arms.append(and_(_elsewhere(principal), _shared(principal), ~_restricted(*RESTRICTIONS)))
        if principal.purpose in (*CARE, Purpose.QUALITY):
            arms.append(_granted(principal))
    return or_(*arms) if arms else false()


def _own(principal: Principal) -> ColumnElement[int]:
    return select(facilities.c.id).where(facilities.c.code == principal.facility).scalar_subquery()


def _elsewhere(principal: Principal) -> Condition:
    return true() if principal.facility is None else studies.c.facility_id != _own(principal)


def _in_force(table: FromClause) -> Condition:
    of = table.c
    return and_(of.since <= func.now(), or_(of.until.is_(None), of.until > func.now()))


def _restricted(*kinds: str) -> Condition:
    """Whether one of these keeps a study closed: said of it, of its patient, or everywhere of the same person."""
    r, here, there = restrictions.alias(), patients.alias(), patients.alias()
    said = and_(_in_force(r), r.c.kind.in_(kinds))
    of_study = exists().where(
        said, r.c.study_uid == studies.c.study_uid, r.c.study_uid != "", r.c.facility_id == studies.c.facility_id
    )  # fmt: skip
    of_patient = exists().where(said, r.c.patient_pk == studies.c.patient_pk)
    of_person = exists().where(
        here.c.id == studies.c.patient_pk, there.c.person_pk == here.c.person_pk, r.c.patient_pk == there.c.id,
        r.c.everywhere, said,
    )  # fmt: skip
    some = select(exists().where(restrictions.c.everywhere)).scalar_subquery()
    return or_(
        of_study.correlate(studies), of_patient.correlate(studies), and_(some, of_person.correlate(studies))
    )


def _shared(principal: Principal) -> Condition:
    """Whether the owner's policy opens a study to this facility."""
    p = sharing_policies.alias()
    scope: Condition = p.c.scope == Scope.REGION
    if principal.facility is not None:
        scope = or_(scope, and_(p.c.scope == Scope.REGISTERED, _registered(principal)))
    kept = and_(studies.c.modalities != NOTHING, studies.c.modalities.contained_by(p.c.modalities))
    return exists().where(
        p.c.facility_id == studies.c.facility_id, scope, or_(p.c.modalities == NOTHING, kept),
        or_(p.c.sensitive_body_parts == NOTHING, ~_has_part(p)),
    ).correlate(studies)  # fmt: skip


def _has_part(policy: FromClause) -> Condition:
    """Whether a study has a series of a body part that its owner keeps."""
    mine = series.alias()
    part = func.upper(mine.c.body_part) == any_(policy.c.sensitive_body_parts)
    return exists().where(mine.c.study_pk == studies.c.id, part).correlate(studies, policy)


def _registered(principal: Principal) -> Condition:
    here, there = patients.alias(), patients.alias()
    return exists().where(
        there.c.id == studies.c.patient_pk, here.c.person_pk == there.c.person_pk,
        here.c.facility_id == _own(principal),
    ).correlate(studies)  # fmt: skip


def _granted(principal: Principal) -> Condition:
    """Whether a study was opened to them; also by themselves, in an emergency."""
    g = grants.alias()
    mine = and_(_in_force(g), _is_to(principal, g))
    withheld = exists().where(
        sharing_policies.c.facility_id == studies.c.facility_id, _has_part(sharing_policies)
    ).correlate(studies)  # fmt: skip
    elsewhere = _elsewhere(principal)
    sensitive = or_(_restricted(SENSITIVE), and_(elsewhere, withheld))
    objected, absolutely = (
        and_(elsewhere, _restricted(*kinds)) for kinds in ((OBJECTION, ABSOLUTE), (ABSOLUTE,))
    )
    ordinary = g.c.kind.in_(IN_CARE if principal.purpose in CARE else (Kind.QUALITY,))
    arms = [
        and_(_opened(g, and_(mine, ordinary, g.c.sensitive)), ~objected),
        and_(_opened(g, and_(mine, ordinary)), ~objected, ~sensitive),
    ]
    if principal.purpose in CARE:
        arms.append(and_(_opened(g, and_(mine, g.c.kind == Kind.EMERGENCY)), ~absolutely))
    some = select(exists().where(mine)).scalar_subquery()
    return and_(some, or_(*arms), ~_restricted(EMBARGO))


def _opened(grant: FromClause, which: Condition) -> Condition:
    g = grant.c
    of_study = exists().where(
        which, g.study_uid == studies.c.study_uid, g.study_uid != "", g.facility_id == studies.c.facility_id
    )
    of_patient = exists().where(
        which, g.patient_pk == studies.c.patient_pk, g.facility_id == studies.c.facility_id
    )
    return or_(of_study.correlate(studies), of_patient.correlate(studies))


def _is_to(principal: Principal, grant: FromClause) -> Condition:
    me = select(users.c.id).where(users.c.name == principal.name).scalar_subquery()
    to = [grant.c.to_user_id == me]
    if principal.facility is not None:
        own = _own(principal)
        to.append(grant.c.to_facility_id == own)
        if principal.department is not None:
            of = and_(departments.c.facility_id == own, departments.c.code == principal.department)
            to.append(grant.c.to_department_id == select(departments.c.id).where(of).scalar_subquery())
    return or_(*to)


def _linked(principal: Principal) -> Condition:
    link = share_links.alias()
    return exists().where(
        link.c.id == principal.link, link.c.facility_id == studies.c.facility_id,
        studies.c.study_uid == any_(link.c.study_uids), _in_force(link),
    ).correlate(studies)  # fmt: skip
