"""The keys that sign access tokens. Each has a name (`kid`): after a rotation what an old one signed is taken until it
expires, by every process.

A key of the settings goes before those of the database. There the newest one signs; one is made at the first start.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets as random
import threading
import time
from datetime import timedelta
from typing import Any

from joserfc.jwk import OctKey
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from pacs.errors import SettingError
from storage.archive import Archive
from storage.index.tables import secrets

FIRST = "token"  # its name in the table; those that follow are "token:" and their kid
READ_SECONDS = 5.0  # how long a key that was removed may be taken
SEARCH_AGAIN_SECONDS = 1.0  # who brings unknown names of keys does not make us read more often
KEY_BYTES = 32


class Keyring:
    """The keys as they were within the last `READ_SECONDS`. Safe to share between threads."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._lock = threading.Lock()
        self._keys: dict[str, OctKey] = {}
        self._signs = ""
        self._read = self._searched = float("-inf")
        self.refresh()

    def signing(self) -> tuple[str, OctKey]:
        """The key that signs now, and its name."""
        self.refresh()
        return self._signs, self._keys[self._signs]

    def find(self, kid: object) -> OctKey | None:
        """A key by its name; without one, the key that signs."""
        return self._keys.get(str(kid) if kid else self._signs)

    def refresh(self) -> bool:
        """Read them again if that was more than `READ_SECONDS` ago; whether they are others than before."""
        with self._lock:
            return time.monotonic() - self._read >= READ_SECONDS and self._read_again()

    def search(self) -> bool:
        """For one that is not among them. It may be a moment old, so when they were read for other reasons says
        nothing; only the last search does."""
        with self._lock:
            if time.monotonic() - self._searched < SEARCH_AGAIN_SECONDS:
                return False
            self._searched = time.monotonic()
            return self._read_again()

    def _read_again(self) -> bool:
        before, asked = self._keys.keys(), time.monotonic()
        self._keys, self._signs = _read(self._archive)
        self._read = asked
        return self._keys.keys() != before


def _read(archive: Archive) -> tuple[dict[str, OctKey], str]:
    settings = archive.settings
    given = [secret.encode() for secret in (settings.secret, settings.secret_before) if secret]
    if settings.secret:
        named = {_name_of(secret): OctKey.import_key(secret) for secret in given}
        return named, _name_of(given[0])
    ensure(archive)
    query = select(secrets.c.name, secrets.c.value).where(secrets.c.name.like(f"{FIRST}%"))
    with archive.database.read() as connection:
        rows = connection.execute(query.order_by(secrets.c.created_at.desc(), secrets.c.name.desc())).all()
    keys: dict[str, Any] = {_kid(row.name): OctKey.import_key(bytes(row.value)) for row in rows}
    keys |= {_name_of(secret): OctKey.import_key(secret) for secret in given}
    return keys, _kid(rows[0].name)


def ensure(archive: Archive) -> None:
    """Make the first key, once, unless the settings have one."""
    if archive.settings.secret:
        return
    row = {"name": FIRST, "value": random.token_bytes(KEY_BYTES)}
    exists = select(secrets.c.name).where(secrets.c.name.like(f"{FIRST}%")).limit(1)
    with archive.database.begin() as connection:
        if connection.execute(exists).first() is None:
            connection.execute(insert(secrets).values(row).on_conflict_do_nothing())


def rotate(archive: Archive, *, at_once: bool = False) -> int:
    """Make a new key, and forget those that can have signed nothing that is good still: their number. `at_once`: forget
    all others, so that everybody signs in anew. Raises SettingError where the settings have the key."""
    if archive.settings.secret:
        raise SettingError("set the new TONGYING_SECRET, and the old one as TONGYING_SECRET_BEFORE")
    name = f"{FIRST}:{random.token_hex(8)}"
    others = secrets.c.name.like(f"{FIRST}%") & (secrets.c.name != name)
    lasts = timedelta(seconds=archive.settings.session_seconds + READ_SECONDS)
    newer = select(func.max(secrets.c.created_at)).where(others).scalar_subquery()
    # A key signs until the next one is made: those older than one that is old enough itself have nothing left.
    spent = others & (secrets.c.created_at < newer) & (newer < func.now() - lasts)
    with archive.database.begin() as connection:
        row = {"name": name, "value": random.token_bytes(KEY_BYTES)}
        connection.execute(insert(secrets).values(row))
        return connection.execute(delete(secrets).where(others if at_once else spent)).rowcount


def _kid(name: str) -> str:
    return name.partition(":")[2] or FIRST


def _name_of(secret: bytes) -> str:
    """Of a key in the settings: tells nothing about it."""
    return hmac.digest(secret, b"kid", hashlib.sha256).hex()[:16]
