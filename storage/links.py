"""Share links: who holds one sees some studies of one patient, without an account, until it ends (docs/decisions/0030).

The secret of a link is random and kept as a hash; so is the code that may go with it, hashed together with the secret,
so that the database alone cannot be tried out. What is wrong, over or taken back looks like what never was.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets as random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, insert, or_, select, update

from pacs.access import ADMINISTERING, Principal, Role
from pacs.errors import Conflict, NotFound, SettingError
from storage import lockout, tries
from storage.archive import Archive
from storage.index.sharing import share_links
from storage.index.subjects import known_as, patients_with
from storage.index.tables import facilities
from storage.sharing import Row, check_shares, end_row, of_owner, page_of, told

DAYS, DAYS_MAX = 7, 90
STUDIES_MAX = 50
SECRET_BYTES, CODE_DIGITS = 32, 6
SESSION_SECONDS = 3600  # what a link is exchanged for
TRIES_MAX = 10  # of one link from one address in a minute
SCOPE = "link"


@dataclass(frozen=True, slots=True)
class NewLink:
    """What is shown once: the secret, and the code where there is one."""

    id: int
    secret: str
    code: str
    until: datetime


@dataclass(frozen=True, slots=True)
class OpenLink:
    """A link that is in force: the owner's code and names, and the studies that it names."""

    id: int
    facility: str
    facility_name: str
    facility_name_en: str
    studies: tuple[str, ...]
    until: datetime
    patient_id: str
    issuer: str
    seconds: int  # that a session of it lasts from now on

    def principal(self) -> Principal:
        return Principal(f"link {self.id}", Role.LINK, link=self.id, scopes=frozenset({SCOPE}))


def make(
    archive: Archive, principal: Principal, facility: str, study_uids: Sequence[str], *, days: int = DAYS,
    with_code: bool = True,
) -> NewLink:  # fmt: skip
    """Make a link. Raises Forbidden where it is not theirs to open, NotFound for studies that are not there or may not
    be seen, Conflict where they are of several patients, SettingError."""
    check_shares(principal, facility)
    uids = sorted(set(study_uids))
    if not 0 < len(uids) <= STUDIES_MAX or not 0 < days <= DAYS_MAX:
        raise SettingError(f"a link is for 1 to {STUDIES_MAX} studies and 1 to {DAYS_MAX} days")
    secret = random.token_urlsafe(SECRET_BYTES)
    code = f"{random.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}" if with_code else ""
    with archive.database.begin() as connection:
        found = patients_with(connection, principal, facility, uids)
        if found is None:
            raise NotFound("there is no such study")
        if len(found) != 1:
            raise Conflict("a link is for studies of one patient")
        row = {
            "facility_id": found[0][0], "patient_pk": found[0][1], "study_uids": uids, "made_by": principal.name,
            "token_hash": _digest(secret), "code_hash": _digest(secret, code) if code else None,
            "until": func.now() + timedelta(days=days),
        }  # fmt: skip
        made = insert(share_links).values(row).returning(share_links.c.id, share_links.c.until)
        key, until = connection.execute(made).one()
    told("link_made", principal, link=key, studies=len(uids))
    return NewLink(key, secret, code, until)


def open_link(archive: Archive, secret: str, code: str, address: str) -> OpenLink | None:
    """The link whose secret and code these are; None where they are wrong, or it is over. Raises TooManyTries, for
    secrets that nobody has as for others."""
    digest = _digest(secret)
    who = lockout.check(archive, f"link {digest.hex()}", address)  # longer than names of users are
    tried = tries.begin(archive, TRIES_MAX, "link", digest.hex(), address)
    query = select(share_links.c.id, share_links.c.code_hash).where(
        share_links.c.token_hash == digest, *in_force()
    )
    with archive.database.begin() as connection:
        row = connection.execute(query).one_or_none()
        wanted = row.code_hash if row is not None else None
        if row is not None and (wanted is None or hmac.compare_digest(wanted, _digest(secret, code))):
            mine = update(share_links).where(share_links.c.id == row.id)
            connection.execute(mine.values(opened_at=func.now()))
        else:
            row = None
    if row is None:
        lockout.failed(archive, who)
        return None
    tries.forget(archive, tried)
    lockout.forget(archive, who)
    return find(archive, row.id)


def find(archive: Archive, link: int | None) -> OpenLink | None:
    """A link that is in force; None where it is over."""
    of = share_links.c
    query = select(
        of.id, facilities.c.code, facilities.c.name, facilities.c.name_en, of.study_uids, of.until,
        *known_as(of.patient_pk),
        func.ceil(func.extract("epoch", of.until - func.now())).label("left"),
    ).join(facilities, facilities.c.id == of.facility_id)  # fmt: skip
    with archive.database.read() as connection:
        row = connection.execute(query.where(of.id == link, *in_force())).one_or_none()
    if row is None:
        return None
    return OpenLink(row.id, row.code, row.name, row.name_en, tuple(row.study_uids), row.until, row.patient_id,
                    row.issuer, min(SESSION_SECONDS, int(row.left)))  # fmt: skip


def list_links(
    archive: Archive,
    principal: Principal,
    *,
    study_uid: str = "",
    before: int | None = None,
    limit: int = 100,
) -> list[Row]:
    """What the facility's administrators, or the principal themselves, made; the newest first."""
    of = share_links.c
    query = select(
        of.id, facilities.c.code.label("facility"), *known_as(of.patient_pk), of.study_uids, of.since, of.until,
        of.made_by, of.ended_by, of.opened_at, of.code_hash.is_not(None).label("with_code"),
    ).join(facilities, facilities.c.id == of.facility_id).where(_mine(principal))  # fmt: skip
    if study_uid:
        query = query.where(of.study_uids.contains([study_uid]))
    return page_of(archive, query, of.id, before, limit)


def revoke(archive: Archive, principal: Principal, link: int) -> tuple[str, ...]:
    """Take it back, by who made it or an administrator of the owner; its studies. Raises NotFound. What it opened is
    closed with the next question."""
    with archive.database.read() as connection:
        query = select(share_links.c.study_uids).where(share_links.c.id == link, _mine(principal))
        studies: list[str] = connection.execute(query).scalar_one_or_none() or []
    end_row(archive, principal, share_links, link, _mine(principal))
    return tuple(studies)


def in_force() -> tuple[ColumnElement[bool], ...]:
    return (share_links.c.since <= func.now(), share_links.c.until > func.now())


def _mine(principal: Principal) -> ColumnElement[bool]:
    made = share_links.c.made_by == principal.name
    return or_(of_owner(principal, share_links.c.facility_id, ADMINISTERING), made)


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).digest()
