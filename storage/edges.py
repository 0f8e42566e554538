"""Edges: hospitals that run an Orthanc, registered by URL, and how far each is followed.

The rows say what is durable here: a place in the change log is written after the instances that the log told of up
to there are in our spool, so that a crash repeats and never skips.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, Select, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from pacs.errors import NotFound, SettingError
from storage.archive import Archive
from storage.database import Unavailable
from storage.index.exchange import edge_failures, edges, remotes
from storage.index.tables import facilities, facility_key
from storage.seals import PREFIX, WrongKey, reseal, seal, unseal

KIND = "orthanc"
_LOCK = 0x4F727468  # of the process that follows all edges; no other advisory lock of ours has this number
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
URL_CHARACTERS_MAX = 1024
TRIES_MAX = 10  # of one instance; then it is only shown
RETRY_SECONDS = 60  # after the first failure; four times as long after each further one
RETRY_SECONDS_MAX = 24 * 3600


@dataclass(frozen=True, slots=True)
class Edge:
    """A registered Orthanc. What it delivers belongs to `facility` and to nobody else."""

    name: str
    facility: str
    url: str
    username: str = ""
    password: str = ""
    id: int = 0
    facility_id: int = 0
    locked: str = ""  # why its password cannot be read

    def __repr__(self) -> str:
        return f"Edge({self.name!r}, {self.facility!r}, {self.url!r})"  # the password stays out of logs


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an edge is followed."""

    change: int = 0  # sequence number in its change log; all up to it is durable here
    mark: str = ""  # what stands under that number
    listed: int | None = (
        0  # instances that the full comparison under way went through; None: none is under way
    )
    anchor: str = ""  # the last of them
    pulled: int = 0  # instances since it was registered


@dataclass(frozen=True, slots=True)
class Status:
    """An edge as an operator sees it."""

    edge: Edge
    progress: Progress
    state: str  # new, following, away, refused, blocked
    error: str
    failures: int  # instances that could not be pulled
    updated_at: datetime


def checked_url(url: str) -> str:
    """A URL that an Orthanc may have, ending in a slash; raises SettingError. Credentials have options of their own,
    because a URL is shown and logged."""
    try:
        parts = urlsplit(url.strip())
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or len(url) > URL_CHARACTERS_MAX:
        raise SettingError("the URL of an Orthanc is http://host:port/ or https://host/path/")
    if parts.username is not None or parts.query or parts.fragment:
        raise SettingError("the URL of an Orthanc holds no user, password, query or fragment: use --username")
    return url.strip().rstrip("/") + "/"


def add_edge(archive: Archive, edge: Edge) -> Edge:
    """Register an Orthanc, or change what is known of the one with this name. Another URL or facility begins anew.
    Raises SettingError, or NotFound for its facility."""
    if not _NAME.match(edge.name):
        raise SettingError("a name has 1 to 64 letters, digits, dots, _ and -")
    row: dict[str, object] = {
        "url": checked_url(edge.url),
        "username": edge.username,
        "password": seal(archive.settings, edge.password, _purpose(edge.name, checked_url(edge.url))),
    }
    with archive.database.begin() as connection:
        row |= {"facility_id": _facility(connection, edge.facility)}
        known = connection.execute(select(remotes).where(remotes.c.name == edge.name)).one_or_none()
        if known is None:
            connection.execute(insert(remotes).values(row | {"name": edge.name, "kind": KIND}))
        elif known.kind != KIND:
            raise SettingError(f"{edge.name} is the name of another remote")
        elif (known.url, known.facility_id) != (row["url"], row["facility_id"]):
            connection.execute(delete(remotes).where(remotes.c.id == known.id))
            connection.execute(insert(remotes).values(row | {"name": edge.name, "kind": KIND}))
        else:
            connection.execute(update(remotes).where(remotes.c.id == known.id).values(row))
        _begin_rows(connection)
    return find_edge(archive, edge.name)


def _facility(connection: Connection, code: str) -> int:
    found = connection.execute(facility_key(code)).scalar()
    if found is None:
        raise NotFound(f"there is no facility {code}: tongying facility add")
    return int(found)


def _begin_rows(connection: Connection) -> None:
    """A row of `edges` for each that has none: a full comparison comes first."""
    missing = select(remotes.c.id, remotes.c.facility_id, text("0")).where(
        remotes.c.kind == KIND, remotes.c.id.not_in(select(edges.c.remote_id))
    )
    connection.execute(
        insert(edges).from_select(["remote_id", "facility_id", "listed"], missing).on_conflict_do_nothing()
    )


def remove_edge(archive: Archive, name: str) -> None:
    """Forget an Orthanc; what it delivered stays. Raises NotFound."""
    query = delete(remotes).where(remotes.c.name == name, remotes.c.kind == KIND)
    with archive.database.begin() as connection:
        if not connection.execute(query).rowcount:
            raise NotFound(f"there is no Orthanc {name}: tongying orthanc list")


def find_edge(archive: Archive, name: str) -> Edge:
    """By its name; raises NotFound."""
    with archive.database.begin() as connection:
        row = connection.execute(_edges().where(remotes.c.name == name)).one_or_none()
    if row is None:
        raise NotFound(f"there is no Orthanc {name}: tongying orthanc list")
    return _edge(archive, row)


def list_edges(archive: Archive) -> list[Status]:
    """All Orthancs by name, also those that a row of `remotes` alone tells of."""
    with archive.database.begin() as connection:
        _begin_rows(connection)
        rows = connection.execute(_edges().where(remotes.c.active).order_by(remotes.c.name)).all()
    return [
        Status(
            _edge(archive, row),
            Progress(row.change, row.mark, row.listed, row.anchor, row.pulled),
            row.state, row.error, row.failures, row.updated_at,
        )
        for row in rows
    ]  # fmt: skip


def _edges() -> Select[Any]:
    failed = select(func.count()).where(edge_failures.c.remote_id == remotes.c.id).scalar_subquery()
    return (
        select(
            remotes.c.name, facilities.c.code, remotes.c.url, remotes.c.username, remotes.c.password,
            remotes.c.id, remotes.c.facility_id, remotes.c.change, edges.c.mark, edges.c.listed, edges.c.anchor,
            edges.c.pulled, edges.c.state, edges.c.error, edges.c.updated_at, failed.label("failures"),
        )
        .join(facilities, facilities.c.id == remotes.c.facility_id)
        .join(edges, edges.c.remote_id == remotes.c.id)
        .where(remotes.c.kind == KIND)
    )  # fmt: skip


def _edge(archive: Archive, row: Any) -> Edge:
    try:
        password, locked = unseal(archive.settings, row.password, _purpose(row.name, row.url)), ""
    except WrongKey:
        password, locked = "", "its password was sealed with another TONGYING_SECRET_KEY: add it again"
    return Edge(row.name, row.code, row.url, row.username, password, row.id, row.facility_id, locked)


def _purpose(name: str, url: str) -> str:
    """A password opens for the address that it was given for: whoever changes that in the database does not get it."""
    return f"{KIND} {name} {url}"


def seal_passwords(archive: Archive) -> int:
    """Seal passwords that stand open in the table, from before there were seals; how many."""
    opened = select(remotes.c.id, remotes.c.name, remotes.c.url, remotes.c.password).where(
        remotes.c.password != "", remotes.c.password.not_like(f"{PREFIX}%")
    )
    with archive.database.begin() as connection:
        rows = connection.execute(opened.with_for_update()).all()
        for row in rows:
            sealed = seal(archive.settings, row.password, _purpose(row.name, row.url))
            connection.execute(update(remotes).where(remotes.c.id == row.id).values(password=sealed))
    return len(rows)


def reseal_passwords(archive: Archive) -> int:
    """Seal all with the key of now; how many. Those that no key opens stay as they are."""
    rows_of = select(remotes.c.id, remotes.c.name, remotes.c.url, remotes.c.password).where(
        remotes.c.password != ""
    )
    done = 0
    with archive.database.begin() as connection:
        for row in connection.execute(rows_of.with_for_update()).all():
            with contextlib.suppress(WrongKey):
                sealed = reseal(archive.settings, row.password, _purpose(row.name, row.url))
                connection.execute(update(remotes).where(remotes.c.id == row.id).values(password=sealed))
                done += 1
    return done


def save_progress(archive: Archive, edge: Edge, progress: Progress) -> None:
    """Note how far an edge is followed: call it after what it told of is durable."""
    values = {
        "mark": progress.mark, "listed": progress.listed, "anchor": progress.anchor, "pulled": progress.pulled,
        "updated_at": func.now(),
    }  # fmt: skip
    with archive.database.begin() as connection:
        connection.execute(update(remotes).where(remotes.c.id == edge.id).values(change=progress.change))
        connection.execute(update(edges).where(edges.c.remote_id == edge.id).values(values))


def save_state(archive: Archive, edge: Edge, state: str, error: str) -> None:
    """Note how an edge does, for the operator."""
    values = {"state": state, "error": error, "updated_at": func.now()}
    with archive.database.begin() as connection:
        connection.execute(update(edges).where(edges.c.remote_id == edge.id).values(values))


def add_failure(archive: Archive, edge: Edge, instance: str, error: str) -> None:
    """Note an instance that could not be pulled; the time of its next try grows with each."""
    statement = insert(edge_failures).values(
        remote_id=edge.id, facility_id=edge.facility_id, instance=instance, error=error,
        not_before=func.now() + timedelta(seconds=RETRY_SECONDS),
    )  # fmt: skip
    tries = edge_failures.c.tries
    wait = func.least(RETRY_SECONDS_MAX, RETRY_SECONDS * func.power(4, tries))
    statement = statement.on_conflict_do_update(
        index_elements=["remote_id", "instance"],
        set_={
            "tries": func.least(tries + 1, TRIES_MAX),
            "error": statement.excluded.error,
            "not_before": func.now() + wait * text("interval '1 second'"),
        },
    )
    with archive.database.begin() as connection:
        connection.execute(statement)


def due_failures(archive: Archive, edge: Edge, limit: int) -> list[str]:
    """Instances to try again now, by Orthanc's own identifiers."""
    query = (
        select(edge_failures.c.instance)
        .where(
            edge_failures.c.remote_id == edge.id,
            edge_failures.c.not_before <= func.now(),
            edge_failures.c.tries < TRIES_MAX,
        )
        .order_by(edge_failures.c.not_before)
        .limit(limit)
    )
    with archive.database.begin() as connection:
        return list(connection.execute(query).scalars())


def list_failures(archive: Archive, edge: Edge, limit: int) -> list[tuple[str, str]]:
    """(Orthanc's identifier, what went wrong) of instances that could not be pulled."""
    query = select(edge_failures.c.instance, edge_failures.c.error).where(
        edge_failures.c.remote_id == edge.id
    )
    with archive.database.begin() as connection:
        return [
            (row.instance, row.error) for row in connection.execute(query.order_by("instance").limit(limit))
        ]


def clear_failures(archive: Archive, edge: Edge, instances: Sequence[str]) -> None:
    """Forget failures of instances that are here now, or are gone there."""
    query = delete(edge_failures).where(
        edge_failures.c.remote_id == edge.id, edge_failures.c.instance == func.any(list(instances))
    )
    with archive.database.begin() as connection:
        connection.execute(query)


def clear_due_failures(archive: Archive, edge: Edge, instances: Sequence[str]) -> None:
    """Forget those of these failures that are due: they were tried again, and did not fail again."""
    query = delete(edge_failures).where(
        edge_failures.c.remote_id == edge.id,
        edge_failures.c.instance == func.any(list(instances)),
        edge_failures.c.not_before <= func.now(),
    )
    with archive.database.begin() as connection:
        connection.execute(query)


class Leadership:
    """The right to follow all edges: of one process at a time. Without it nothing would break, and everything would be
    pulled twice. It is lost with its connection, and then taken anew by whoever comes first."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._connection: Connection | None = None

    def held(self) -> bool:
        """Whether this process has it now; tries to take it if not. Raises what a database that is away raises."""
        if self._connection is None:
            connection = self._archive.database.engine.connect()
            connection.execution_options(isolation_level="AUTOCOMMIT")
            if not connection.execute(select(func.pg_try_advisory_lock(_LOCK))).scalar_one():
                connection.close()
                return False
            self._connection = connection
        try:
            self._connection.execute(select(1))
        except Unavailable:
            self._connection.invalidate()
            self.close()
            return self.held()
        return True

    def close(self) -> None:
        """Give it up."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()  # the lock goes with the session, which must not return to the pool
            connection.close()
