"""Names of packs and of the objects beside them. A pack's id is made when its segment is opened."""

from __future__ import annotations

import os
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

URGENT = ".urgent"


def new_pack_id() -> uuid.UUID:
    """A UUID of version 7 (RFC 9562): sorts by time of creation."""
    stamp = time.time_ns() // 1_000_000
    value = (stamp & ((1 << 48) - 1)) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 2 << 62
    return uuid.UUID(int=value)


def segment_name(pack_id: uuid.UUID, *, urgent: bool) -> str:
    """Of the spool's file. Whether it is urgent stands in its name, so that a restart does not forget it."""
    return f"{pack_id}{URGENT if urgent else ''}.seg"


def pack_of(segment: Path) -> uuid.UUID:
    """The pack that a segment becomes."""
    return uuid.UUID(segment.name.partition(".")[0])


def is_urgent(segment: Path) -> bool:
    return URGENT in segment.suffixes


def pack_key(facility: str, pack_id: uuid.UUID, writing: int = 0) -> str:
    """packs/<facility>/<year>/<month>/<day>/<id>.pack; of one that was written anew, without what was erased, the
    number of the writing stands behind its id."""
    number = f".{writing}" if writing else ""
    return f"packs/{facility}/{made_at(pack_id):%Y/%m/%d}/{pack_id}{number}.pack"


def pack_named(key: str) -> tuple[str, uuid.UUID, int] | None:
    """The facility, id and writing of a pack by its key; None for what is no pack's."""
    facility, _, name = key.removeprefix("packs/").partition("/")
    written, _, number = name.rpartition("/")[2].removesuffix(".pack").partition(".")
    try:
        pack_id, writing = uuid.UUID(written), int(number or 0)
        return (facility, pack_id, writing) if pack_key(facility, pack_id, writing) == key else None
    except (ValueError, OverflowError):
        return None


def made_at(pack_id: uuid.UUID) -> datetime:
    """When its segment was opened."""
    return datetime.fromtimestamp((pack_id.int >> 80) / 1000, UTC)


def contents_key(series_id: int, pack_id: uuid.UUID, edition: int) -> str:
    """The contents of a series, as far as it lies in one pack; a pack that is indexed anew has a new edition."""
    return _of_series(series_id, pack_id, edition, "contents.json.gz")


def metadata_key(series_id: int, pack_id: uuid.UUID, edition: int) -> str:
    """The DICOM JSON of a series, as far as it lies in one pack."""
    return _of_series(series_id, pack_id, edition, "metadata.json.gz")


def progressive_key(series_id: int, pack_id: uuid.UUID, edition: int) -> str:
    """The frames of a series in HTJ2K, as far as it lies in one pack."""
    return _of_series(series_id, pack_id, edition, "htj2k")


def part_keys(series_id: int, pack_id: uuid.UUID, edition: int) -> list[str]:
    """All that there may be of a series, as far as it lies in one pack, in this edition."""
    return [make(series_id, pack_id, edition) for make in (contents_key, metadata_key, progressive_key)]


def _of_series(series_id: int, pack_id: uuid.UUID, edition: int, what: str) -> str:
    return f"series/{series_id}/{pack_id}{f'.{edition}' if edition else ''}.{what}"


def thumbnail_key(series_id: int) -> str:
    return f"series/{series_id}/thumbnail.jpg"


def register_key(facility: str, note_uid: str) -> str:
    """Of what a Rejection Note says, and what became of it."""
    return f"rejections/{facility}/{note_uid}.json.gz"


def registered(key: str) -> str | None:
    """The facility of a register by its key; None for what is none."""
    _, _, rest = key.partition("rejections/")
    facility, _, name = rest.partition("/")
    note_uid = name.removesuffix(".json.gz")
    return facility if facility and register_key(facility, note_uid) == key else None
