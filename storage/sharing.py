"""Sharing: what a facility shares, to whom its studies are opened, and what keeps them closed (docs/decisions/0027)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, or_, select, true, update
from sqlalchemy.dialects.postgresql import insert

from pacs.access import ADMINISTERING, PROFESSIONALS, SHARING, Principal, Purpose, Role
from pacs.errors import Conflict, Forbidden, NotFound, SettingError
from pacs.logs import get
from pacs.sharing import Kind, Policy, Scope
from storage.archive import Archive
from storage.index.sharing import grants, restrictions, sharing_policies
from storage.index.subjects import Named, find_owned, find_person, known_as, shown_of
from storage.index.tables import departments, facilities, facility_key, users

log = get("sharing")
REASON_CHARACTERS_MIN, REASON_CHARACTERS_MAX = 10, 500
EMERGENCY_HOURS = 4  # how long a broken glass opens
GRANT_DAYS_MAX, RESTRICTION_DAYS_MAX = 3660, 36600
VALUES_MAX, VALUE_CHARACTERS_MAX = 64, 16  # modalities and body parts of a policy (CS)
RESTRICTIONS = ("objection", "absolute", "sensitive", "embargo")
Row = dict[str, Any]


def told(event: str, principal: Principal, **fields: Any) -> None:
    """The one place where what happens here is told: to the log, without the words that people typed."""
    log.info(event, by=principal.name, role=principal.role.value, purpose=principal.purpose.value, **fields)


# What a facility shares.


def set_policy(archive: Archive, principal: Principal, facility: str, policy: Policy) -> None:
    """Raises NotFound for a facility that is not there, SettingError for values that cannot be."""
    for values in (policy.modalities, policy.sensitive_body_parts):
        if len(values) > VALUES_MAX or any(not 0 < len(v) <= VALUE_CHARACTERS_MAX for v in values):
            raise SettingError(f"at most {VALUES_MAX} values of 1 to {VALUE_CHARACTERS_MAX} characters")
    values_ = {
        "scope": policy.scope.value,
        "modalities": sorted(v.upper() for v in policy.modalities),
        "sensitive_body_parts": sorted(v.upper() for v in policy.sensitive_body_parts),
        "updated_by": principal.name,
    }
    with archive.database.begin() as connection:
        row = {"facility_id": _facility_id(connection, facility), **values_}
        new = insert(sharing_policies).values(row)
        anew = {**values_, "updated_at": func.now()}
        connection.execute(new.on_conflict_do_update(index_elements=["facility_id"], set_=anew))
    told("policy_changed", principal, facility=facility, scope=policy.scope.value)


def find_policy(archive: Archive, facility: str) -> Policy:
    """What a facility shares; nothing, where nobody said."""
    of = sharing_policies.c
    query = select(of.scope, of.modalities, of.sensitive_body_parts).join(
        facilities, facilities.c.id == of.facility_id
    )
    with archive.database.read() as connection:
        row = connection.execute(query.where(facilities.c.code == facility)).one_or_none()
    return Policy(Scope(row[0]), frozenset(row[1]), frozenset(row[2])) if row else Policy()


def find_scopes(archive: Archive) -> dict[str, Scope]:
    """How far the studies of each facility go whose policy somebody set."""
    of = sharing_policies.c
    query = select(facilities.c.code, of.scope).join(facilities, facilities.c.id == of.facility_id)
    with archive.database.read() as connection:
        return {code: Scope(scope) for code, scope in connection.execute(query)}


# To whom studies are opened.


def check_shares(principal: Principal, facility: str) -> None:
    """Raises Forbidden unless what the facility owns is theirs to open (`Action.SHARE`)."""
    if not (principal.is_operator or (principal.role in SHARING and principal.facility == facility)):
        raise Forbidden("only who works at the facility that owns a study may open it")


def grant(
    archive: Archive, principal: Principal, facility: str, named: Named, *, kind: Kind, until: datetime,
    to_facility: str = "", to_department: str = "", to_user: str = "", sensitive: bool = False, reason: str = "",
) -> int:  # fmt: skip
    """Open a study or a patient's studies to a facility, one of its departments, or a user. Raises NotFound for what is
    not there or may not be seen, Forbidden where it is not theirs to open."""
    check_shares(principal, facility)
    if kind is Kind.EMERGENCY or (sensitive and principal.role not in ADMINISTERING):
        raise Forbidden("only administrators open what is marked as sensitive, and nobody opens an emergency")
    now = datetime.now(UTC)
    if not now < until <= now + timedelta(days=GRANT_DAYS_MAX):
        raise SettingError(f"a grant ends within {GRANT_DAYS_MAX} days")
    with archive.database.begin() as connection:
        about = find_owned(connection, principal, facility, named)
        if about is None:
            raise NotFound("there is no such study or patient")
        to = _addressee(connection, to_facility, to_department, to_user)
        row = about | to | {
            "kind": kind.value, "until": until, "sensitive": sensitive, "reason": reason[:REASON_CHARACTERS_MAX],
            "made_by": principal.name,
        }  # fmt: skip
        key = int(connection.execute(insert(grants).values(row).returning(grants.c.id)).scalar_one())
    told("grant_made", principal, grant=key, kind=kind.value)
    return key


def list_grants(archive: Archive, principal: Principal, *, before: int | None, limit: int) -> list[Row]:
    """What the facility's administrators, or the principal themselves, opened; the newest first."""
    mine = of_owner(principal, grants.c.facility_id, ADMINISTERING)
    query = _grants().where(
        or_(mine, grants.c.made_by == principal.name), grants.c.kind != Kind.EMERGENCY.value
    )
    return page_of(archive, query, grants.c.id, before, limit)


def revoke(archive: Archive, principal: Principal, grant_id: int) -> None:
    """Take it back, by who gave it or an administrator of the owner; raises NotFound. Within a second it is closed."""
    mine = or_(of_owner(principal, grants.c.facility_id, ADMINISTERING), grants.c.made_by == principal.name)
    end_row(archive, principal, grants, grant_id, mine)


# What keeps studies closed.


def restrict(
    archive: Archive, principal: Principal, facility: str, named: Named, *, kind: str, until: datetime | None = None,
    everywhere: bool = False, reason: str = "",
) -> int:  # fmt: skip
    """An objection, a mark or an embargo; by administrators of the facility. Raises NotFound, SettingError."""
    if everywhere and (named.study_uid or kind == "embargo"):
        raise SettingError("only what is said of a patient, and no embargo, concerns other facilities")
    if kind == "embargo" and until is None:
        raise SettingError("an embargo has an end")
    if until is not None and until > datetime.now(UTC) + timedelta(days=RESTRICTION_DAYS_MAX):
        raise SettingError(f"what ends does so within {RESTRICTION_DAYS_MAX} days")
    with archive.database.begin() as connection:
        about = find_owned(connection, principal, facility, named)
        if about is None:
            raise NotFound("there is no such study or patient")
        row = about | {"kind": kind, "until": until, "everywhere": everywhere, "reason": reason[:REASON_CHARACTERS_MAX],
                       "made_by": principal.name}  # fmt: skip
        key = int(
            connection.execute(insert(restrictions).values(row).returning(restrictions.c.id)).scalar_one()
        )
    archive.standings.forget()
    told("restriction_made", principal, restriction=key, kind=kind)
    return key


def list_restrictions(archive: Archive, principal: Principal, *, before: int | None, limit: int) -> list[Row]:
    """Those of the facilities that the administrator looks after, the newest first."""
    of = restrictions.c
    query = select(
        of.id, facilities.c.code.label("facility"), of.kind, of.study_uid, of.everywhere, of.since, of.until,
        of.reason, of.made_by, of.ended_by, *known_as(of.patient_pk),
    ).join(facilities, facilities.c.id == of.facility_id)  # fmt: skip
    query = query.where(of_owner(principal, of.facility_id, ADMINISTERING))
    return page_of(archive, query, of.id, before, limit)


def lift(archive: Archive, principal: Principal, restriction_id: int) -> None:
    """End a restriction; raises NotFound."""
    mine = of_owner(principal, restrictions.c.facility_id, ADMINISTERING)
    end_row(archive, principal, restrictions, restriction_id, mine)


# Emergencies.


def break_glass(archive: Archive, principal: Principal, named: Named, reason: str) -> Row:
    """Open all that there is of a person to oneself, for EMERGENCY_HOURS: `studies` that may be seen now, and `until`.
    Each owner is alerted by a row. Raises Forbidden, SettingError; NotFound where nothing opens, which is told too."""
    if principal.role not in PROFESSIONALS:
        raise Forbidden("only clinicians and radiologists may do this")
    if not REASON_CHARACTERS_MIN <= len(reason.strip()) <= REASON_CHARACTERS_MAX:
        raise SettingError(f"a reason has {REASON_CHARACTERS_MIN} to {REASON_CHARACTERS_MAX} characters")
    urgent = replace(principal, purpose=Purpose.EMERGENCY)
    until = datetime.now(UTC) + timedelta(hours=EMERGENCY_HOURS)
    try:
        with archive.database.begin() as connection:
            me = connection.execute(select(users.c.id).where(users.c.name == principal.name)).scalar_one()
            found = find_person(connection, principal.facility or "", named)
            rows = [
                {"facility_id": owner, "patient_pk": pk, "study_uid": "", "kind": Kind.EMERGENCY.value, "until": until,
                 "to_user_id": me, "reason": reason.strip(), "made_by": principal.name} for owner, pk in found
            ]  # fmt: skip
            if rows:
                connection.execute(insert(grants), rows)
            opened = shown_of(connection, urgent, [pk for _, pk in found])
            if not opened:
                raise NotFound("there is no such study or patient")
    except NotFound:
        told("glass_broken", urgent, studies=0)
        raise
    archive.standings.forget()
    told("glass_broken", urgent, studies=len(opened))
    return {"studies": sorted(set(opened)), "until": until}


def list_alerts(archive: Archive, principal: Principal, *, before: int | None, limit: int) -> list[Row]:
    """Emergencies in which studies of the facilities were opened, for their administrators and auditors; the newest
    first."""
    query = _grants().where(grants.c.kind == Kind.EMERGENCY.value, _alerted(principal))
    return page_of(archive, query, grants.c.id, before, limit)


def note_alert(archive: Archive, principal: Principal, grant_id: int) -> None:
    """Somebody looked at it; raises NotFound, or Conflict if somebody did before."""
    mine = (grants.c.id == grant_id, grants.c.kind == Kind.EMERGENCY.value, _alerted(principal))
    with archive.database.begin() as connection:
        row = connection.execute(select(grants.c.noted_at).where(*mine).with_for_update()).one_or_none()
        if row is None:
            raise NotFound("there is no such alert")
        if row.noted_at is not None:
            raise Conflict("somebody took note of it already")
        connection.execute(update(grants).where(*mine).values(noted_at=func.now(), noted_by=principal.name))


def _alerted(principal: Principal) -> ColumnElement[bool]:
    return of_owner(principal, grants.c.facility_id, (*ADMINISTERING, Role.AUDITOR))


def of_owner(
    principal: Principal, facility_id: ColumnElement[int], roles: Collection[Role]
) -> ColumnElement[bool]:
    """Whether they have one of these roles at the facility, or for the region."""
    if principal.role not in roles:
        return ~true()
    if principal.facility is None:
        return true()
    return facility_id == facility_key(principal.facility).scalar_subquery()


def _grants() -> Any:
    to = facilities.alias()
    of = grants.c
    return (
        select(
            of.id, facilities.c.code.label("facility"), of.kind, of.study_uid, of.since, of.until, of.sensitive,
            of.reason, of.made_by, of.ended_by, to.c.code.label("to_facility"),
            departments.c.code.label("to_department"), users.c.name.label("to_user"), of.noted_at, of.noted_by,
            *known_as(of.patient_pk),
        )
        .join(facilities, facilities.c.id == of.facility_id)
        .outerjoin(to, to.c.id == of.to_facility_id)
        .outerjoin(departments, departments.c.id == of.to_department_id)
        .outerjoin(users, users.c.id == of.to_user_id)
    )  # fmt: skip


def page_of(
    archive: Archive, query: Any, key: ColumnElement[int], before: int | None, limit: int
) -> list[Row]:
    """Rows with keys below `before`, the highest first."""
    if before is not None:
        query = query.where(key < before)
    with archive.database.read() as connection:
        return [dict(row) for row in connection.execute(query.order_by(key.desc()).limit(limit)).mappings()]


def end_row(archive: Archive, principal: Principal, table: Any, key: int, mine: ColumnElement[bool]) -> None:
    """What is in force ends now; raises NotFound."""
    ended = {
        "until": func.least(func.coalesce(table.c.until, func.now()), func.now()),
        "ended_by": principal.name,
    }
    with archive.database.begin() as connection:
        done = connection.execute(update(table).where(table.c.id == key, mine).values(ended))
        if not done.rowcount:
            raise NotFound(f"there is no such {table.name.rstrip('s').replace('_', ' ')}")
    archive.standings.forget()
    told("ended", principal, of=table.name, number=key)


def _facility_id(connection: Connection, code: str) -> int:
    found = connection.execute(facility_key(code)).scalar_one_or_none()
    if found is None:
        raise NotFound(f"there is no facility {code[:16]}")
    return int(found)


def _addressee(connection: Connection, facility: str, department: str, user: str) -> Row:
    """The three columns of whom a grant is to; raises NotFound, or SettingError for none or several."""
    to: Row = {"to_facility_id": None, "to_department_id": None, "to_user_id": None}
    if bool(user) == bool(facility):
        raise SettingError("a grant is to a facility, a department of it, or a user")
    if user:
        found = connection.execute(select(users.c.id).where(users.c.name == user)).scalar_one_or_none()
        if found is None:
            raise NotFound("there is no such user")
        return to | {"to_user_id": found}
    place = _facility_id(connection, facility)
    if not department:
        return to | {"to_facility_id": place}
    of = (departments.c.facility_id == place, departments.c.code == department)
    found = connection.execute(select(departments.c.id).where(*of)).scalar_one_or_none()
    if found is None:
        raise NotFound("there is no such department")
    return to | {"to_department_id": found}
