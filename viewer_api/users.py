"""Users and departments for administrators; those of a facility see and change its own alone."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from pacs.access import Principal, Role
from pacs.errors import Forbidden, NotFound
from storage import accounts, factors, lockout, sessions, staff
from storage.accounts import NAME_CHARACTERS_MAX
from storage.archive import Archive
from storage.facilities import add_department, list_departments
from storage.passwords import PASSWORD_CHARACTERS_MAX
from storage.staff import Member
from viewer_api.administration import Administrator, check_facility
from viewer_api.audited import owned_by, tell, told_fields
from viewer_api.auth import TheArchive

router = APIRouter(prefix="/api", tags=["users"])
PAGE_MAX, WORDS_CHARACTERS_MAX = 200, 200
UserRole = Literal["administrator", "clinician", "radiologist", "technologist", "auditor"]
Code = Annotated[str, Field(max_length=16)]
Name = Annotated[str, Field(min_length=1, max_length=NAME_CHARACTERS_MAX)]


class UserChange(BaseModel):
    """The fields to change; those that are not given stay. `facility` null: of the region."""

    model_config = ConfigDict(extra="forbid")
    display_name: Annotated[str, Field(max_length=200)] = ""
    role: UserRole = "clinician"
    facility: Code | None = None
    department: Code | None = None
    active: bool = True


class NewUser(BaseModel):
    """An account to be added. `must_change`: its user chooses another password at the first sign-in."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    password: Annotated[str, Field(max_length=PASSWORD_CHARACTERS_MAX)]
    display_name: Annotated[str, Field(max_length=200)] = ""
    role: UserRole
    facility: Code | None = None
    department: Code | None = None
    must_change: bool = False


class GivenPassword(BaseModel):
    """For a user who forgot theirs; they choose another at the next sign-in."""

    model_config = ConfigDict(extra="forbid")
    password: Annotated[str, Field(max_length=PASSWORD_CHARACTERS_MAX)]


class Account(BaseModel):
    """An account and how it stands. `last_sign_in` null: never, or longer ago than is kept; `closed_until`: after
    wrong passwords."""

    name: str
    display_name: str
    role: str
    facility: str | None
    department: str | None
    active: bool
    must_change: bool
    second_factor: bool
    sessions: int
    last_sign_in: datetime | None
    closed_until: datetime | None


class Accounts(BaseModel):
    users: list[Account]
    next_after: str | None


class Ended(BaseModel):
    sessions: int


class Department(BaseModel):
    model_config = ConfigDict(extra="forbid")
    code: Code
    name: Annotated[str, Field(max_length=200)] = ""


class Departments(BaseModel):
    departments: list[Department]


@router.get("/users")
def users(
    who: Administrator, archive: TheArchive, facility: Code | None = None,
    words: Annotated[str, Query(alias="q", max_length=WORDS_CHARACTERS_MAX)] = "",
    after: Annotated[str, Query(max_length=NAME_CHARACTERS_MAX)] = "",
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE_MAX,
) -> Accounts:  # fmt: skip
    """The accounts that the administrator looks after, also the disabled ones, by name, a page at a time. `q` is a part
    of a name; the next page begins behind `next_after`."""
    if facility is not None:
        check_facility(who, facility)
    of = facility if facility is not None else who.facility
    found = staff.list_members(archive, facility=of, words=words.strip(), after=after, limit=limit + 1)
    more = found[limit - 1].user.name if len(found) > limit else None
    return Accounts(users=[_shown(one) for one in found[:limit]], next_after=more)


@router.post("/users", status_code=201)
def add_user(new: NewUser, who: Administrator, archive: TheArchive) -> Account:
    """Add an account; an administrator of a facility adds those of it alone."""
    _check(who, new.facility)
    tell(what=told_fields(new.model_dump(include={"name", "role", "facility", "department"})))
    accounts.add_user(archive, new.name, new.password, Role(new.role), new.display_name, new.facility,
                      new.department, must_change=new.must_change)  # fmt: skip
    return _shown(_member(archive, who, new.name))


@router.patch("/users/{name}", status_code=204)
def change_user(name: str, change: UserChange, who: Administrator, archive: TheArchive) -> Response:
    """Change the fields given; nobody changes what they are themselves. Within five seconds it holds."""
    known = _found(archive, who, name)
    user = known.user
    given: dict[str, Any] = change.model_dump(exclude_unset=True)
    tell(what=told_fields(given))
    if name == who.name and given.keys() - {"display_name"}:
        raise Forbidden("nobody changes their own role or place")
    if "facility" in given:
        _check(who, given["facility"])
        given.setdefault("department", None)
    is_now = {"display_name": user.display_name, "role": user.role, "facility": user.facility,
              "department": user.department, "active": known.active}  # fmt: skip
    fields = is_now | given
    accounts.change_user(archive, name, **fields | {"role": Role(fields["role"])})
    return Response(status_code=204)


@router.put("/users/{name}/password", status_code=204)
def give_password(name: str, new: GivenPassword, who: Administrator, archive: TheArchive) -> Response:
    """Give a user a password for once. All sessions end."""
    _other(archive, who, name)
    accounts.set_password(archive, name, new.password, must_change=True)
    return Response(status_code=204)


@router.post("/users/{name}/sign-out")
def sign_out(name: str, who: Administrator, archive: TheArchive) -> Ended:
    """End all sessions of a user; known everywhere within five seconds."""
    _found(archive, who, name)
    return Ended(sessions=sessions.end(archive, name, by="administrator"))


@router.post("/users/{name}/unlock", status_code=204)
def unlock(name: str, who: Administrator, archive: TheArchive) -> Response:
    """Open an account that wrong passwords have closed."""
    _found(archive, who, name)
    lockout.unlock(archive, name)
    return Response(status_code=204)


@router.delete("/users/{name}/second-factor", status_code=204)
def forget_factor(name: str, who: Administrator, archive: TheArchive) -> Response:
    """Ask a user who lost the device for no second factor any more. All sessions end."""
    _other(archive, who, name)
    if not factors.remove(archive, name):
        raise NotFound("there is no second factor")
    return Response(status_code=204)


@router.get("/facilities/{code}/departments")
def departments(code: str, who: Administrator, archive: TheArchive) -> Departments:
    """The departments of a facility."""
    check_facility(who, code)
    found = list_departments(archive, code)
    return Departments(departments=[Department(code=c, name=n) for c, n in found])


@router.post("/facilities/{code}/departments", status_code=201)
def new_department(code: str, new: Department, who: Administrator, archive: TheArchive) -> Department:
    """Register a department, or name it anew."""
    check_facility(who, code)
    tell(what=told_fields(new.model_dump()), subjects=owned_by(code))
    add_department(archive, code, new.code, new.name)
    return new


def _looks_after(who: Principal, facility: str | None) -> bool:
    return who.facility is None or who.facility == facility


def _check(who: Principal, facility: str | None) -> None:
    """Raises NotFound, or Forbidden where an administrator of a facility would make one of the region's staff."""
    if facility is not None:
        check_facility(who, facility)
    elif who.facility is not None:
        raise Forbidden("only the region's administrators may do this")


def _member(archive: Archive, who: Principal, name: str) -> Member:
    """A user of another's facility answers as one that does not exist."""
    member = staff.find_member(archive, name)
    if member is None or not _looks_after(who, member.user.facility):
        raise NotFound("there is no such user")
    return member


def _found(archive: Archive, who: Principal, name: str) -> Member:
    """The one who is changed, as the audit trail is told."""
    tell(what=told_fields({"name": name}))
    member = _member(archive, who, name)
    tell(subjects=owned_by(*filter(None, [member.user.facility])))
    return member


def _other(archive: Archive, who: Principal, name: str) -> None:
    """One's own credentials are changed under /api/me, where a token alone does not do."""
    _found(archive, who, name)
    if name == who.name:
        raise Forbidden("change your own credentials in your own account")


def _shown(member: Member) -> Account:
    return Account.model_validate(asdict(member.user) | asdict(member))
