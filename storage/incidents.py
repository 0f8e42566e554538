"""Incidents: what was kept but cannot be shown as it is. For operators, and to mend by hand."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from pacs.access import Principal
from pacs.errors import NotFound
from storage import records
from storage.archive import Archive
from storage.blobs import ObjectReader
from storage.index.tables import facilities, incidents, packs
from storage.index.visibility import facility_visible

COLUMNS = (
    incidents.c.id,
    incidents.c.kind,
    incidents.c.sop_instance,
    incidents.c.reason,
    incidents.c.details,
    incidents.c.created_at,
    facilities.c.code.label("facility"),
)


def list_incidents(
    archive: Archive, principal: Principal, limit: int, before: int | None
) -> list[dict[str, Any]]:
    """Open incidents that the principal may see, newest first, from below the id `before`."""
    query = (
        select(*COLUMNS)
        .join(facilities, facilities.c.id == incidents.c.facility_id)
        .where(facility_visible(principal, incidents.c.facility_id), incidents.c.resolved_at.is_(None))
        .order_by(incidents.c.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(incidents.c.id < before)
    with archive.database.begin() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def read_incident(archive: Archive, principal: Principal, incident_id: int) -> bytes:
    """The Part 10 bytes of an incident's instance; raises NotFound."""
    query = (
        select(packs.c.key, incidents.c.record_offset)
        .join(packs, packs.c.id == incidents.c.pack_id)
        .where(facility_visible(principal, incidents.c.facility_id), incidents.c.id == incident_id)
    )
    with archive.database.begin() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound("there is no such incident")
    reader = ObjectReader(archive.objects, row.key, window_bytes=64 * 1024)
    record = records.read_one(reader, row.record_offset, reader.size)
    if record is None:
        raise NotFound("the record is damaged; tongying check says more")
    return archive.objects.read_range(row.key, record.body_offset, record.body_length)
