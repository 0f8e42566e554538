"""Users and departments for administrators; those of a facility see and change its own alone."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from pacs.access import Principal, Role
from pacs.errors import Forbidden, NotFound
from storage import accounts
from storage.accounts import NAME_CHARACTERS_MAX, User
from storage.archive import Archive
from storage.facilities import add_department, list_departments
from storage.passwords import PASSWORD_CHARACTERS_MAX
from viewer_api.administration import Administrator, check_facility
from viewer_api.audited import owned_by, tell, told_fields
from viewer_api.auth import TheArchive

router = APIRouter(prefix="/api", tags=["users"])
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
    """An account to be added."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    password: Annotated[str, Field(max_length=PASSWORD_CHARACTERS_MAX)]
    display_name: Annotated[str, Field(max_length=200)] = ""
    role: UserRole
    facility: Code | None = None
    department: Code | None = None


class Account(BaseModel):
    name: str
    display_name: str
    role: str
    facility: str | None
    department: str | None


class Accounts(BaseModel):
    users: list[Account]


class Department(BaseModel):
    model_config = ConfigDict(extra="forbid")
    code: Code
    name: Annotated[str, Field(max_length=200)] = ""


class Departments(BaseModel):
    departments: list[Department]


@router.get("/users")
def users(who: Administrator, archive: TheArchive) -> Accounts:
    """The active accounts that the administrator looks after."""
    return Accounts(users=[_shown(u) for u in accounts.list_users(archive) if _looks_after(who, u.facility)])


@router.post("/users", status_code=201)
def add_user(new: NewUser, who: Administrator, archive: TheArchive) -> Account:
    """Add an account; an administrator of a facility adds those of it alone."""
    _check(who, new.facility)
    tell(what=told_fields(new.model_dump(include={"name", "role", "facility", "department"})))
    accounts.add_user(archive, new.name, new.password, Role(new.role), new.display_name, new.facility,
                      new.department)  # fmt: skip
    return _shown(_found(archive, who, new.name))


@router.patch("/users/{name}", status_code=204)
def change_user(name: str, change: UserChange, who: Administrator, archive: TheArchive) -> Response:
    """Change the fields given; nobody changes what they are themselves. Within five seconds it holds."""
    known = _found(archive, who, name)
    given: dict[str, Any] = change.model_dump(exclude_unset=True)
    tell(what=told_fields({"name": name} | given))
    if name == who.name and given.keys() - {"display_name"}:
        raise Forbidden("nobody changes their own role or place")
    if "facility" in given:
        _check(who, given["facility"])
        given.setdefault("department", None)
    is_now = {"display_name": known.display_name, "role": known.role, "facility": known.facility,
              "department": known.department, "active": True}  # fmt: skip
    fields = is_now | given
    accounts.change_user(archive, name, **fields | {"role": Role(fields["role"])})
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


def _found(archive: Archive, who: Principal, name: str) -> User:
    """A user of another's facility answers as one that does not exist."""
    user = accounts.find_user(archive, name)
    if user is None or not _looks_after(who, user.facility):
        raise NotFound("there is no such user")
    return user


def _shown(user: User) -> Account:
    return Account(name=user.name, display_name=user.display_name, role=user.role.value, facility=user.facility,
                   department=user.department)  # fmt: skip
