"""API clients: other systems of a facility, with credentials of their own (RFC 6749 4.4).

A secret is shown once and kept as a hash; after a rotation the one before it is taken for a while. Who may launch has a
key for signing too, the secret itself, which therefore is kept sealed as well.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import re
import secrets as random
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from pacs.access import Principal, Role
from pacs.errors import Conflict, NotFound, SettingError
from storage.archive import Archive
from storage.index.credentials import clients
from storage.index.tables import facilities, facility_key
from storage.seals import WrongKey, reseal, seal, unseal

LAUNCH = "launch"
SCOPES = ("dicomweb.read", "dicomweb.write", "portal.read", "worklist", "fhir", LAUNCH)
SECRET_BYTES = 32
OVERLAP_HOURS, OVERLAP_HOURS_MAX = 24, 24 * 30
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
NOBODY = hashlib.sha256(b"").digest()


@dataclass(frozen=True, slots=True)
class Client:
    """A registered system."""

    name: str
    facility: str
    scopes: tuple[str, ...]
    description: str = ""

    def principal(self) -> Principal:
        return Principal(self.name, Role.SYSTEM, self.facility, scopes=frozenset(self.scopes))


def add_client(archive: Archive, client: Client) -> str:
    """Register a system: its secret, which nobody can tell again. Raises Conflict, NotFound, SettingError."""
    _check(client)
    secret = random.token_urlsafe(SECRET_BYTES)
    facility = facility_key(client.facility)
    with archive.database.begin() as connection:
        facility_id = connection.execute(facility).scalar_one_or_none()
        if facility_id is None:
            raise NotFound(f"there is no facility {client.facility}")
        row = {
            "name": client.name, "facility_id": facility_id, "scopes": list(client.scopes),
            "description": client.description, "digest": _digest(secret),
            "launch_key": _launch_key(archive, client.name, secret, client.scopes),
        }  # fmt: skip
        added = insert(clients).values(row).on_conflict_do_nothing().returning(clients.c.id)
        if connection.execute(added).first() is None:
            raise Conflict(f"there is a client {client.name} already")
    return secret


def rotate_secret(archive: Archive, name: str, overlap_hours: float = OVERLAP_HOURS) -> str:
    """A new secret; the one before it is taken for `overlap_hours`. Raises NotFound, SettingError."""
    if not 0 <= overlap_hours <= OVERLAP_HOURS_MAX:
        raise SettingError(f"the old secret is taken for 0 to {OVERLAP_HOURS_MAX} hours")
    secret = random.token_urlsafe(SECRET_BYTES)
    scopes = _found(archive, name).scopes
    values = {
        "digest": _digest(secret), "digest_before": clients.c.digest,
        "before_until": func.now() + timedelta(hours=overlap_hours),
        "launch_key": _launch_key(archive, name, secret, scopes), "launch_key_before": clients.c.launch_key,
    }  # fmt: skip
    with archive.database.begin() as connection:
        if not connection.execute(update(clients).where(clients.c.name == name).values(values)).rowcount:
            raise NotFound(f"there is no client {name}")
    return secret


def remove_client(archive: Archive, name: str) -> None:
    """Its tokens are refused within five seconds. Raises NotFound."""
    with archive.database.begin() as connection:
        if not connection.execute(delete(clients).where(clients.c.name == name)).rowcount:
            raise NotFound(f"there is no client {name}")


def list_clients(archive: Archive) -> list[Client]:
    with archive.database.read() as connection:
        return [_client(row) for row in connection.execute(_clients().order_by(clients.c.name))]


def find_client(archive: Archive, name: str) -> Client | None:
    with archive.database.read() as connection:
        row = connection.execute(_clients().where(clients.c.name == _name(name))).one_or_none()
    return _client(row) if row else None


def sign_in(archive: Archive, name: str, secret: str) -> Client | None:
    """The client whose secret this is. The secrets are random: a plain hash of them cannot be guessed backwards."""
    before = func.coalesce(clients.c.before_until > func.now(), False).label("overlaps")
    query = _clients().add_columns(clients.c.digest, clients.c.digest_before, before)
    with archive.database.read() as connection:
        row = connection.execute(query.where(clients.c.name == _name(name))).one_or_none()
    given = _digest(secret)
    now = hmac.compare_digest(given, bytes(row.digest) if row else NOBODY)
    old = bytes(row.digest_before) if row and row.digest_before and row.overlaps else NOBODY
    right = (now or hmac.compare_digest(given, old)) and given != NOBODY
    return _client(row) if row and right else None


def launch_keys(archive: Archive, name: str) -> tuple[Client, list[bytes]] | None:
    """A client that may launch, and the keys that it may sign with; None if it may not. Raises WrongKey."""
    before = func.coalesce(clients.c.before_until > func.now(), False).label("overlaps")
    query = _clients().add_columns(clients.c.launch_key, clients.c.launch_key_before, before)
    with archive.database.read() as connection:
        row = connection.execute(query.where(clients.c.name == _name(name))).one_or_none()
    if row is None or LAUNCH not in row.scopes:
        return None
    sealed = [row.launch_key, row.launch_key_before if row.overlaps else ""]
    return _client(row), [unseal(archive.settings, one, _purpose(name)).encode() for one in sealed if one]


def reseal_keys(archive: Archive) -> int:
    """Seal all with the key of now; how many. Those that no key opens stay as they are."""
    done = 0
    query = select(clients.c.id, clients.c.name, clients.c.launch_key, clients.c.launch_key_before)
    with archive.database.begin() as connection:
        for row in connection.execute(query.where(clients.c.launch_key != "").with_for_update()).all():
            with contextlib.suppress(WrongKey):
                now = [reseal(archive.settings, one, _purpose(row.name)) for one in row[2:]]
                values = {"launch_key": now[0], "launch_key_before": now[1]}
                connection.execute(update(clients).where(clients.c.id == row.id).values(values))
                done += 1
    return done


def _clients() -> Any:
    of = clients.c
    return select(of.name, facilities.c.code, of.scopes, of.description).join(facilities)


def _client(row: Any) -> Client:
    return Client(row.name, row.code, tuple(row.scopes), row.description)


def _found(archive: Archive, name: str) -> Client:
    client = find_client(archive, name)
    if client is None:
        raise NotFound(f"there is no client {name}")
    return client


def _check(client: Client) -> None:
    if not _NAME.match(client.name):
        raise SettingError("a client's name has 1 to 64 of A-Z, a-z, 0-9, ., _ and -")
    if not client.scopes or set(client.scopes) - set(SCOPES):
        raise SettingError(f"a client's scopes are some of {', '.join(SCOPES)}")


def _launch_key(archive: Archive, name: str, secret: str, scopes: tuple[str, ...]) -> str:
    return seal(archive.settings, secret, _purpose(name)) if LAUNCH in scopes else ""


def _purpose(name: str) -> str:
    return f"launch key of {name}"


def _name(given: str) -> str:
    return given if _NAME.match(given) else ""


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="replace")).digest()
