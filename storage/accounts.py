"""Local accounts: argon2id hashes, one administrator at first."""

from __future__ import annotations

import secrets as random
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from pacs.access import Principal, Role
from pacs.errors import NotFound, SettingError
from storage import passwords, sessions
from storage.archive import Archive
from storage.index.credentials import credentials
from storage.index.tables import facilities, users


@dataclass(frozen=True, slots=True)
class User:
    """An account as its owner may see it."""

    name: str
    display_name: str
    role: Role
    facility: str | None

    def principal(self) -> Principal:
        return Principal(self.name, self.role, self.facility)


def ensure_administrator(archive: Archive, password: str) -> str | None:
    """Make `admin` if there is no user; returns the password if it was made up here, to be shown once."""
    with archive.database.read() as connection:
        if connection.execute(select(users.c.id).limit(1)).first():
            return None
    made_up = None if password else random.token_urlsafe(12)
    add_user(archive, "admin", password or made_up or "", Role.ADMINISTRATOR, "Administrator")
    return made_up


def add_user(
    archive: Archive,
    name: str,
    password: str,
    role: Role,
    display_name: str = "",
    *,
    must_change: bool = False,
) -> None:
    """Add an account; raises SettingError if the name is taken or the password one that is refused. `must_change`: its
    user must choose another one first."""
    passwords.check(archive.settings, name, password)
    row = {
        "name": name,
        "password_hash": passwords.hashed(password),
        "role": role.value,
        "display_name": display_name or name,
    }
    with archive.database.begin() as connection:
        added = insert(users).values(row).on_conflict_do_nothing().returning(users.c.id)
        if connection.execute(added).first() is None:
            raise SettingError(f"there is a user {name} already")
        if must_change:
            _note_change(connection, name, must_change=True)


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
        select(users.c.name, users.c.display_name, users.c.role, facilities.c.code)
        .outerjoin(facilities, facilities.c.id == users.c.facility_id)
        .where(users.c.name == name, users.c.active)
    )
    with archive.database.read() as connection:
        row = connection.execute(query).one_or_none()
    return User(row[0], row[1], Role(row[2]), row[3]) if row else None


def list_users(archive: Archive) -> list[User]:
    """All active accounts."""
    with archive.database.read() as connection:
        names = (
            connection.execute(select(users.c.name).where(users.c.active).order_by(users.c.name))
            .scalars()
            .all()
        )
    return [user for name in names if (user := find_user(archive, name))]
