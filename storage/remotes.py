"""Remotes: the DICOM nodes and hospitals' Orthancs that we call."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, select
from sqlalchemy.dialects.postgresql import insert

from pacs.errors import NotFound, SettingError
from pacs.uids import is_uid
from storage.archive import Archive
from storage.index.exchange import remotes
from storage.index.tables import facilities
from storage.registry import LOCAL

DICOM, ORTHANC = "dicom", "orthanc"
NAME_CHARACTERS_MAX = 64
ASSOCIATIONS_MAX = 32


@dataclass(frozen=True, slots=True)
class Remote:
    """A system that we call. `name` is ours, unique in the region; the AE title is its own."""

    name: str
    ae_title: str = ""
    host: str = ""
    port: int | None = None
    facility: str = LOCAL
    kind: str = DICOM
    tls: bool = False
    url: str = ""  # of an Orthanc
    username: str = ""
    password: str = field(default="", repr=False)
    syntaxes: tuple[str, ...] = ()  # transfer syntaxes to propose; all if empty
    associations_max: int = 2  # at once
    notify: bool = False  # it is told by Instance Availability Notification, and is sent no images by rules
    active: bool = True
    id: int = 0  # the row's; 0 before it is registered


def add_remote(archive: Archive, remote: Remote) -> None:
    """Register a remote, or change the one of this name; raises SettingError, or NotFound for its facility."""
    checked = _checked(remote)
    row = {f.name: getattr(checked, f.name) for f in fields(Remote) if f.name not in ("id", "facility")}
    row["syntaxes"] = list(checked.syntaxes)
    with archive.database.begin() as connection:
        row["facility_id"] = connection.execute(
            select(facilities.c.id).where(facilities.c.code == remote.facility)
        ).scalar()
        if row["facility_id"] is None:
            raise NotFound(f"there is no facility {remote.facility}: tongying facility add")
        connection.execute(
            insert(remotes).values(row).on_conflict_do_update(index_elements=["name"], set_=row)
        )


def _checked(remote: Remote) -> Remote:
    name, title, host = remote.name.strip(), remote.ae_title.strip(), remote.host.strip()
    if not 1 <= len(name) <= NAME_CHARACTERS_MAX:
        raise SettingError(f"a remote's name has 1 to {NAME_CHARACTERS_MAX} characters")
    if not 1 <= remote.associations_max <= ASSOCIATIONS_MAX:
        raise SettingError(f"1 to {ASSOCIATIONS_MAX} associations at once are possible")
    if unknown := [s for s in remote.syntaxes if not is_uid(s)]:
        raise SettingError(f"{unknown[0]!r} is not the UID of a transfer syntax")
    if remote.kind == DICOM:
        if not 1 <= len(title) <= 16 or "\\" in title or not title.isascii():
            raise SettingError("an AE title has 1 to 16 ASCII characters and no backslash (PS3.5 6.2)")
        if not host or remote.port is None or not 0 < remote.port < 65536:
            raise SettingError("a DICOM node needs a host and a port from 1 to 65535")
    return replace(remote, name=name, ae_title=title, host=host)


def remove_remote(archive: Archive, name: str) -> bool:
    """Forget a remote with its rules and its queue; whether there was one."""
    with archive.database.begin() as connection:
        return connection.execute(delete(remotes).where(remotes.c.name == name)).rowcount > 0


def list_remotes(archive: Archive, facility: str | None = None) -> list[Remote]:
    """Those of a facility, or of all, by name."""
    return _found(archive, facilities.c.code == facility if facility is not None else None)


def remote_named(archive: Archive, name: str) -> Remote:
    """By our name; raises NotFound."""
    found = _found(archive, remotes.c.name == name)
    if not found:
        raise NotFound(f"there is no remote {name}: tongying remote add")
    return found[0]


def remote_called(archive: Archive, facility: str, ae_title: str) -> Remote:
    """A facility's active DICOM node by its AE title, as a C-MOVE names it; raises NotFound."""
    found = _found(
        archive,
        (remotes.c.ae_title == ae_title.strip())
        & (facilities.c.code == facility)
        & (remotes.c.kind == DICOM)
        & remotes.c.active,
    )
    if not found:
        raise NotFound(f"{facility} has no remote with the AE title {ae_title.strip()}: tongying remote add")
    return found[0]


def remotes_by_id(archive: Archive, ids: set[int]) -> dict[int, Remote]:
    """Those of these rows that are there still."""
    return {r.id: r for r in _found(archive, remotes.c.id.in_(ids))} if ids else {}


def _found(archive: Archive, condition: ColumnElement[bool] | None) -> list[Remote]:
    with archive.database.begin() as connection:
        statement = _all() if condition is None else _all().where(condition)
        rows = connection.execute(statement.order_by(remotes.c.name)).mappings()
        return [Remote(**{**row, "syntaxes": tuple(row["syntaxes"])}) for row in rows]


def _all() -> Select[Any]:
    own = [remotes.c[f.name] for f in fields(Remote) if f.name != "facility"]
    return select(facilities.c.code.label("facility"), *own).join(
        facilities, facilities.c.id == remotes.c.facility_id
    )
