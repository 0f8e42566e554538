"""Sessions: what begins with a sign-in and ends with a sign-out, a changed password, or after a time.

Access tokens are short; a refresh token is good for one exchange against the next (RFC 9700 4.14.2). It is kept as a
hash. Who brings one that was exchanged already has it from elsewhere, or it was taken from him: the session ends.
"""

from __future__ import annotations

import hashlib
import secrets as random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, delete, func, insert, select, update

from pacs.access import Principal, Purpose, Role
from pacs.errors import NotFound
from pacs.logs import get
from storage.archive import Archive
from storage.index.credentials import refresh_tokens, sessions
from storage.index.tables import departments, facilities, users

log = get("sessions")
ACCOUNT = "account"  # the scope of who must first choose a password or enrol a second factor
TOKEN_BYTES = 32
AGENT_CHARACTERS_MAX = 200
# A browser whose answer was lost on the way, or that asks from two pages at once, may exchange a token twice within
# this time: it shows an access token of the session too.
AGAIN_SECONDS = 20
KEPT_DAYS = 7  # after the end, for users who want to know


@dataclass(frozen=True, slots=True)
class Session:
    """A session as its user sees it."""

    id: int
    agent: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Renewed:
    """Whose session goes on, and its next refresh token."""

    name: str
    session: int
    token: str
    scope: str


def begin(archive: Archive, name: str, *, scope: str = "", purpose: str = "", agent: str = "") -> int:
    """A new session of an active account; raises NotFound."""
    lasts = timedelta(seconds=archive.settings.session_seconds)
    ended_long_ago = sessions.c.expires_at < func.now() - timedelta(days=KEPT_DAYS)
    with archive.database.begin() as connection:
        user_id = connection.execute(
            select(users.c.id).where(users.c.name == name, users.c.active)
        ).scalar_one_or_none()
        if user_id is None:
            raise NotFound(f"there is no user {name}")
        connection.execute(delete(sessions).where(ended_long_ago))
        row = {
            "user_id": user_id, "scope": scope, "purpose": purpose, "agent": _printable(agent),
            "expires_at": func.now() + lasts,
        }  # fmt: skip
        return int(connection.execute(insert(sessions).values(row).returning(sessions.c.id)).scalar_one())


def refresh_token(archive: Archive, session: int) -> str:
    """A refresh token of a session."""
    with archive.database.begin() as connection:
        return _new_token(connection, session)


def renew(archive: Archive, token: str, *, of: int | None = None) -> Renewed | None:
    """Exchange a refresh token; None if it is none, or its session is over. `of`: the session whose access token was
    shown with it; without one a second exchange ends the session at once."""
    lately = func.now() - timedelta(seconds=AGAIN_SECONDS)
    query = (
        select(
            refresh_tokens.c.session_id, users.c.name, sessions.c.scope,
            refresh_tokens.c.used_at.is_(None).label("fresh"),
            (refresh_tokens.c.used_at > lately).label("lately"),
        )
        .join(sessions, sessions.c.id == refresh_tokens.c.session_id)
        .join(users, users.c.id == sessions.c.user_id)
        .where(refresh_tokens.c.digest == _digest(token), users.c.active, *still_open())
        .with_for_update(of=refresh_tokens)
    )  # fmt: skip
    with archive.database.begin() as connection:
        row = connection.execute(query).one_or_none()
        if row is None or of not in (None, row.session_id):
            return None
        # Not by times alone: one that began before it waited for another's exchange reads a time after its own.
        if not row.fresh and not (row.lately and of is not None):
            _end(connection, "reuse", sessions.c.id == row.session_id)
            log.warning("refresh_token_reused", session=row.session_id, user=row.name)
            return None
        if row.fresh:
            spent = update(refresh_tokens).where(refresh_tokens.c.digest == _digest(token))
            connection.execute(spent.values(used_at=func.now()))
        return Renewed(row.name, row.session_id, _new_token(connection, row.session_id), row.scope)


def find_principal(archive: Archive, name: str, session: int) -> Principal | None:
    """Whose session it is; None where it is over, or its account is."""
    query = (
        select(users.c.role, facilities.c.code, departments.c.code, sessions.c.scope, sessions.c.purpose)
        .join(sessions, sessions.c.user_id == users.c.id)
        .outerjoin(facilities, facilities.c.id == users.c.facility_id)
        .outerjoin(departments, departments.c.id == users.c.department_id)
        .where(users.c.name == name, users.c.active, sessions.c.id == session, *still_open())
    )
    with archive.database.read() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        return None
    scopes = frozenset(row.scope.split()) if row.scope else None
    purpose = Purpose(row.purpose) if row.purpose else Purpose.TREATMENT
    return Principal(name, Role(row.role), row[1], purpose, department=row[2], scopes=scopes)


def of_user(archive: Archive, name: str) -> list[Session]:
    """The sessions of a user that are not over, the last one first."""
    query: Select[Any] = (
        select(sessions.c.id, sessions.c.agent, sessions.c.created_at, sessions.c.expires_at)
        .join(users, users.c.id == sessions.c.user_id)
        .where(users.c.name == name, *still_open())
        .order_by(sessions.c.id.desc())
    )
    with archive.database.read() as connection:
        return [Session(*row) for row in connection.execute(query)]


def end(archive: Archive, name: str, session: int | None = None, *, by: str = "sign-out") -> int:
    """End one session of a user, or all of them; how many."""
    with archive.database.begin() as connection:
        return end_within(connection, name, session, by=by)


def end_within(connection: Connection, name: str, session: int | None = None, *, by: str) -> int:
    """The same within a transaction of the caller's."""
    whose = sessions.c.user_id == select(users.c.id).where(users.c.name == name).scalar_subquery()
    return _end(connection, by, whose, *([] if session is None else [sessions.c.id == session]))


def _end(connection: Connection, by: str, *which: Any) -> int:
    ended = update(sessions).where(sessions.c.ended_at.is_(None), *which)
    return connection.execute(ended.values(ended_at=func.now(), ended_by=by)).rowcount


def still_open() -> tuple[Any, ...]:
    """What holds of the rows of sessions that are not over."""
    return sessions.c.ended_at.is_(None), sessions.c.expires_at > func.now()


def _new_token(connection: Connection, session: int) -> str:
    token = random.token_urlsafe(TOKEN_BYTES)
    connection.execute(insert(refresh_tokens).values(digest=_digest(token), session_id=session))
    return token


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()


def _printable(agent: str) -> str:
    return "".join(c for c in agent if c.isprintable())[:AGENT_CHARACTERS_MAX]
