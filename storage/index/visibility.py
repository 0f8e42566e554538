"""`visible(principal)`: the SQL twin of `pacs.access.may` for reading. No query of studies is written without it.

`tests/house` proves that nothing outside this folder builds a query on the tables of patients, studies and series, and
`tests/integration/storage/test_worlds.py` that the twins agree. Without a standing all of it is SQL, so that what is
taken back is closed with the next statement: what is the same for all rows (who asks, whether anything was opened to
them at all) stands in sub-selects of its own, which PostgreSQL runs once; what remains for each row looks into indexes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    FromClause,
    Text,
    and_,
    any_,
    bindparam,
    case,
    cast,
    exists,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.types import NULLTYPE

from pacs.access import CARE, OPERATING, PROFESSIONALS, WORKING, Principal, Purpose, Role, reads_own
from pacs.sharing import Kind, Scope
from storage.index.sharing import grants, restrictions, share_links, sharing_policies
from storage.index.tables import departments, facility_key, patients, series, studies, users

IN_CARE = (Kind.REFERRAL, Kind.CONSULTATION, Kind.GRANT)
EMERGENCY = literal_column("'emergency'", Text)
NOTHING: ColumnElement[Any] = literal_column("'{}'::text[]", ARRAY(Text))
Condition = ColumnElement[bool]
NAMED_MAX = 2000  # studies, and patients, that a standing names
FACILITIES_MANY = 32
# Made once: an alias makes each column of its table anew. Each stands in sub-selects that say what they correlate to.
_HERE, _THERE, _GRANT, _POLICY = patients.alias(), patients.alias(), grants.alias(), sharing_policies.alias()
_RESTRICTION, _SERIES = restrictions.alias(), series.alias()


def facility_visible(principal: Principal, facility_id: ColumnElement[int]) -> Condition:
    """The condition under which what a facility owns besides studies may be seen: queues, incidents, worklists."""
    if principal.role not in OPERATING:
        return false()
    return true() if principal.facility is None else facility_id == _own(principal)


@dataclass(frozen=True, slots=True)
class Closed:
    """What restrictions in force keep from somebody: patients by their keys, studies by `spelled`, and not by the keys
    of rows that may come anew in the moment for which it is remembered."""

    patients: tuple[int, ...] = ()
    study_uids: tuple[str, ...] = ()  # of any facility
    studies: tuple[str, ...] = ()


def spelled(facility_id: ColumnElement[int], study_uid: ColumnElement[str]) -> ColumnElement[str]:
    """A study of a facility as one text."""
    return cast(facility_id, Text).concat(":").concat(study_uid)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is the same for all studies that somebody asks for (`storage.index.standing`): keys of facilities that share
    with them, `narrowed` those that share a part; and of studies that were opened to them, None where they are many."""

    own: int | None
    region: tuple[int, ...]
    registered: tuple[int, ...]
    narrowed: tuple[int, ...]
    # Of persons who are registered here, at facilities `registered`, and at `narrowed`; None where they are many.
    patients: tuple[int, ...] | None
    patients_narrowed: tuple[int, ...] | None
    everywhere: bool  # whether any restriction concerns other facilities' studies of a person
    closed: Closed | None  # None where there are many
    opened: tuple[int, ...] | None

    @property
    def is_wide(self) -> bool:
        """Whether so many facilities share with them that what they see is much of any list: it is walked as for who
        sees all, and each study is looked at; no index of facilities or patients is of use."""
        return len(self.region) + len(self.narrowed) >= FACILITIES_MANY


@lru_cache(maxsize=1024)
def visible(principal: Principal, standing: Standing | None = None) -> Condition:
    """The condition under which a row of `studies` may be seen. With the principal's standing it is a smaller one, and
    PostgreSQL knows what it can expect; what keeps a study closed is then what the standing says of it."""
    condition = _condition(principal, standing)
    if standing is None:
        return condition
    # Within a CASE PostgreSQL looks for no index, and does not weigh each key: half of the list is what it expects.
    return _as_text(case((condition, true()), else_=false()) if standing.is_wide else condition)


def _as_text(condition: Condition) -> Condition:
    """The same as text, in which SQLAlchemy has nothing to look for when it looks for a statement that it knows. Only
    within a statement on `studies` its sub-selects are about the row."""
    statement = select(studies.c.id).where(condition)
    compiled = statement.compile(dialect=PGDialect_psycopg(paramstyle="named"))  # type: ignore[no-untyped-call]
    head, written = str(compiled).split("\nWHERE ", 1)
    assert "WHERE" not in head, "the condition begins at the first one"
    named = re.sub(r"(?<!:):(\w+)::", r":seen_\1 ::", written)
    given = [bindparam(f"seen_{name}", *_given(value)) for name, value in compiled.params.items()]
    as_text: Any = text(f"({named})").bindparams(*given)
    return as_text  # type: ignore[no-any-return]


def _given(value: Any) -> tuple[Any, ...]:
    """A list as PostgreSQL writes it, once: to write a thousand keys anew takes longer than to compare them."""
    if not isinstance(value, list):
        return (value,)
    written = ('"' + re.sub(r'(["\\\\])', r"\\\1", str(one)) + '"' for one in value)
    return "{" + ",".join(written) + "}", NULLTYPE


def _condition(principal: Principal, standing: Standing | None) -> Condition:
    if principal.is_operator:
        return true()
    if principal.role is Role.LINK:
        return and_(_linked(principal), ~_closed(lambda r: _is(r, "embargo")))
    everywhere = standing is None or standing.everywhere
    mine: Condition = false()
    shared: Condition = false()
    if principal.facility is not None and reads_own(principal.role, principal.purpose):
        mine = studies.c.facility_id == (_own(principal) if standing is None else standing.own)
    if principal.role in PROFESSIONALS and principal.purpose in CARE:
        shared = _shared_with(principal, standing)
    if standing is not None and standing.closed is not None:
        is_open = _open(standing.closed)
        arms = (
            [mine, and_(shared, is_open)] if principal.role in WORKING else [and_(or_(mine, shared), is_open)]
        )
    elif principal.role in WORKING:
        arms = [mine, and_(shared, ~_closed(lambda _: true(), everywhere=everywhere))]
    else:
        elsewhere = _elsewhere(principal, standing)
        closed = _closed(lambda r: or_(_is(r, "embargo", "sensitive"), elsewhere), everywhere=everywhere)
        arms = [and_(or_(mine, shared), ~closed)]
    if principal.role in PROFESSIONALS and principal.purpose in (*CARE, Purpose.QUALITY):
        if standing is None or standing.opened is None:
            arms.append(granted(principal))
        elif standing.opened:
            arms.append(_among(studies.c.id, standing.opened))
    return or_(*arms)


def _among(column: ColumnElement[Any], keys: tuple[Any, ...]) -> Condition:
    """As one array, so that the statement is the same however many they are."""
    if not keys:
        return false()
    return column == any_(literal(list(keys), ARRAY(column.type)))


def _own(principal: Principal) -> ColumnElement[int]:
    return facility_key(principal.facility).scalar_subquery()


def _elsewhere(principal: Principal, standing: Standing | None = None) -> Condition:
    if principal.facility is None:
        return true()
    return studies.c.facility_id != (_own(principal) if standing is None else standing.own)


def _in_force(table: FromClause) -> Condition:
    of = table.c
    return and_(of.since <= func.now(), or_(of.until.is_(None), of.until > func.now()))


def _is(table: FromClause, *kinds: str) -> Condition:
    """Written out, so that a statement is one text whatever it asks for (`storage.index.locator`)."""
    return or_(*(table.c.kind == literal_column(f"'{kind}'", Text) for kind in kinds))


def _about(table: FromClause) -> Condition:
    """Whether it was said of this study, or of its patient."""
    of_study = and_(table.c.study_uid == studies.c.study_uid, table.c.study_uid != "")
    return and_(
        table.c.facility_id == studies.c.facility_id, or_(of_study, table.c.patient_pk == studies.c.patient_pk)
    )  # fmt: skip


def _closed(by: Callable[[FromClause], Condition], *within: FromClause, everywhere: bool = True) -> Condition:
    """Whether a restriction keeps a study closed: said of it, of its patient, or everywhere of the same person."""
    r, here, there = _RESTRICTION, _HERE, _THERE
    said = exists().where(_about(r), _in_force(r), by(r))
    of_person = exists().where(
        here.c.id == studies.c.patient_pk, there.c.person_pk == here.c.person_pk, r.c.patient_pk == there.c.id,
        r.c.everywhere, _in_force(r), by(r),
    )  # fmt: skip
    outer = (studies, *within)
    if not everywhere:
        return said.correlate(*outer)
    some = select(exists().where(restrictions.c.everywhere)).scalar_subquery()
    return or_(said.correlate(*outer), and_(some, of_person.correlate(*outer)))


def _open(closed: Closed) -> Condition:
    """Whether none of what is closed concerns a study."""
    of = studies.c
    arms: list[Condition] = [true()]
    if closed.patients:
        arms.append(~_among(of.patient_pk, closed.patients))
    if closed.studies:  # most are told by the UID alone
        there = _among(spelled(of.facility_id, of.study_uid), closed.studies)
        arms.append(~and_(_among(of.study_uid, closed.study_uids), there))
    return and_(*arms)


def _shared_with(principal: Principal, standing: Standing | None) -> Condition:
    """Whether another facility shares a study with them."""
    if standing is None:
        return and_(_elsewhere(principal), _shared(principal))
    owner = studies.c.facility_id
    arms: list[Condition] = [false()]
    if standing.region:
        arms.append(_among(owner, standing.region))
    if standing.patients is None:
        arms.append(and_(_among(owner, standing.registered), _registered(standing.own)))
    else:
        arms.append(_among(studies.c.patient_pk, standing.patients))
    if standing.narrowed:
        arms.append(and_(_among(owner, standing.narrowed), _shared(principal, standing)))
    return or_(*arms)


def _shared(principal: Principal, standing: Standing | None = None) -> Condition:
    """Whether the owner's policy opens a study to this facility."""
    p = _POLICY
    scope: Condition = p.c.scope == literal_column(f"'{Scope.REGION.value}'", Text)
    if principal.facility is not None:
        registered = p.c.scope == literal_column(f"'{Scope.REGISTERED.value}'", Text)
        known = standing.patients_narrowed if standing is not None else None
        own = _own(principal) if standing is None else standing.own
        is_here = _registered(own) if known is None else _among(studies.c.patient_pk, known)
        scope = or_(scope, and_(registered, is_here))
    kept = and_(studies.c.modalities != NOTHING, studies.c.modalities.contained_by(p.c.modalities))
    return exists().where(
        p.c.facility_id == studies.c.facility_id, or_(p.c.modalities == NOTHING, kept), scope, ~_has_part(p)
    ).correlate(studies)  # fmt: skip


def _has_part(policy: FromClause) -> Condition:
    """Whether a study has a series of a body part that its owner keeps."""
    mine = _SERIES
    part = func.upper(mine.c.body_part) == any_(policy.c.sensitive_body_parts)
    found = exists().where(mine.c.study_pk == studies.c.id, part).correlate(studies, policy)
    return and_(policy.c.sensitive_body_parts != NOTHING, found)


def _registered(own: ColumnElement[int] | int | None) -> Condition:
    """Whether the patient is a person whom a facility knows too."""
    here, there = _HERE, _THERE
    return exists().where(
        there.c.id == studies.c.patient_pk, here.c.person_pk == there.c.person_pk,
        here.c.facility_id == own,
    ).correlate(studies)  # fmt: skip


@lru_cache(maxsize=1024)
def granted(principal: Principal) -> Condition:
    """Whether a study was opened to them; also by themselves, in an emergency, which passes what a grant does not."""
    g, p, care = _GRANT, _POLICY, principal.purpose in CARE
    mine, elsewhere = and_(_in_force(g), _is_to(principal, g)), _elsewhere(principal)
    kinds = _is(g, *IN_CARE, Kind.EMERGENCY) if care else _is(g, Kind.QUALITY)
    urgent = g.c.kind == EMERGENCY

    def keeps(r: FromClause) -> Condition:
        objected = and_(elsewhere, or_(_is(r, "absolute"), and_(_is(r, "objection"), ~urgent)))
        marked = and_(_is(r, "sensitive"), ~urgent, ~g.c.sensitive)
        return or_(_is(r, "embargo"), objected, marked)

    withheld = exists().where(p.c.facility_id == studies.c.facility_id, _has_part(p)).correlate(studies)
    passes = or_(urgent, g.c.sensitive, ~and_(elsewhere, withheld))
    opened = exists().where(_about(g), mine, kinds, ~_closed(keeps, g), passes).correlate(studies)
    return and_(_has_grants(principal), opened)


@lru_cache(maxsize=1024)
def opened_to(principal: Principal) -> Condition:
    """Whether a study or its patient is named in a grant to them, whatever keeps it closed: by the indexes."""
    grants_of = [
        g.where(_in_force(grants))
        for g in (
            select(grants.c[name]).where(to)
            for name in ("study_uid", "patient_pk")
            for to in _to(principal, grants)
        )
    ]
    half, s = len(grants_of) // 2, studies.alias()
    keys = union_all(
        select(s.c.id).where(s.c.study_uid.in_(union_all(*grants_of[:half]))),
        select(s.c.id).where(s.c.patient_pk.in_(union_all(*grants_of[half:]))),
    )
    return studies.c.id == any_(func.array(keys.scalar_subquery(), type_=ARRAY(BigInteger)))


def _has_grants(principal: Principal) -> Condition:
    """The same for all rows: PostgreSQL asks it once. Each addressee by itself, as each has its index."""
    g = _GRANT
    return or_(*(select(exists().where(_in_force(g), to)).scalar_subquery() for to in _to(principal, g)))


def _is_to(principal: Principal, grant: FromClause) -> Condition:
    return or_(*_to(principal, grant))


def _to(principal: Principal, grant: FromClause) -> list[Condition]:
    """For each addressee that they are, whether a grant is to it."""
    me = select(users.c.id).where(users.c.name == principal.name).scalar_subquery()
    to: list[Condition] = [grant.c.to_user_id == me]
    if principal.facility is not None:
        own = _own(principal)
        to.append(grant.c.to_facility_id == own)
        if principal.department is not None:
            of = and_(departments.c.facility_id == own, departments.c.code == principal.department)
            to.append(grant.c.to_department_id == select(departments.c.id).where(of).scalar_subquery())
    return to


def _linked(principal: Principal) -> Condition:
    link = share_links.alias()
    return exists().where(
        link.c.id == principal.link, link.c.facility_id == studies.c.facility_id,
        link.c.patient_pk == studies.c.patient_pk,
        studies.c.study_uid == any_(link.c.study_uids), _in_force(link),
    ).correlate(studies)  # fmt: skip
