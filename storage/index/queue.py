"""The queue of what is sent, as an operator sees it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from pacs.access import Principal
from storage.index.exchange import remotes, sends
from storage.index.tables import facilities, series, studies
from storage.index.visibility import visible

COLUMNS = (
    sends.c.id, remotes.c.name.label("remote"), facilities.c.code.label("facility"), studies.c.study_uid,
    series.c.series_uid, sends.c.state, sends.c.total, sends.c.sent, sends.c.priority, sends.c.tries,
    sends.c.not_before, sends.c.error, sends.c.created_at, sends.c.updated_at,
)  # fmt: skip


def find_sends(
    connection: Connection, principal: Principal, *, remote: str, state: str, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Of a remote and in a state, or all, from below the id `before`."""
    query = (
        select(*COLUMNS)
        .join(remotes, remotes.c.id == sends.c.remote_id)
        .join(facilities, facilities.c.id == sends.c.facility_id)
        .join(series, series.c.id == sends.c.series_pk)
        .join(studies, studies.c.id == series.c.study_pk)
        .where(visible(principal))
        .order_by(sends.c.id.desc())
        .limit(limit)
    )
    if remote:
        query = query.where(remotes.c.name == remote)
    if state:
        query = query.where(sends.c.state == state)
    if before is not None:
        query = query.where(sends.c.id < before)
    return [dict(row) for row in connection.execute(query).mappings()]
