"""Users whom an OpenID provider knows: matched with an account once, or given one; by setting."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from pacs.access import Role
from pacs.logs import get
from storage import sessions
from storage.accounts import User, find_user
from storage.archive import Archive
from storage.index.credentials import openid_subjects
from storage.index.tables import facility_key, users

log = get("openid")
NAME_CHARACTERS_MAX = 64
_NAME = re.compile(r"[^\W_][\w.@-]*\Z")


def user_of(archive: Archive, issuer: str, claims: dict[str, Any]) -> User | None:
    """The account of somebody whose ID token was verified; None where he has none and is given none. `sub` is who he is
    (OpenID Connect Core 5.7); the name that he bears counts when he comes first, and never takes what another one has.
    """
    subject = str(claims["sub"])
    with archive.database.begin() as connection:
        name = _known(connection, issuer, subject) or _first_time(
            connection, archive, issuer, subject, claims
        )
        if name is not None and archive.settings.openid_users == "provision":
            _follow(connection, archive, name, claims)
    return find_user(archive, name) if name is not None else None


def _known(connection: Connection, issuer: str, subject: str) -> str | None:
    mine = (openid_subjects.c.issuer == issuer) & (openid_subjects.c.subject == subject)
    name: str | None = connection.execute(
        select(users.c.name).join(openid_subjects, openid_subjects.c.user_id == users.c.id).where(mine)
    ).scalar_one_or_none()
    return name


def _first_time(
    connection: Connection, archive: Archive, issuer: str, subject: str, claims: dict[str, Any]
) -> str | None:
    name = claims.get(archive.settings.openid_name_claim)
    if not isinstance(name, str) or len(name) > NAME_CHARACTERS_MAX or not _NAME.match(name):
        return None
    user_id = connection.execute(select(users.c.id).where(users.c.name == name)).scalar_one_or_none()
    if archive.settings.openid_users == "provision":
        if user_id is not None:  # somebody else's, or a local one: whoever bears its name does not get it
            log.warning("openid_name_taken", user=name)
            return None
        role, facility_id = _place(connection, archive, claims)
        if role is None:
            return None
        row = {
            "name": name, "display_name": str(claims.get("name") or name)[:200], "password_hash": "",
            "role": role.value, "facility_id": facility_id,
        }  # fmt: skip
        user_id = connection.execute(insert(users).values(row).returning(users.c.id)).scalar_one()
    if user_id is None or _has_subject(connection, issuer, user_id):
        return None
    bound = upsert(openid_subjects).values(issuer=issuer, subject=subject, user_id=user_id)
    connection.execute(bound.on_conflict_do_nothing())
    return name


def _has_subject(connection: Connection, issuer: str, user_id: int) -> bool:
    of = openid_subjects.c
    found = select(of.subject).where(of.issuer == issuer, of.user_id == user_id)
    return connection.execute(found).first() is not None


def _place(
    connection: Connection, archive: Archive, claims: dict[str, Any]
) -> tuple[Role | None, int | None]:
    """Role and facility that the claims tell. Who is of a facility that we do not know is nobody; without that claim he
    is the region's own, which only a mapped role can be."""
    settings = archive.settings
    said = claims.get(settings.openid_role_claim)
    given = said if isinstance(said, list) else [said]
    roles = [
        settings.roles_of_claim[one]
        for one in given
        if isinstance(one, str) and one in settings.roles_of_claim
    ]
    if not roles:
        return None, None
    code = claims.get(settings.openid_facility_claim)
    if code is None:
        return Role(roles[0]), None
    found = connection.execute(facility_key(str(code))).scalar_one_or_none()
    return (Role(roles[0]), found) if found is not None else (None, None)


def _follow(connection: Connection, archive: Archive, name: str, claims: dict[str, Any]) -> None:
    """What the provider says now is how it is: role and facility, and who lost them is out."""
    role, facility_id = _place(connection, archive, claims)
    if role is None:
        connection.execute(update(users).where(users.c.name == name).values(active=False))
        sessions.end_within(connection, name, by="provider")
        return
    values = {"role": role.value, "facility_id": facility_id, "active": True}
    connection.execute(update(users).where(users.c.name == name).values(values))
