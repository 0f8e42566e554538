"""The key of the chain: made once, sealed with the archive's secret key, and kept in the object store.

Not in the database, whose users must not have it; and not the secret key itself, so that this one can be changed while
the chain goes on: `reseal` the object.
"""

from __future__ import annotations

import secrets

from pacs.errors import ObjectMissing
from pacs.settings import Settings
from storage import seals
from storage.blobs import ObjectStore

OBJECT, PURPOSE = "audit/key", "audit trail"
KEY_BYTES = 32
_keys: dict[Settings, bytes] = {}


def chain_key(settings: Settings, objects: ObjectStore) -> bytes:
    """The key, made if there is none: call it when nobody else does (`ledger.take_turn`). Read once by each process.
    Raises WrongKey where it was sealed with another secret key."""
    if settings not in _keys:
        _keys[settings] = bytes.fromhex(seals.unseal(settings, _sealed(settings, objects), PURPOSE))
    return _keys[settings]


def _sealed(settings: Settings, objects: ObjectStore) -> str:
    try:
        return objects.get(OBJECT).decode()
    except ObjectMissing:
        made = seals.seal(settings, secrets.token_hex(KEY_BYTES), PURPOSE)
        objects.put(OBJECT, made.encode())
        return made


def reseal(before: Settings, now: Settings, objects: ObjectStore) -> None:
    """Seal the key anew, after the secret key was changed."""
    opened = seals.unseal(before, objects.get(OBJECT).decode(), PURPOSE)
    objects.put(OBJECT, seals.seal(now, opened, PURPOSE).encode())
