"""Local accounts: argon2id hashes, one administrator at first."""

from __future__ import annotations

import secrets as random
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, func, select, update
from sqlalchemy.dialects.postgresql import insert

from pacs.access import USERS, Principal, Role
from pacs.errors import NotFound, SettingError
from storage import passwords, sessions
from storage.archive import Archive
from storage.index.credentials import credentials
from storage.index.tables import departments, facilities, users

NAME_CHARACTERS_MAX = 64


@dataclass(frozen=True, slots=True)
class User:
    """An account as its owner may see it."""

    name: str
    display_name: str
    role: Role
    facility: str | None
    department: str | None = None

    def principal(self) -> Principal:
        return Principal(self.name, self.role, self.facility, department=self.department)


def ensure_administrator(archive: Archive, password: str) -> str | None:
    """Make `admin` if there is no user; returns the password if it was made up here, to be shown once."""
    with archive.database.read() as connection:
        if connection.execute(select(users.c.id).limit(1)).first():
            return None
    made_up = None if password else random.token_urlsafe(12)
    add_user(archive, "admin", password or made_up or "", Role.ADMINISTRATOR, "Administrator")
    return made_up


def add_user(
    archive: Archive, name: str, password: str, role: Role, display_name: str = "", facility: str | None = None,
    department: str | None = None, *, must_change: bool = False,
) -> None:  # fmt: skip
    """Add an account; raises SettingError if the name is taken, the password one that is refused, or the role does not
    fit; NotFound for a facility or department that is not there. `must_change`: its user must choose another password
    first."""
    if not 0 < len(name) <= NAME_CHARACTERS_MAX or not name.isprintable():
        raise SettingError(f"a user's name has 1 to {NAME_CHARACTERS_MAX} characters")
    passwords.check(archive.settings, name, password)
    row = {"name": name, "password_hash": passwords.hashed(password), "display_name": display_name or name}
    with archive.database.begin() as connection:
        row |= _place(connection, role, facility, department)
        added = insert(users).values(row).on_conflict_do_nothing().returning(users.c.id)
        if connection.execute(added).first() is None:
            raise SettingError(f"there is a user {name} already")
        if must_change:
            _note_change(connection, name, must_change=True)


def change_user(
    archive: Archive, name: str, *, role: Role, facility: str | None, department: str | None, display_name: str,
    active: bool,
) -> None:  # fmt: skip
    """Change an account; what it may do is known everywhere within `storage.tokens.USER_CACHE_SECONDS`. Raises as
    `add_user` does."""
    with archive.database.begin() as connection:
        row = _place(connection, role, facility, department) | {
            "display_name": display_name,
            "active": active,
        }
        if not connection.execute(update(users).where(users.c.name == name).values(row)).rowcount:
            raise NotFound(f"there is no user {name}")
        if not active:  # else they would go on where the account is enabled again
            sessions.end_within(connection, name, by="administrator")


def _place(
    connection: Connection, role: Role, facility: str | None, department: str | None
) -> dict[str, Any]:
    """The columns that say what a user is, and where."""
    if role not in USERS:
        raise SettingError(f"a user's role is one of {', '.join(sorted(USERS))}")
    if role is Role.TECHNOLOGIST and facility is None:
        raise SettingError("a technologist belongs to a facility")
    row: dict[str, Any] = {"role": role.value, "facility_id": None, "department_id": None}
    if facility is None:
        if department is not None:
            raise SettingError("a department is one of a facility")
        return row
    row["facility_id"] = _key(connection, facilities, "facility", facilities.c.code == facility)
    if department is not None:
        of = and_(departments.c.facility_id == row["facility_id"], departments.c.code == department)
        row["department_id"] = _key(connection, departments, "department", of)
    return row


def _key(connection: Connection, table: Table, what: str, which: ColumnElement[bool]) -> int:
    found = connection.execute(select(table.c.id).where(which)).scalar_one_or_none()
    if found is None:
        raise NotFound(f"there is no such {what}")
    return int(found)


def set_password(archive: Archive, name: str, password: str, *, must_change: bool = False) -> None:
    """Change a password, which ends all sessions of the account; raises NotFound or SettingError."""
    passwords.check(archive.settings, name, password)
    hashed = passwords.hashed(password)
    with archive.database.begin() as connection:
        done = connection.execute(update(users).where(users.c.name == name).values(password_hash=hashed))
        if not done.rowcount:
            raise NotFound(f"there is no user {name}")
        _note_change(connection, name, must_change=must_change)
        sessions.end_within(connection, name, by="password")


def _note_change(connection: Connection, name: str, *, must_change: bool) -> None:
    user_id = select(users.c.id).where(users.c.name == name).scalar_subquery()
    values = {"must_change": must_change, "changed_at": func.now()}
    noted = insert(credentials).values(user_id=user_id, **values)
    connection.execute(noted.on_conflict_do_update(index_elements=["user_id"], set_=values))


def must_change_password(archive: Archive, name: str) -> bool:
    """Whether somebody else chose the password, for once."""
    query = select(credentials.c.must_change).join(users).where(users.c.name == name)
    with archive.database.read() as connection:
        return bool(connection.execute(query).scalar_one_or_none())


def sign_in(archive: Archive, name: str, password: str) -> User | None:
    """The user, or None; as slow for a name that nobody has as for a wrong password."""
    name = name.replace("\0", "\N{REPLACEMENT CHARACTER}")  # PostgreSQL takes none, and nobody has it
    with archive.database.read() as connection:
        row = connection.execute(
            select(users.c.password_hash).where(users.c.name == name, users.c.active)
        ).one_or_none()
    return find_user(archive, name) if passwords.matches(row[0] if row else None, password) else None


def find_user(archive: Archive, name: str) -> User | None:
    """An active account by name."""
    if "\0" in name:
        return None
    query = (
        select(users.c.name, users.c.display_name, users.c.role, facilities.c.code, departments.c.code)
        .outerjoin(facilities, facilities.c.id == users.c.facility_id)
        .outerjoin(departments, departments.c.id == users.c.department_id)
        .where(users.c.name == name, users.c.active)
    )
    with archive.database.read() as connection:
        row = connection.execute(query).one_or_none()
    return User(row[0], row[1], Role(row[2]), row[3], row[4]) if row else None


def list_users(archive: Archive) -> list[User]:
    """All active accounts."""
    with archive.database.read() as connection:
        names = (
            connection.execute(select(users.c.name).where(users.c.active).order_by(users.c.name))
            .scalars()
            .all()
        )
    return [user for name in names if (user := find_user(archive, name))]
