"""Facilities, devices and users: who takes part."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from pacs.errors import NotFound, SettingError
from storage.archive import Archive
from storage.index.tables import devices, facilities

ROLES = ("store", "query", "retrieve", "worklist")  # what a device may ask for
LOCAL = "LOCAL"  # the facility of a fresh embedded start
_CODE = re.compile(r"[A-Z0-9][A-Z0-9_-]{0,15}\Z")


@dataclass(frozen=True, slots=True)
class RegisteredDevice:
    """A device that may call us: its AE title and the address or network that it calls from."""

    facility: str
    ae_title: str
    address: str
    description: str = ""
    roles: tuple[str, ...] = ROLES
    charset: str = ""  # defined terms, as in Specific Character Set, to use instead of what it declares
    syntaxes: tuple[str, ...] = ()  # transfer syntaxes to agree on, the preferred first
    certificate: str = ""  # SHA-256 of its client certificate, in hexadecimal digits
    associations_max: int | None = None
    emergency: bool = False

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> RegisteredDevice:
        lists: dict[str, Any] = {name: tuple(data[name]) for name in ("roles", "syntaxes") if name in data}
        return RegisteredDevice(**(data | lists))


DEMO_HOSPITALS = (
    RegisteredDevice("DEMO-EAST", "DEMO_EAST", "127.0.0.0/8"),
    RegisteredDevice("DEMO-WEST", "DEMO_WEST", "127.0.0.0/8"),
)


def add_demo_hospitals(archive: Archive) -> None:
    """The two hospitals of `make demo`, each with one device on this machine."""
    for hospital, name in zip(
        DEMO_HOSPITALS, ("Demo Hospital East 东院", "Demo Hospital West 西院"), strict=True
    ):
        add_facility(archive, hospital.facility, name)
        add_device(archive, hospital)


def add_facility(archive: Archive, code: str, name: str) -> None:
    """Register a facility; an existing one is left as it is. Raises SettingError for an unusable code."""
    if not _CODE.match(code):
        raise SettingError("a facility code has 1 to 16 of A-Z, 0-9, _ and -")
    with archive.database.begin() as connection:
        connection.execute(insert(facilities).values(code=code, name=name or code).on_conflict_do_nothing())


def list_facilities(archive: Archive) -> list[tuple[str, str]]:
    """(code, name) of all."""
    with archive.database.begin() as connection:
        query = select(facilities.c.code, facilities.c.name).order_by(facilities.c.code)
        return [(code, name) for code, name in connection.execute(query)]


def add_device(archive: Archive, device: RegisteredDevice) -> None:
    """Register a device, or change what is known of the one with this title and address; raises SettingError, or
    NotFound for its facility."""
    checked = _checked(device)
    with archive.database.begin() as connection:
        facility_id = connection.execute(
            select(facilities.c.id).where(facilities.c.code == device.facility)
        ).scalar()
        if facility_id is None:
            raise NotFound(f"there is no facility {device.facility}: tongying facility add")
        row = checked.to_json() | {"facility_id": facility_id}
        row.pop("facility")
        connection.execute(
            insert(devices)
            .values(row)
            .on_conflict_do_update(index_elements=["ae_title", "address"], set_=row)
        )


def _checked(device: RegisteredDevice) -> RegisteredDevice:
    """With its title and address as they are compared; raises SettingError."""
    try:
        network = ipaddress.ip_network(device.address, strict=False)
    except ValueError:
        raise SettingError(
            f"{device.address!r} is neither an IP address nor a network such as 10.1.0.0/16"
        ) from None
    title = device.ae_title.strip()
    if not 1 <= len(title) <= 16 or "\\" in title:
        raise SettingError("an AE title has 1 to 16 characters and no backslash (PS3.5 6.2)")
    if unknown := set(device.roles) - set(ROLES):
        raise SettingError(f"a role is one of {', '.join(ROLES)}, not {', '.join(sorted(unknown))}")
    return replace(device, ae_title=title, address=str(network))


def remove_device(archive: Archive, ae_title: str) -> int:
    """Remove a device by its title; returns how many addresses it had."""
    with archive.database.begin() as connection:
        return connection.execute(delete(devices).where(devices.c.ae_title == ae_title)).rowcount


def list_devices(archive: Archive) -> list[RegisteredDevice]:
    """All devices; the narrowest network first, because it decides."""
    known = [devices.c[field.name] for field in fields(RegisteredDevice) if field.name != "facility"]
    query = select(facilities.c.code.label("facility"), *known).join(
        facilities, facilities.c.id == devices.c.facility_id
    )
    with archive.database.begin() as connection:
        found = [RegisteredDevice.from_json(dict(row)) for row in connection.execute(query).mappings()]
    return sorted(found, key=lambda d: (-ipaddress.ip_network(d.address).prefixlen, d.ae_title, d.address))
