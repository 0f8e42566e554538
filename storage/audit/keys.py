"""The key of the chain: made once, sealed with the archive's secret key, and kept in the object store.

Not in the database, whose users must not have it; and not the secret key itself, so that this one can be changed while
the chain goes on: `reseal_key`.
"""

from __future__ import annotations

import contextlib
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


def reseal_key(settings: Settings, objects: ObjectStore) -> int:
    """Seal it with the secret key of now; 0 where there is none yet, or no key of the settings opens it."""
    with contextlib.suppress(ObjectMissing, seals.WrongKey):
        sealed = seals.reseal(settings, objects.get(OBJECT).decode(), PURPOSE)
        objects.put(OBJECT, sealed.encode())
        return 1
    return 0
