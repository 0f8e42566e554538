"""Rules: what arrives and fits one is queued for its remote, in the transaction that indexes it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Integer, and_, bindparam, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from pacs.errors import NotFound
from storage.archive import Archive
from storage.index.exchange import remotes, routes, sends
from storage.index.tables import devices, facilities, facility_key
from storage.records import Origin
from storage.remotes import remote_named

NOTIFY_SECONDS = 10  # what arrives within them is told in one notification
URGENT = -1  # priority of what an emergency device sends


@dataclass(frozen=True, slots=True)
class Route:
    """A rule of a facility. What is empty fits all; else case and surrounding spaces do not matter."""

    remote: str
    facility: str
    modality: str = ""
    body_part: str = ""
    calling: str = ""
    called: str = ""
    id: int = 0


@dataclass(frozen=True, slots=True)
class Arrival:
    """What one pack brought of a series."""

    series_pk: int
    count: int  # of shown instances
    modality: str
    body_part: str
    origins: frozenset[Origin]


def add_route(archive: Archive, route: Route) -> int:
    """Add a rule; its number. Raises NotFound for its remote or facility."""
    remote = remote_named(archive, route.remote)
    with archive.database.begin() as connection:
        facility_id = connection.execute(facility_key(route.facility)).scalar()
        if facility_id is None:
            raise NotFound(f"there is no facility {route.facility}: tongying facility add")
        row = {
            "facility_id": facility_id, "remote_id": remote.id, "modality": route.modality.strip().upper(),
            "body_part": route.body_part.strip().upper(), "calling": route.calling.strip(),
            "called": route.called.strip(),
        }  # fmt: skip
        return int(connection.execute(insert(routes).values(row).returning(routes.c.id)).scalar_one())


def change_route(archive: Archive, number: int, changes: Mapping[str, str]) -> Route:
    """Change what a rule asks for; raises NotFound."""
    values = {name: value.strip() for name, value in changes.items()}
    values |= {name: values[name].upper() for name in ("modality", "body_part") if name in values}
    with archive.database.begin() as connection:
        if values:
            connection.execute(update(routes).where(routes.c.id == number).values(values))
    return find_route(archive, number)


def find_route(archive: Archive, number: int) -> Route:
    """By its number; raises NotFound."""
    found = next((r for r in list_routes(archive) if r.id == number), None)
    if found is None:
        raise NotFound(f"there is no rule {number}")
    return found


def remove_route(archive: Archive, number: int) -> bool:
    """Remove a rule; what it queued stays queued. Whether there was one."""
    with archive.database.begin() as connection:
        return connection.execute(delete(routes).where(routes.c.id == number)).rowcount > 0


def list_routes(archive: Archive, facility: str | None = None) -> list[Route]:
    """The rules of a facility, or of all, in the order in which they were made."""
    own = [routes.c[f.name] for f in fields(Route) if f.name not in ("remote", "facility")]
    query = (
        select(remotes.c.name.label("remote"), facilities.c.code.label("facility"), *own)
        .join(remotes, remotes.c.id == routes.c.remote_id)
        .join(facilities, facilities.c.id == routes.c.facility_id)
        .order_by(routes.c.id)
    )
    if facility is not None:
        query = query.where(facilities.c.code == facility)
    with archive.database.begin() as connection:
        return [Route(**row) for row in connection.execute(query).mappings()]


def forward(connection: Connection, facility_id: int, pack_id: uuid.UUID, arrivals: list[Arrival]) -> int:
    """Queue what one pack brought for the remotes whose rules it fits; how many rows. One query a pack where there
    are no rules. A remote that is notified needs no rule: without one it is told of all that its facility has."""
    rules = _rules(connection, facility_id) if arrivals else []
    wanted = {
        (rule.remote_id, arrival.series_pk): (rule.notify, arrival)
        for rule in rules
        for arrival in arrivals
        if _fits(rule, arrival)
    }
    if not wanted:
        return 0
    urgent = _emergency(connection, facility_id, (o.calling for a in arrivals for o in a.origins))
    rows = [
        {
            "facility_id": facility_id, "remote_id": remote_id, "series_pk": series_pk, "pack_id": pack_id,
            "total": arrival.count, "not_before": func.now() + timedelta(seconds=NOTIFY_SECONDS * notify),
            "priority": URGENT if any(o.calling in urgent for o in arrival.origins) else 0,
        }
        for (remote_id, series_pk), (notify, arrival) in sorted(wanted.items(), key=lambda item: item[0])
    ]  # fmt: skip
    connection.execute(insert(sends).values(rows).on_conflict_do_nothing())
    return len(rows)


_facility = bindparam("facility", type_=Integer)
_RULES = (
    select(
        remotes.c.id.label("remote_id"), remotes.c.notify,
        routes.c.modality, routes.c.body_part, routes.c.calling, routes.c.called,
    )
    .select_from(
        remotes.outerjoin(routes, and_(routes.c.remote_id == remotes.c.id, routes.c.facility_id == _facility))
    )
    .where(
        remotes.c.active,
        or_(routes.c.id.is_not(None), and_(remotes.c.notify, remotes.c.facility_id == _facility)),
    )
    .with_for_update(key_share=True, read=True, of=remotes)
)  # fmt: skip


def _rules(connection: Connection, facility_id: int) -> list[Any]:
    """The remotes' rows are held against removal until the transaction ends."""
    return list(connection.execute(_RULES, {"facility": facility_id}))


def _fits(rule: Any, arrival: Arrival) -> bool:
    return (
        (not rule.modality or rule.modality == arrival.modality.strip().upper())
        and (not rule.body_part or rule.body_part == arrival.body_part.strip().upper())
        and any(
            (not rule.calling or rule.calling == o.calling) and (not rule.called or rule.called == o.called)
            for o in arrival.origins
        )
    )


def _emergency(connection: Connection, facility_id: int, titles: Iterable[str]) -> set[str]:
    query = select(devices.c.ae_title).where(
        devices.c.facility_id == facility_id, devices.c.emergency, devices.c.ae_title.in_(set(titles))
    )
    return set(connection.execute(query).scalars())
