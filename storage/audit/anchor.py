"""The anchor: how far the trail goes, kept outside of the database and signed, so that a trail of which the end was cut
off is not taken for a whole one.

Beside it lies where the trail begins, if that is not at its first entry: after its database was lost, an operator says
so, and from then on what is missing is told as such and is no finding.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from pacs.audit import GENESIS
from pacs.errors import ObjectMissing
from storage.blobs import ObjectStore

HEAD, BEGINNING = "audit/head", "audit/beginning"


@dataclass(frozen=True, slots=True)
class Anchor:
    """An entry's position, and its hash in hexadecimal digits; when this was noted, and why if somebody did."""

    position: int = 0
    hash: str = GENESIS.hex()
    at: str = ""
    reason: str = ""


class Forged(ValueError):
    """The anchor does not have our signature."""


def read(objects: ObjectStore, key: bytes, name: str = HEAD) -> Anchor | None:
    """None if there is none; raises Forged."""
    try:
        said, _, mac = objects.get(name).partition(b"\n")
    except ObjectMissing:
        return None
    if not hmac.compare_digest(mac.strip(), _mac(key, name, said)):
        raise Forged(name)
    return Anchor(**json.loads(said))


def write(
    objects: ObjectStore, key: bytes, position: int, hash_: bytes, name: str = HEAD, reason: str = ""
) -> Anchor:
    """Note it; durable on return. Raises OSError."""
    anchor = Anchor(position, hash_.hex(), datetime.now(UTC).isoformat(timespec="seconds"), reason)
    said = json.dumps(asdict(anchor), ensure_ascii=False).encode()
    objects.put(name, said + b"\n" + _mac(key, name, said) + b"\n")
    return anchor


def _mac(key: bytes, name: str, said: bytes) -> bytes:
    return hmac.new(key, name.encode() + b"\n" + said, "sha256").hexdigest().encode()
