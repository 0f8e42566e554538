"""The second factor: codes of an authenticator app (RFC 6238), and recovery codes for who lost it.

The secret is sealed, recovery codes are kept as hashes, and no code is taken twice.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import secrets as random
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from pacs import totp
from pacs.errors import Conflict, NotFound, SettingError
from storage import sessions
from storage.archive import Archive
from storage.index.credentials import recovery_codes, second_factors
from storage.index.tables import users
from storage.seals import WrongKey, reseal, seal, unseal

ISSUER = "Tongying"
RECOVERY_CODES, RECOVERY_BYTES = 10, 10
CODE_CHARACTERS_MAX = 40
_SPACES = re.compile(r"[\s-]")


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an app needs to know; shown once."""

    secret: str  # Base32, for who types it
    uri: str  # otpauth://, for who scans it


def is_active(archive: Archive, name: str) -> bool:
    """Whether a user has confirmed a second factor."""
    query = select(second_factors.c.user_id).join(users).where(users.c.name == name)
    with archive.database.read() as connection:
        return connection.execute(query.where(second_factors.c.confirmed_at.is_not(None))).first() is not None


def enrol(archive: Archive, name: str) -> Enrolment:
    """Begin anew; nothing is asked for until a code of it was shown. Raises Conflict where there is one, NotFound."""
    secret = random.token_bytes(totp.SECRET_BYTES)
    text = base64.b32encode(secret).decode()
    with archive.database.begin() as connection:
        user_id = connection.execute(select(users.c.id).where(users.c.name == name)).scalar_one_or_none()
        if user_id is None:
            raise NotFound("there is no such user")
        row = {"user_id": user_id, "secret": seal(archive.settings, text, _purpose(user_id))}
        begun = (
            upsert(second_factors)
            .values(row)
            .on_conflict_do_update(
                index_elements=["user_id"],
                set_=row | {"step": 0},
                where=second_factors.c.confirmed_at.is_(None),
            )
            .returning(second_factors.c.user_id)
        )
        if connection.execute(begun).first() is None:
            raise Conflict("there is a second factor already")
    return Enrolment(text, totp.uri(secret, name, ISSUER))


def confirm(archive: Archive, name: str, code: str) -> list[str]:
    """A code shows that the app has the secret: from now on it is asked for. The recovery codes, shown once; all
    sessions end. Raises SettingError for a wrong code, NotFound where nothing was begun."""
    secret, user_id, confirmed = _secret(archive, name)
    if secret is None or confirmed:
        raise NotFound("no second factor waits to be confirmed")
    step = totp.step_of(secret, _SPACES.sub("", code))
    if step is None:
        raise SettingError("the code is not right: is the clock of the device?")
    codes = [
        base64.b32encode(random.token_bytes(RECOVERY_BYTES)).decode().lower() for _ in range(RECOVERY_CODES)
    ]
    with archive.database.begin() as connection:
        waiting = (second_factors.c.user_id == user_id) & second_factors.c.confirmed_at.is_(None)
        values = {"step": step, "confirmed_at": func.now()}
        if not connection.execute(update(second_factors).where(waiting).values(values)).rowcount:
            raise NotFound("no second factor waits to be confirmed")
        connection.execute(delete(recovery_codes).where(recovery_codes.c.user_id == user_id))
        rows = [{"user_id": user_id, "digest": _digest(one)} for one in codes]
        connection.execute(insert(recovery_codes), rows)
        sessions.end_within(connection, name, by="factor")
    return ["-".join(one[i : i + 4] for i in range(0, 16, 4)) for one in codes]


def spend(archive: Archive, name: str, code: str) -> bool:
    """Whether it is a code of now, or a recovery code, that was not used before; from now on it was. Raises WrongKey
    where the secret cannot be opened."""
    code = _SPACES.sub("", code[: CODE_CHARACTERS_MAX * 2])
    secret, user_id, confirmed = _secret(archive, name)
    if secret is None or not confirmed:
        return False
    step = totp.step_of(secret, code)
    with archive.database.begin() as connection:
        if step is not None:
            of = second_factors.c
            newer = update(second_factors).where(of.user_id == user_id, of.step < step).values(step=step)
            return connection.execute(newer).rowcount == 1
        mine = (recovery_codes.c.user_id == user_id) & (recovery_codes.c.digest == _digest(code.lower()))
        return connection.execute(delete(recovery_codes).where(mine)).rowcount == 1


def remove(archive: Archive, name: str) -> bool:
    """Ask for it no more, as for a user who lost the device; whether there was one."""
    with archive.database.begin() as connection:
        user_id = select(users.c.id).where(users.c.name == name).scalar_subquery()
        connection.execute(delete(recovery_codes).where(recovery_codes.c.user_id == user_id))
        done = connection.execute(delete(second_factors).where(second_factors.c.user_id == user_id)).rowcount
        sessions.end_within(connection, name, by="factor")
    return bool(done)


def reseal_secrets(archive: Archive) -> int:
    """Seal all with the key of now; how many. Those that no key opens stay as they are."""
    done = 0
    with archive.database.begin() as connection:
        rows = select(second_factors.c.user_id, second_factors.c.secret).with_for_update()
        for row in connection.execute(rows).all():
            with contextlib.suppress(WrongKey):
                sealed = reseal(archive.settings, row.secret, _purpose(row.user_id))
                mine = second_factors.c.user_id == row.user_id
                connection.execute(update(second_factors).where(mine).values(secret=sealed))
                done += 1
    return done


def _secret(archive: Archive, name: str) -> tuple[bytes | None, int, bool]:
    query = select(second_factors.c.user_id, second_factors.c.secret, second_factors.c.confirmed_at)
    with archive.database.read() as connection:
        row = connection.execute(query.join(users).where(users.c.name == name)).one_or_none()
    if row is None:
        return None, 0, False
    text = unseal(archive.settings, row.secret, _purpose(row.user_id))
    return base64.b32decode(text), row.user_id, row.confirmed_at is not None


def _purpose(user_id: int) -> str:
    return f"second factor of {user_id}"


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode(errors="replace")).digest()
