"""Modality Performed Procedure Steps: kept, told to the worklist, and compared with what arrived (PS3.4 F.7.2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, any_, extract, func, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert

from pacs.access import Principal
from pacs.errors import Conflict, NotFound
from pacs.performed import (
    ACCESSION,
    COMPLETED,
    DISCONTINUED,
    IN_PROGRESS,
    STATUS,
    STUDY_UID,
    announced,
    begun,
    changed,
    scheduled_steps,
)  # fmt: skip
from pacs.uids import clean_uid, uid_hash
from pacs.values import Json, text
from storage.archive import Archive
from storage.describe import key
from storage.index.exchange import performed_steps
from storage.index.tables import facilities, facility_key, instances
from storage.index.visibility import facility_visible
from storage.worklist import close_steps

BATCH = 10  # steps that one sweep counts anew
SECONDS_MIN = 10  # between two counts of one step; later a tenth of its age
DAYS_MAX = 30  # after which nobody counts any more
STEPS_MAX = 100  # of one study, that its summary adds up


@dataclass(frozen=True, slots=True)
class Summary:
    """A study as its devices tell it: whether a step still runs, how many instances were made, and how many of them
    can be seen here."""

    status: str
    announced: int
    present: int


def create(archive: Archive, facility: str, calling: str, sop_instance: str, attributes: Json) -> None:
    """N-CREATE: a device has begun a step. Raises Conflict, BadAttributes, InvalidUID, or NotFound for the
    facility."""
    uid, kept = clean_uid(sop_instance), begun(attributes)
    steps = scheduled_steps(kept)
    with archive.database.begin() as connection:
        owner = connection.execute(facility_key(facility)).scalar()
        if owner is None:
            raise NotFound(f"there is no facility {facility}")
        row = {
            "facility_id": owner, "sop_instance": uid, "calling": calling, "attributes": kept,
            "study_uid": key(text(steps[0], STUDY_UID)), "accession": key(text(steps[0], ACCESSION)),
            **_state(connection, owner, kept),
        }  # fmt: skip
        added = insert(performed_steps).values(row).on_conflict_do_nothing().returning(performed_steps.c.id)
        if connection.execute(added).scalar() is None:
            raise Conflict("there is such a performed procedure step already")
        close_steps(connection, owner, steps, "STARTED")


def change(archive: Archive, facility: str, sop_instance: str, changes: Json) -> list[str]:
    """N-SET: returns the tags that may not be set and were left as they are. Raises NotFound, Final after the step's
    end, BadAttributes or InvalidUID."""
    own = facility_key(facility).scalar_subquery()
    query = (
        select(performed_steps.c.id, performed_steps.c.facility_id, performed_steps.c.attributes)
        .where(
            performed_steps.c.facility_id == own, performed_steps.c.sop_instance == clean_uid(sop_instance)
        )
        .with_for_update()
    )
    with archive.database.begin() as connection:
        known = connection.execute(query).one_or_none()
        if known is None:
            raise NotFound("there is no such performed procedure step")
        kept, ignored = changed(known.attributes, changes)
        state = _state(connection, known.facility_id, kept)
        done = update(performed_steps).where(performed_steps.c.id == known.id)
        connection.execute(done.values(attributes=kept, updated_at=func.now(), **state))
        if state["status"] != IN_PROGRESS:
            close_steps(connection, known.facility_id, scheduled_steps(kept), state["status"])
    return ignored


def summarise(archive: Archive, principal: Principal, facility: str, study_uid: str) -> Summary | None:
    """A study of a facility as its steps tell it; None if there are none, or they may not be seen."""
    query = (
        select(performed_steps)
        .join(facilities, facilities.c.id == performed_steps.c.facility_id)
        .where(
            facility_visible(principal, performed_steps.c.facility_id),
            facilities.c.code == facility,
            performed_steps.c.study_uid == study_uid,
        )
        .order_by(performed_steps.c.id)
        .limit(STEPS_MAX)
    )
    with archive.database.begin() as connection:
        steps = list(connection.execute(query))
        if not steps:
            return None
        present = sum(
            s.present if s.present >= s.announced else _present(connection, s.facility_id, s.attributes)
            for s in steps
        )
    return Summary(_together({s.status for s in steps}), sum(s.announced for s in steps), present)


def recount(archive: Archive) -> int:
    """Count again what arrived of some steps that miss something; how many were counted. Two at once take different
    ones."""
    with archive.database.begin() as connection:
        due = connection.execute(
            select(performed_steps.c.id, performed_steps.c.facility_id, performed_steps.c.attributes)
            .where(*_due())
            .order_by(performed_steps.c.updated_at)
            .limit(BATCH)
            .with_for_update(skip_locked=True)
        ).all()
        for step in due:
            count = _present(connection, step.facility_id, step.attributes)
            noted = update(performed_steps).where(performed_steps.c.id == step.id)
            connection.execute(noted.values(present=count, updated_at=func.now()))
    return len(due)


def _due() -> tuple[ColumnElement[bool], ...]:
    """The longer something is missing, the more seldom it is looked for. The bound on `updated_at` lets the index leave
    out those that were given up."""
    age, since = (
        extract("epoch", func.now() - moment)
        for moment in (performed_steps.c.created_at, performed_steps.c.updated_at)
    )
    return (
        performed_steps.c.present < performed_steps.c.announced,
        performed_steps.c.updated_at > func.now() - timedelta(days=DAYS_MAX * 1.1),
        performed_steps.c.created_at > func.now() - timedelta(days=DAYS_MAX),
        performed_steps.c.updated_at < func.now() - timedelta(seconds=SECONDS_MIN),
        since * 10 > age,
    )


def _state(connection: Connection, facility_id: int, attributes: Json) -> dict[str, Any]:
    return {
        "status": text(attributes, STATUS),
        "announced": len(announced(attributes)),
        "present": _present(connection, facility_id, attributes),
    }


def _present(connection: Connection, facility_id: int, attributes: Json) -> int:
    """How many of the announced instances the archive shows, by the narrow rows."""
    hashes = [uid_hash(uid) for uid in announced(attributes)]
    query = select(func.count(instances.c.uid_hash.distinct())).where(
        instances.c.facility_id == facility_id,
        instances.c.uid_hash == any_(literal(hashes, ARRAY(BigInteger))),
    )
    return int(connection.execute(query).scalar_one()) if hashes else 0


def _together(statuses: set[str]) -> str:
    """Of several steps: running while one runs, completed if one was."""
    return next(status for status in (IN_PROGRESS, COMPLETED, DISCONTINUED) if status in statuses)
