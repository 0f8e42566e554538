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


def pack_key(facility: str, pack_id: uuid.UUID) -> str:
    """packs/<facility>/<year>/<month>/<day>/<id>.pack"""
    day = datetime.fromtimestamp((pack_id.int >> 80) / 1000, UTC)
    return f"packs/{facility}/{day:%Y/%m/%d}/{pack_id}.pack"


def contents_key(series_id: int, pack_id: uuid.UUID) -> str:
    """The contents of a series, as far as it lies in one pack."""
    return f"series/{series_id}/{pack_id}.contents.json.gz"


def metadata_key(series_id: int, pack_id: uuid.UUID) -> str:
    """The DICOM JSON of a series, as far as it lies in one pack."""
    return f"series/{series_id}/{pack_id}.metadata.json.gz"


def thumbnail_key(series_id: int) -> str:
    return f"series/{series_id}/thumbnail.jpg"
