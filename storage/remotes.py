"""Remotes: the DICOM nodes and hospitals' Orthancs that we call."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from cryptography import x509
from sqlalchemy import ColumnElement, Connection, Select, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from pacs.addresses import never_called
from pacs.errors import Conflict, NotFound, SettingError
from pacs.uids import is_uid
from storage.archive import Archive
from storage.devices import fingerprint
from storage.facilities import LOCAL
from storage.index.exchange import remotes
from storage.index.tables import facilities, facility_key

DICOM, ORTHANC = "dicom", "orthanc"
NAME_CHARACTERS_MAX = 64
ASSOCIATIONS_MAX = 32
CA_CHARACTERS_MAX = 64 * 1024
_HOST = re.compile(r"[A-Za-z0-9._:%-]{1,255}\Z")  # a name, or an address of IPv4 or IPv6


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
    ca: str = ""  # PEM: whom its certificate is believed from; empty: whom this machine believes
    certificate: str = ""  # SHA-256 of the one certificate that it may show, in hexadecimal digits
    syntaxes: tuple[str, ...] = ()  # transfer syntaxes to propose; all if empty
    associations_max: int = 2  # at once
    notify: bool = False  # it is told by Instance Availability Notification, and is sent no images by rules
    active: bool = True
    id: int = 0  # the row's; 0 before it is registered


def add_remote(archive: Archive, remote: Remote) -> None:
    """Register a DICOM node, or change the one of this name; raises SettingError, or NotFound for its facility."""
    with archive.database.begin() as connection:
        row = _row(connection, _checked(remote))
        statement = insert(remotes).values(row)
        same = remotes.c.kind == DICOM
        done = statement.on_conflict_do_update(index_elements=["name"], set_=row, where=same)
        if connection.execute(done.returning(remotes.c.id)).first() is None:
            raise SettingError(f"{remote.name} is the name of an Orthanc")


def new_remote(archive: Archive, remote: Remote) -> Remote:
    """Register a DICOM node under a name that is free; raises Conflict, SettingError, NotFound."""
    checked = _checked(remote)
    with archive.database.begin() as connection:
        statement = insert(remotes).values(_row(connection, checked)).on_conflict_do_nothing()
        made = connection.execute(statement.returning(remotes.c.id)).scalar()
    if made is None:
        raise Conflict(f"there is a remote {checked.name} already")
    return replace(checked, id=made)


def change_remote(archive: Archive, remote_id: int, changes: Mapping[str, Any]) -> Remote:
    """Change the fields named; raises NotFound, Conflict, SettingError."""
    with archive.database.begin() as connection:
        query = _all().where(remotes.c.id == remote_id, remotes.c.kind == DICOM).with_for_update(of=remotes)
        found = connection.execute(query).mappings().one_or_none()
        if found is None:
            raise NotFound("there is no such remote")
        changed = _checked(replace(_remote(dict(found)), **changes))
        twin = select(remotes.c.id).where(remotes.c.name == changed.name, remotes.c.id != remote_id)
        if connection.execute(twin).first():
            raise Conflict(f"there is a remote {changed.name} already")
        row = _row(connection, changed)
        connection.execute(update(remotes).where(remotes.c.id == remote_id).values(row))
    return changed


def _row(connection: Connection, remote: Remote) -> dict[str, Any]:
    """As it stands in the table; raises NotFound for its facility."""
    row = {f.name: getattr(remote, f.name) for f in fields(Remote) if f.name not in ("id", "facility")}
    known = facility_key(remote.facility)
    facility_id = connection.execute(known).scalar() if remote.facility.isprintable() else None
    if facility_id is None:
        raise NotFound(f"there is no facility {remote.facility[:16]}: tongying facility add")
    return row | {"syntaxes": list(remote.syntaxes), "facility_id": facility_id}


def _checked(remote: Remote) -> Remote:
    name, title, host = remote.name.strip(), remote.ae_title.strip(), remote.host.strip()
    if not 1 <= len(name) <= NAME_CHARACTERS_MAX or not name.isprintable():
        raise SettingError(f"a remote's name has 1 to {NAME_CHARACTERS_MAX} characters")
    if not 1 <= remote.associations_max <= ASSOCIATIONS_MAX:
        raise SettingError(f"1 to {ASSOCIATIONS_MAX} associations at once are possible")
    if unknown := [s for s in remote.syntaxes if not is_uid(s)]:
        raise SettingError(f"{unknown[0]!r} is not the UID of a transfer syntax")
    if not 1 <= len(title) <= 16 or "\\" in title or not title.isascii() or not title.isprintable():
        raise SettingError("an AE title has 1 to 16 ASCII characters and no backslash (PS3.5 6.2)")
    if not _HOST.match(host) or remote.port is None or not 0 < remote.port < 65536:
        raise SettingError("a DICOM node needs a host and a port from 1 to 65535")
    if never_called(host):
        raise SettingError(f"{host} is a link-local, multicast or unspecified address, which is never called")
    return replace(remote, name=name, ae_title=title, host=host, ca=_ca(remote.ca),
                   certificate=fingerprint(remote.certificate), tls=_tls(remote))  # fmt: skip


def _tls(remote: Remote) -> bool:
    """Whom to believe is worth nothing where it is never asked."""
    if (remote.ca or remote.certificate) and not remote.tls:
        raise SettingError("a CA or a certificate is for a remote that is called over TLS")
    if remote.ca and remote.certificate:
        raise SettingError("a remote is believed by its CA or by its own certificate, not by both")
    return remote.tls


def _ca(written: str) -> str:
    """Certificates as PEM, each of which can be read; raises SettingError."""
    if len(written) > CA_CHARACTERS_MAX:
        raise SettingError(f"the certificates of CAs have at most {CA_CHARACTERS_MAX} characters")
    try:
        x509.load_pem_x509_certificates(written.encode()) if written.strip() else []
    except ValueError:
        raise SettingError("the CA is no PEM certificate") from None
    return written.strip()


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
        return [_remote(dict(row)) for row in rows]


def _remote(row: Mapping[str, Any]) -> Remote:
    return Remote(**{**row, "syntaxes": tuple(row["syntaxes"])})


def _all() -> Select[Any]:
    own = [remotes.c[f.name] for f in fields(Remote) if f.name != "facility"]
    return select(facilities.c.code.label("facility"), *own).join(
        facilities, facilities.c.id == remotes.c.facility_id
    )
