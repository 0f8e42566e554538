"""Accounts as administrators see them: also the disabled ones, and what keeps somebody from signing in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select

from pacs.access import Role
from storage import lockout, sessions
from storage.accounts import User
from storage.archive import Archive
from storage.index.credentials import credentials, known_places, second_factors
from storage.index.credentials import sessions as signed_in
from storage.index.tables import departments, facilities, users


@dataclass(frozen=True, slots=True)
class Member:
    """An account, and how it stands."""

    user: User
    active: bool
    must_change: bool  # their password was chosen by somebody else
    second_factor: bool
    sessions: int  # that are open
    last_sign_in: datetime | None  # None: never, or so long ago that nothing of it is kept
    closed_until: datetime | None = None  # by wrong passwords


def list_members(
    archive: Archive, *, facility: str | None = None, words: str = "", after: str = "", limit: int
) -> list[Member]:
    """By name, those behind `after`; of one facility, and with the words in a name, where that is said."""
    query = _members().where(users.c.name > after.replace("\0", "")).order_by(users.c.name).limit(limit)
    if facility is not None:
        query = query.where(facilities.c.code == facility)
    if words := words.replace("\0", ""):
        names = (users.c.name, users.c.display_name)
        query = query.where(or_(*(name.icontains(words, autoescape=True) for name in names)))
    return _read(archive, query)


def find_member(archive: Archive, name: str) -> Member | None:
    """By name, also one that is disabled."""
    found = _read(archive, _members().where(users.c.name == name)) if "\0" not in name else []
    return found[0] if found else None


def _read(archive: Archive, query: Any) -> list[Member]:
    with archive.database.read() as connection:
        rows = connection.execute(query).all()
    found = [Member(User(row[0], row[1], Role(row[2]), row[3], row[4]), *row[5:]) for row in rows]
    closed = lockout.closed(archive, [one.user.name for one in found])
    return [replace(one, closed_until=closed.get(one.user.name)) for one in found]


def _members() -> Any:
    mine = signed_in.c.user_id == users.c.id
    opened = select(func.count()).where(mine, *sessions.still_open()).scalar_subquery()
    began = select(func.max(signed_in.c.created_at)).where(mine).scalar_subquery()
    seen = select(func.max(known_places.c.seen_at)).where(known_places.c.user_id == users.c.id)
    return (
        select(
            users.c.name, users.c.display_name, users.c.role, facilities.c.code, departments.c.code, users.c.active,
            func.coalesce(credentials.c.must_change, False), second_factors.c.confirmed_at.is_not(None), opened,
            func.greatest(began, seen.scalar_subquery()),
        )
        .outerjoin(facilities, facilities.c.id == users.c.facility_id)
        .outerjoin(departments, departments.c.id == users.c.department_id)
        .outerjoin(credentials, credentials.c.user_id == users.c.id)
        .outerjoin(second_factors, second_factors.c.user_id == users.c.id)
    )  # fmt: skip
