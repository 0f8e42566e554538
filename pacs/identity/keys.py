"""Blocking keys: two records are compared only where they share one, so that the cost grows with the archive nearly in
a line. Each key outlives other errors than the others do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from pacs.identity.compare import Record

KEY_BYTES = 8


def keys_of(record: Record) -> tuple[int, ...]:
    """The keys of a record as signed 64-bit numbers."""
    return tuple(dict.fromkeys(map(_number, _keys(record))))


def _keys(record: Record) -> Iterator[str]:
    name, birth = record.name, record.birth_date
    if record.resident:
        yield f"resident {record.resident.hex()}"
    yield from (f"card {card.hex()}" for card in sorted(record.cards))
    if record.phone:
        yield f"phone {record.phone}"
    if birth is None or not name.known:
        return
    sound = "".join(sorted((name.family, name.given)))  # families and given names may have changed places
    initials = "".join(sorted(part[:1] for part in (name.family, name.given)))
    yield f"day {birth:%Y%m%d} {initials}"
    yield f"year {birth:%Y} {sound}"  # day and month swapped, or one of their digits
    yield f"anniversary {birth:%m%d} {sound}"


def _number(key: str) -> int:
    digest = hashlib.blake2b(key.encode(), digest_size=KEY_BYTES).digest()
    return int.from_bytes(digest, "big", signed=True)
