"""What of a facility is here already, asked by those who would bring it again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from sqlalchemy import select

from pacs.access import Principal
from pacs.uids import uid_hash
from storage.archive import Archive
from storage.index import presence
from storage.index.tables import packs, series_packs
from storage.index.writes import known_instances

READ_BYTES = 4 * 1024 * 1024


def known_uids(archive: Archive, facility_id: int, uids: Sequence[str]) -> set[str]:
    """Those of these SOP Instance UIDs that are indexed for a facility, or kept and rejected."""
    with archive.database.read() as connection:
        return presence.known_uids(connection, facility_id, uids)


def shown_counts(archive: Archive, principal: Principal, study_uids: Sequence[str]) -> dict[str, int]:
    """How many instances these studies show to the principal; those that show none are left out."""
    with archive.read_as(principal) as connection:
        return presence.shown_counts(connection, principal, study_uids)


def has_file(archive: Archive, facility_id: int, sop_instance: str, md5: str) -> bool:
    """Whether an instance's Part 10 bytes, as we give them out, have this MD5 (hexadecimal digits)."""
    with archive.database.begin() as connection:
        known = known_instances(connection, facility_id, [uid_hash(sop_instance)])
        series = [series_pk for places in known.values() for _, series_pk in places]
        query = select(series_packs.c.series_pk, packs.c.id, series_packs.c.edition, packs.c.key)
        query = query.join(packs, packs.c.id == series_packs.c.pack_id)
        found = connection.execute(query.where(series_packs.c.series_pk.in_(series))).all()
    for series_pk, pack_id, edition, key in found:
        shown = archive.shelf.shown(archive.objects, series_pk, pack_id, edition)
        place = shown.places.get(sop_instance)
        if place is not None:
            entry = shown.entries[place]
            return _md5(archive, key, entry.offset, entry.length) == md5.lower()
    return False


def _md5(archive: Archive, key: str, offset: int, length: int) -> str:
    digest = hashlib.md5(usedforsecurity=False)  # what Orthanc keeps
    for start in range(offset, offset + length, READ_BYTES):
        digest.update(archive.objects.read_range(key, start, min(READ_BYTES, offset + length - start)))
    return digest.hexdigest()
