"""Local accounts: argon2id hashes, one administrator at first."""

from __future__ import annotations

import secrets as random
from dataclasses import dataclass
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from pacs.access import Principal, Role
from pacs.errors import NotFound, SettingError
from storage.archive import Archive
from storage.index.tables import facilities, secrets, users

PASSWORD_CHARACTERS_MIN = 8
PASSWORD_CHARACTERS_MAX = 256  # hashing is slow by design: no megabytes of password
_hasher = PasswordHasher()


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


def add_user(archive: Archive, name: str, password: str, role: Role, display_name: str = "") -> None:
    """Add an account; raises SettingError if the name is taken or the password too short."""
    row = {
        "name": name,
        "password_hash": _hash(password),
        "role": role.value,
        "display_name": display_name or name,
    }
    with archive.database.begin() as connection:
        added = insert(users).values(row).on_conflict_do_nothing().returning(users.c.id)
        if connection.execute(added).first() is None:
            raise SettingError(f"there is a user {name} already")


def set_password(archive: Archive, name: str, password: str) -> None:
    """Change a password; raises NotFound or SettingError."""
    hashed = _hash(password)
    with archive.database.begin() as connection:
        done = connection.execute(update(users).where(users.c.name == name).values(password_hash=hashed))
        if not done.rowcount:
            raise NotFound(f"there is no user {name}")


def _hash(password: str) -> str:
    if not PASSWORD_CHARACTERS_MIN <= len(password) <= PASSWORD_CHARACTERS_MAX:
        raise SettingError(
            f"a password has {PASSWORD_CHARACTERS_MIN} to {PASSWORD_CHARACTERS_MAX} characters"
        )
    return _hasher.hash(password)


@cache
def _nobody() -> str:
    """A hash to compare with where there is no user. Made at the first sign-in, as hashing takes 64 MB."""
    return _hasher.hash("nobody has this password")


def sign_in(archive: Archive, name: str, password: str) -> User | None:
    """The user, or None; as slow for a name that nobody has as for a wrong password."""
    name = name.replace("\0", "\N{REPLACEMENT CHARACTER}")  # PostgreSQL takes none, and nobody has it
    with archive.database.read() as connection:
        row = connection.execute(
            select(users.c.password_hash).where(users.c.name == name, users.c.active)
        ).one_or_none()
    try:
        _hasher.verify(row[0] if row else _nobody(), password[:PASSWORD_CHARACTERS_MAX])
    except (VerificationError, InvalidHashError):
        return None
    return find_user(archive, name) if row else None


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


def signing_secret(archive: Archive) -> bytes:
    """The key of access tokens: from the settings, else made once and kept in the database."""
    if archive.settings.secret:
        return archive.settings.secret.encode()
    with archive.database.begin() as connection:
        row = {"name": "token", "value": random.token_bytes(32)}
        connection.execute(insert(secrets).values(row).on_conflict_do_nothing())
        return bytes(
            connection.execute(select(secrets.c.value).where(secrets.c.name == "token")).scalar_one()
        )
