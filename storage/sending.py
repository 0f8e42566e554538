"""The queue of what is sent to remotes: a row is a series, or what one pack holds of it.

A sender claims rows for a while (a lease) and renews that; the rows of one that was killed are due again when it ends.
So each row is sent at least once, and what was delivered twice is the receiver's to recognise by its UID.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, case, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from pacs.access import Principal, Role
from pacs.errors import NotFound
from storage.archive import Archive
from storage.index.exchange import remotes, sends
from storage.index.queue import find_sends
from storage.index.tables import facilities
from storage.index.visibility import facility_visible
from storage.location import Located, find_series, locate_of
from storage.remotes import remote_named

LEASE_SECONDS = 30
RETRY_SECONDS = (
    10,
    30,
    120,
    600,
    3600,
)  # after the first failure, the second, …; the last one again and again
GIVE_UP_DAYS = 3  # after this long nothing is tried again
KEPT_DAYS = 30  # of what is done
REFUSALS_MAX = 4  # times that the receiver refuses an instance for what it is
ERROR_CHARACTERS_MAX = 500
OPEN = ("waiting", "running")


@dataclass(frozen=True, slots=True)
class Lane:
    """Rows that wait for one remote and belong to one facility; lanes take turns."""

    remote_id: int
    facility_id: int
    priority: int  # of its most urgent row


@dataclass(frozen=True, slots=True)
class Send:
    """A claimed row."""

    id: int
    facility: str
    series_pk: int
    pack_id: uuid.UUID | None
    total: int
    sent: int  # of the instances in the order of delivery, so many from the first on are there
    tries: int  # with this one
    priority: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Of several rows together: instances, and rows by state."""

    total: int
    sent: int
    states: dict[str, int]
    error: str  # one of those that there are

    @property
    def over(self) -> bool:
        return not any(self.states.get(state) for state in OPEN)


def enqueue(archive: Archive, principal: Principal, study_uid: str, remote: str, series_uid: str = "", *,
            priority: int = 0) -> list[int]:  # fmt: skip
    """Queue a study's series, or one; the rows' numbers. What was sent before is sent again.

    Raises NotFound for a study, series or remote that is not there.
    """
    found = find_series(archive, principal, study_uid, series_uid)
    to = remote_named(archive, remote)
    with archive.database.begin() as connection:
        owners = dict(connection.execute(select(facilities.c.code, facilities.c.id)).all())
        rows = [
            {"facility_id": owners[one.facility], "remote_id": to.id, "series_pk": one.series_pk, "pack_id": None,
             "total": one.instance_count, "priority": priority}
            for one in sorted(found, key=lambda one: one.series_pk)
        ]  # fmt: skip
        statement = insert(sends).values(rows)
        anew = statement.on_conflict_do_update(
            index_elements=["remote_id", "series_pk", "pack_id"],
            set_={
                "state": "waiting", "tries": 0, "sent": 0, "error": "", "not_before": func.now(),
                "created_at": func.now(), "updated_at": func.now(), "priority": statement.excluded.priority,
                "total": statement.excluded.total,
            },
        )  # fmt: skip
        return list(connection.execute(anew.returning(sends.c.id)).scalars())


_LANES = text("""
    WITH RECURSIVE lane AS (
        (SELECT remote_id, facility_id FROM sends WHERE state IN ('waiting', 'running')
         ORDER BY remote_id, facility_id LIMIT 1)
        UNION ALL
        SELECT next.* FROM lane CROSS JOIN LATERAL (
            SELECT s.remote_id, s.facility_id FROM sends s
            WHERE s.state IN ('waiting', 'running')
              AND (s.remote_id, s.facility_id) > (lane.remote_id, lane.facility_id)
            ORDER BY s.remote_id, s.facility_id LIMIT 1) next
    )
    SELECT lane.remote_id, lane.facility_id, due.priority
    FROM lane JOIN remotes ON remotes.id = lane.remote_id AND remotes.active AND remotes.kind = :kind
    CROSS JOIN LATERAL (
        SELECT s.priority FROM sends s
        WHERE s.state IN ('waiting', 'running') AND s.remote_id = lane.remote_id AND s.facility_id = lane.facility_id
          AND s.not_before <= now()
        ORDER BY s.priority, s.not_before LIMIT 1) due
    """)

_IS_OPEN = text(
    "sends.state IN ('waiting', 'running')"
)  # as the index says it: parameters would not be seen to fit


def lanes(archive: Archive, kind: str = "dicom") -> list[Lane]:
    """The lanes in which rows are due. Costs as much as there are lanes, however many rows wait in each."""
    with archive.database.begin() as connection:
        return [Lane(*row) for row in connection.execute(_LANES, {"kind": kind})]


def claim(archive: Archive, lane: Lane, rows_max: int) -> list[Send]:
    """Take the most urgent due rows of a lane for LEASE_SECONDS; [] where others were faster."""
    due = (
        select(sends.c.id)
        .where(
            _IS_OPEN,
            sends.c.remote_id == lane.remote_id,
            sends.c.facility_id == lane.facility_id,
            sends.c.not_before <= func.now(),
        )
        .order_by(sends.c.priority, sends.c.not_before)
        .limit(rows_max)
        .with_for_update(skip_locked=True)
    )
    claimed = (
        update(sends)
        .where(sends.c.id.in_(due), facilities.c.id == sends.c.facility_id)
        .values(state="running", tries=sends.c.tries + 1, not_before=_in(LEASE_SECONDS), updated_at=func.now())
        .returning(
            sends.c.id, facilities.c.code, sends.c.series_pk, sends.c.pack_id, sends.c.total, sends.c.sent,
            sends.c.tries, sends.c.priority,
        )
    )  # fmt: skip
    with archive.database.begin() as connection:
        found = [Send(*row) for row in connection.execute(claimed)]
    return sorted(found, key=lambda send: (send.priority, send.id))


def locate(archive: Archive, send: Send) -> list[Located]:
    """The instances of a claimed row; raises NotFound."""
    principal = Principal("sender", Role.DEVICE, send.facility)
    return locate_of(archive, principal, send.series_pk, send.pack_id)


def renew(archive: Archive, ids: Collection[int]) -> None:
    """Prolong the lease of rows that are being sent."""
    _change(archive, ids, not_before=_in(LEASE_SECONDS))


def progressed(archive: Archive, send_id: int, *, total: int, sent: int) -> None:
    """Note how far a row is, and prolong its lease."""
    _change(archive, [send_id], total=total, sent=sent, not_before=_in(LEASE_SECONDS))


def finish(archive: Archive, send_id: int, sent: int) -> None:
    """All of it was delivered."""
    _change(archive, [send_id], state="done", total=sent, sent=sent, error="")


def release(archive: Archive, ids: Collection[int], error: str = "") -> None:
    """Give rows back untried: they are due at once, but for those too old, which are given up."""
    values: dict[str, Any] = {
        "state": _unless_too_old("waiting"),
        "tries": func.greatest(sends.c.tries - 1, 0),
    }
    if error:
        values["error"] = error[:ERROR_CHARACTERS_MAX]
    _change(archive, ids, not_before=func.now(), **values)


def postpone(archive: Archive, send: Send, error: str, *, sent: int, refused: bool) -> None:
    """It failed: try again later, from instance `sent` on. `refused`: the receiver does not want it as it is, so
    that trying for days has no use."""
    later = _in(RETRY_SECONDS[min(send.tries, len(RETRY_SECONDS)) - 1])
    state: Any = "failed" if refused and send.tries >= REFUSALS_MAX else _unless_too_old("waiting")
    _change(archive, [send.id], state=state, sent=sent, not_before=later, error=error[:ERROR_CHARACTERS_MAX])


def progress(archive: Archive, ids: Iterable[int]) -> Progress:
    """How far these rows are."""
    query: Select[Any] = select(sends.c.state, sends.c.total, sends.c.sent, sends.c.error)
    with archive.database.begin() as connection:
        rows = connection.execute(query.where(sends.c.id.in_(list(ids)))).all()
    states: dict[str, int] = {}
    for row in rows:
        states[row.state] = states.get(row.state, 0) + 1
    error = next((row.error for row in rows if row.error), "")
    return Progress(sum(r.total for r in rows), sum(r.sent for r in rows), states, error)


def list_sends(
    archive: Archive, principal: Principal, *, remote: str = "", state: str = "", before: int | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:  # fmt: skip
    """Rows of the queue that the principal may see, the newest first, each with the reason of its last failure."""
    with archive.database.begin() as connection:
        return find_sends(connection, principal, remote=remote, state=state, before=before, limit=limit)


def retry(archive: Archive, principal: Principal, send_id: int) -> None:
    """Try a row at once, also one that was given up or is done; raises NotFound."""
    values = {"state": "waiting", "tries": 0, "error": "", "not_before": func.now(), "created_at": func.now()}
    _change_own(archive, principal, send_id, sends.c.state != "running", values | {"sent": _unless_done()})


def cancel(archive: Archive, principal: Principal, send_id: int) -> None:
    """Give a row up. Of one that is being sent now, what is under way may still arrive. Raises NotFound."""
    values = {"state": "failed", "error": f"cancelled by {principal.name}"[:ERROR_CHARACTERS_MAX]}
    _change_own(archive, principal, send_id, sends.c.state.in_(OPEN), values)


def _unless_done() -> ColumnElement[int]:
    return case((sends.c.state == "done", 0), else_=sends.c.sent)


def _change_own(
    archive: Archive, principal: Principal, send_id: int, fits: ColumnElement[bool], values: dict[str, Any]
) -> None:
    """A row that is there and is not in a state for it stays as it is: it becomes what was asked for by itself."""
    mine = (sends.c.id == send_id, facility_visible(principal, sends.c.facility_id))
    with archive.database.begin() as connection:
        if connection.execute(select(sends.c.id).where(*mine).with_for_update()).first() is None:
            raise NotFound("there is no such row in the queue")
        connection.execute(update(sends).where(*mine, fits).values(updated_at=func.now(), **values))


@dataclass(frozen=True, slots=True)
class Queue:
    """What a remote's queue holds: rows by state, and the error of one that is not done."""

    states: dict[str, int]
    error: str


def queues(archive: Archive) -> dict[str, Queue]:
    """Remote → its queue, for an operator."""
    query = (
        select(remotes.c.name, sends.c.state, func.count(), func.max(sends.c.error))
        .join(remotes, remotes.c.id == sends.c.remote_id)
        .group_by(remotes.c.name, sends.c.state)
        .order_by(remotes.c.name, sends.c.state)
    )
    found: dict[str, Queue] = {}
    with archive.database.begin() as connection:
        for name, state, number, error in connection.execute(query):
            before = found.get(name, Queue({}, ""))
            found[name] = Queue({**before.states, state: number}, before.error or error)
    return found


def forget(archive: Archive) -> int:
    """Remove rows that were done long ago; how many."""
    old = (sends.c.state == "done") & (sends.c.updated_at < func.now() - timedelta(days=KEPT_DAYS))
    with archive.database.begin() as connection:
        return connection.execute(delete(sends).where(old)).rowcount


def _in(seconds: float) -> ColumnElement[datetime]:
    moment: ColumnElement[datetime] = func.now() + timedelta(seconds=seconds)
    return moment


def _unless_too_old(state: str) -> ColumnElement[str]:
    return case((sends.c.created_at < func.now() - timedelta(days=GIVE_UP_DAYS), "failed"), else_=state)


def _change(archive: Archive, ids: Collection[int], **values: Any) -> None:
    """Of rows that are claimed still: one that was queued anew meanwhile stays as it is."""
    if ids:
        statement = update(sends).where(sends.c.id.in_(list(ids)), sends.c.state == "running")
        with archive.database.begin() as connection:
            connection.execute(statement.values(updated_at=func.now(), **values))
