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
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    ColumnElement,
    FromClause,
    Integer,
    Text,
    and_,
    any_,
    bindparam,
    case,
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
from storage.index.known import ANY, known_studies
from storage.index.sharing import grants, restrictions, share_links, sharing_policies
from storage.index.tables import departments, facility_key, patients, studies, users

IN_CARE = (Kind.REFERRAL, Kind.CONSULTATION, Kind.GRANT)
EMERGENCY = literal_column("'emergency'", Text)
NOTHING: ColumnElement[Any] = literal_column("'{}'::text[]", ARRAY(Text))
Condition = ColumnElement[bool]
NAMED_MAX = 500  # studies, and patients, that a standing names
FACILITIES_MANY = 16
KINDS_MAX = 16  # of policies, whose words a condition has
# Made once: an alias makes each column of its table anew. Each stands in sub-selects that say what they correlate to.
_HERE, _THERE, _GRANT, _POLICY = patients.alias(), patients.alias(), grants.alias(), sharing_policies.alias()
_RESTRICTION = restrictions.alias()


def facility_visible(principal: Principal, facility_id: ColumnElement[int]) -> Condition:
    """The condition under which what a facility owns besides studies may be seen: queues, incidents, worklists."""
    if principal.role not in OPERATING:
        return false()
    return true() if principal.facility is None else facility_id == _own(principal)


class Narrowed(NamedTuple):
    """Facilities that share only studies of these modalities, if there are any, and none of these body parts."""

    facilities: tuple[int, ...]
    modalities: tuple[str, ...]
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """What is the same for all studies that somebody asks for (`storage.index.standing`): keys of facilities that share
    with them, `narrowed` those of these that share a part, by what they keep; and of studies that were opened to them,
    None where they are many."""

    own: int | None
    region: tuple[int, ...]
    registered: tuple[int, ...]
    narrowed: tuple[Narrowed, ...]
    # Patients of persons of whom a restriction says `everywhere`; not by the keys of studies, which may come anew in
    # the moment for which it is remembered. None where they are many.
    closed: tuple[int, ...] | None
    opened: tuple[int, ...] | None

    @property
    def is_wide(self) -> bool:
        """Whether so many facilities share with them that what they see is much of any list."""
        return len(self.region) >= FACILITIES_MANY


@lru_cache(maxsize=1024)
def visible(principal: Principal, standing: Standing | None = None, *, of_most: bool = False) -> Condition:
    """The condition under which a row of `studies` may be seen. With the principal's standing it is a smaller one, and
    within a CASE: PostgreSQL looks for no index in it, does not weigh each key, and expects half of what else is
    found, so that a plan which is kept is as good as one that is made with its values. `of_most`: it will be asked of
    most studies there are."""
    condition = _condition(principal, standing, of_most)
    if standing is None:
        return condition
    return as_text(looked_at(condition), "seen").condition


def looked_at(*conditions: Condition) -> Condition:
    """All of these, of each row that is found otherwise: within a CASE PostgreSQL looks for no index."""
    return case((and_(*conditions), true()), else_=false())


@dataclass(frozen=True, slots=True)
class Written:
    """A condition as text, and its values."""

    text: str
    given: tuple[BindParameter[Any], ...]

    @property
    def condition(self) -> Condition:
        """SQLAlchemy has nothing to look for in it when it looks for a statement that it knows."""
        as_one: Any = text(self.text).bindparams(*self.given)
        return as_one  # type: ignore[no-any-return]


def as_text(condition: Condition, prefix: str) -> Written:
    """Only within a statement on `studies` its sub-selects are about the row."""
    statement = select(studies.c.id).where(condition)
    compiled = statement.compile(dialect=PGDialect_psycopg(paramstyle="named"))  # type: ignore[no-untyped-call]
    head, written = str(compiled).split("\nWHERE ", 1)
    assert "WHERE" not in head, "the condition begins at the first one"
    named = re.sub(r"(?<!:):(\w+)::", rf":{prefix}_\1 ::", written)
    given = (bindparam(f"{prefix}_{name}", *_given(value)) for name, value in compiled.params.items())
    return Written(f"({named})", tuple(given))


def _given(value: Any) -> tuple[Any, ...]:
    """A list as PostgreSQL writes it, once: to write a thousand keys anew takes longer than to compare them."""
    if not isinstance(value, list):
        return (value,)
    written = ('"' + re.sub(r'(["\\\\])', r"\\\1", str(one)) + '"' for one in value)
    return "{" + ",".join(written) + "}", NULLTYPE


def _condition(principal: Principal, standing: Standing | None, of_most: bool) -> Condition:
    if principal.is_operator:
        return true()
    if principal.role is Role.LINK:
        return and_(_linked(principal), ~_closed(lambda r: _is(r, "embargo")))
    arms: list[Condition] = [false()]
    everywhere = None if standing is None else standing.closed
    if principal.facility is not None and reads_own(principal.role, principal.purpose):
        mine = studies.c.facility_id == (_own(principal) if standing is None else standing.own)
        if principal.role not in WORKING:
            closed = _closed(lambda r: _is(r, "embargo", "sensitive"), everywhere=everywhere, of_most=of_most)
            mine = and_(mine, ~closed)
        arms.append(mine)
    if principal.role in PROFESSIONALS and principal.purpose in CARE:
        shared = _shared_with(principal, standing, of_most)
        arms.append(and_(shared, ~_closed(lambda _: true(), everywhere=everywhere, of_most=of_most)))
    if principal.role in PROFESSIONALS and principal.purpose in (*CARE, Purpose.QUALITY):
        if standing is None or standing.opened is None:
            arms.append(granted(principal))
        elif standing.opened:
            arms.append(among(studies.c.id, standing.opened))
    return or_(*arms)


def among(column: ColumnElement[Any], keys: tuple[Any, ...]) -> Condition:
    """Whether it is one of these: as one array, so that the statement is the same however many they are."""
    if not keys:
        return false()
    return column == any_(literal(list(keys), ARRAY(column.type)))


def _own(principal: Principal) -> ColumnElement[int]:
    return facility_key(principal.facility).scalar_subquery()


def _elsewhere(principal: Principal) -> Condition:
    return true() if principal.facility is None else studies.c.facility_id != _own(principal)


def _in_force(table: FromClause) -> Condition:
    of = table.c
    return and_(of.since <= func.now(), or_(of.until.is_(None), of.until > func.now()))


def _is(table: FromClause, *kinds: str) -> Condition:
    """Written out, so that a statement is one text whatever it asks for (`storage.index.locator`)."""
    return or_(*(table.c.kind == literal_column(f"'{kind}'", Text) for kind in kinds))


def _about(table: FromClause) -> tuple[Condition, Condition]:
    """Whether it was said of this study, and whether of its patient: each has its index."""
    owned = table.c.facility_id == studies.c.facility_id
    of_study = and_(
        owned, table.c.study_uid == studies.c.study_uid, table.c.study_uid != literal_column("''", Text)
    )
    return of_study, and_(owned, table.c.patient_pk == studies.c.patient_pk)


def _some(*where: Condition, within: tuple[FromClause, ...] = ()) -> Condition:
    """Whether there is a row: looked for by an index, study by study. Of EXISTS PostgreSQL may read all there are
    before the first study is looked at."""
    one = literal_column("1", Integer)
    return select(one).where(*where).limit(one).correlate(studies, *within).scalar_subquery().is_not(None)


def _closed(
    by: Callable[[FromClause], Condition],
    *within: FromClause,
    everywhere: tuple[int, ...] | None = None,
    of_most: bool = False,
) -> Condition:
    """Whether a restriction keeps a study closed: said of it, of its patient, or everywhere of the same person
    (`everywhere`: those patients, where they are known)."""
    r, here, there = _RESTRICTION, _HERE, _THERE
    said = [_some(about, _in_force(r), by(r), within=within) for about in _about(r)]
    if of_most:  # all that are named, read once, tell of nearly each study that it is not
        columns = studies.c.study_uid, studies.c.patient_pk
        named = (
            c.in_(select(r.c[c.name]).where(r.c[c.name].is_not(None), _in_force(r), by(r))) for c in columns
        )
        said = [and_(*both) for both in zip(named, said, strict=True)]
    if everywhere is not None:
        return or_(*said, among(studies.c.patient_pk, everywhere))
    any_said = select(exists().where(restrictions.c.everywhere)).scalar_subquery()
    of_person = _some(
        here.c.id == studies.c.patient_pk, there.c.person_pk == here.c.person_pk, r.c.patient_pk == there.c.id,
        r.c.everywhere, _in_force(r), by(r), within=within,
    )  # fmt: skip
    return or_(*said, and_(any_said, of_person))


def _shared_with(principal: Principal, standing: Standing | None, of_most: bool) -> Condition:
    """Whether another facility shares a study with them."""
    if standing is None:
        return and_(_elsewhere(principal), _shared(principal))
    owner = studies.c.facility_id
    shared = among(owner, standing.region)
    if standing.registered:
        shared = or_(shared, and_(among(owner, standing.registered), _registered(standing.own, of_most)))
    return and_(shared, *_narrowing(standing.narrowed))


def _narrowing(narrowed: tuple[Narrowed, ...]) -> list[Condition]:
    """Whether a study is of what its owner shares: as its policy says, where there are many kinds of policies."""
    owner = studies.c.facility_id
    if len(narrowed) > KINDS_MAX:
        p, some = _POLICY, tuple(key for one in narrowed for key in one.facilities)
        passes = exists().where(p.c.facility_id == owner, *_passes(p.c.modalities, p.c.sensitive_body_parts))
        return [or_(~among(owner, some), passes.correlate(studies))]
    return [
        or_(~among(owner, one.facilities), and_(*_passes(_words(one.modalities), _words(one.parts))))
        for one in narrowed
    ]


def _words(values: tuple[str, ...]) -> ColumnElement[Any]:
    return literal(list(values), ARRAY(Text))


def _shared(principal: Principal) -> Condition:
    """Whether the owner's policy opens a study to this facility."""
    p = _POLICY
    scope: Condition = p.c.scope == literal_column(f"'{Scope.REGION.value}'", Text)
    if principal.facility is not None:
        registered = p.c.scope == literal_column(f"'{Scope.REGISTERED.value}'", Text)
        scope = or_(scope, and_(registered, _registered(_own(principal))))
    passes = _passes(p.c.modalities, p.c.sensitive_body_parts)
    return exists().where(p.c.facility_id == studies.c.facility_id, scope, *passes).correlate(studies)


def _passes(modalities: ColumnElement[Any], parts: ColumnElement[Any]) -> tuple[Condition, Condition]:
    """Whether a study is of what a policy does not keep."""
    of = studies.c
    kept = and_(of.modalities != NOTHING, of.modalities.contained_by(modalities))
    return or_(modalities == NOTHING, kept), ~of.body_parts.overlap(parts)


def _registered(own: ColumnElement[int] | int | None, of_most: bool = False) -> Condition:
    """Whether the patient is a person whom a facility knows too."""
    known = known_studies.c
    there = and_(known.known_to == own, known.modality == literal_column(f"'{ANY}'", Text))
    if of_most:
        return studies.c.id.in_(select(known.study_pk).where(there))
    return _some(known.study_pk == studies.c.id, there)


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

    kept = studies.c.body_parts.overlap(p.c.sensitive_body_parts)
    withheld = exists().where(p.c.facility_id == studies.c.facility_id, kept).correlate(studies)
    passes = or_(urgent, g.c.sensitive, ~and_(elsewhere, withheld))
    opened = exists().where(or_(*_about(g)), mine, kinds, ~_closed(keeps, g), passes).correlate(studies)
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
