"""A pack that is written anew, in SQL: its rows change from the one object to the other inside the caller's
transaction."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy import Row as Found
from sqlalchemy.dialects.postgresql import insert

from storage.index.exchange import sends
from storage.index.tables import asides, incidents, packs, series, series_packs, superseded
from storage.index.writes import NEXT_EDITION, PackRow

Moved = Callable[[int], int]
"""From where something lies in the old object to where it lies in the new one."""


def find_pack(connection: Connection, pack_id: uuid.UUID, *, lock: bool = False) -> PackRow | None:
    """Each with its next edition; None if there is none any more."""
    query = select(*NEXT_EDITION).where(packs.c.id == pack_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return PackRow(*row) if row else None


def announce(connection: Connection, facility_id: int, key: str) -> None:
    """An object is going to be written that no row names yet: who leaves it has it swept."""
    row = {"key": key, "facility_id": facility_id}
    anew = insert(superseded).values(row)
    connection.execute(anew.on_conflict_do_update(index_elements=["key"], set_={"since": func.now()}))


def claim(connection: Connection, key: str) -> bool:
    """The object that was announced is named by a row from now on; False if it was swept meanwhile."""
    mine = delete(superseded).where(superseded.c.key == key).returning(superseded.c.key)
    return connection.execute(mine).first() is not None


def known_keys(connection: Connection, keys: Collection[str]) -> set[str]:
    """Those of these objects that a pack's row names, or that are to be swept; one moment's view."""
    named = select(packs.c.key).where(packs.c.key.in_(keys))
    swept = select(superseded.c.key).where(superseded.c.key.in_(keys))
    return set(connection.execute(named.union(swept)).scalars())


def incidents_of(connection: Connection, pack_id: uuid.UUID) -> list[Found[Any]]:
    query = select(incidents.c.id, incidents.c.record_offset).where(incidents.c.pack_id == pack_id)
    return list(connection.execute(query.order_by(incidents.c.record_offset)))


def replace_pack(
    connection: Connection, pack: PackRow, key: str, size: int, gone: Collection[int], moved: Moved
) -> None:
    """Its row names the new object. `gone`: where records and bodies lay that are not in it; what is noted of the
    others is noted at their new places."""
    left = packs.c.records - len(gone) // 2
    written = {"key": key, "bytes": size, "edition": pack.edition, "records": left}
    connection.execute(update(packs).where(packs.c.id == pack.id).values(**written))
    for row in incidents_of(connection, pack.id):  # ascending: no two ever stand at one place
        of, offset = incidents.c.id == row.id, row.record_offset
        if offset in gone:
            connection.execute(delete(incidents).where(of))
        elif moved(offset) != offset:
            connection.execute(update(incidents).where(of).values(record_offset=moved(offset)))
    _move_asides(connection, pack, gone, moved)


def _move_asides(connection: Connection, pack: PackRow, gone: Collection[int], moved: Moved) -> None:
    mine = asides.c.pack_id == pack.id
    kept = [dict(row) for row in connection.execute(select(asides).where(mine)).mappings()]
    connection.execute(delete(asides).where(mine))
    rows = [r | {"body_offset": moved(r["body_offset"])} for r in kept if r["body_offset"] not in gone]
    if rows:
        connection.execute(insert(asides), rows)


def remove_pack(connection: Connection, pack: PackRow) -> None:
    """Nothing is left of it."""
    for table in (asides, incidents, series_packs):
        connection.execute(delete(table).where(table.c.pack_id == pack.id))
    connection.execute(delete(sends).where(sends.c.pack_id == pack.id))
    connection.execute(delete(packs).where(packs.c.id == pack.id))


def fragments_of(connection: Connection, pack_id: uuid.UUID) -> list[Found[Any]]:
    """series_pk, edition, instance_count of what lies in a pack."""
    of = series_packs.c
    query = (
        select(of.series_pk, of.edition, of.instance_count)
        .where(of.pack_id == pack_id)
        .order_by(of.series_pk)
    )
    return list(connection.execute(query))


def set_fragment(connection: Connection, pack: PackRow, series_pk: int) -> None:
    """What is written of the series in the pack has the pack's edition, in which there is no HTJ2K rendition yet."""
    of = series_packs.c
    mine = (of.series_pk == series_pk, of.pack_id == pack.id)
    unmade = {"rendition_bytes": None, "resolutions": None, "rendition_tries": 0}
    connection.execute(update(series_packs).where(*mine).values(edition=pack.edition, **unmade))
    connection.execute(update(series).where(series.c.id == series_pk).values(rendition_at=func.now()))
