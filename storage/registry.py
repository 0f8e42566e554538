"""Facilities, devices and users: who takes part."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import asdict, dataclass

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from pacs.errors import NotFound, SettingError
from storage.archive import Archive
from storage.index.tables import devices, facilities

LOCAL = "LOCAL"  # the facility of a fresh embedded start
_CODE = re.compile(r"[A-Z0-9][A-Z0-9_-]{0,15}\Z")


@dataclass(frozen=True, slots=True)
class RegisteredDevice:
    """A device that may call us: its AE title and the address or network that it calls from."""

    facility: str
    ae_title: str
    address: str

    def to_json(self) -> dict[str, str]:
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, str]) -> RegisteredDevice:
        return RegisteredDevice(**data)


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
        add_device(archive, hospital.facility, hospital.ae_title, hospital.address)


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


def add_device(archive: Archive, facility: str, ae_title: str, address: str, description: str = "") -> None:
    """Register a device; raises SettingError or NotFound (the facility)."""
    try:
        network = ipaddress.ip_network(address, strict=False)
    except ValueError:
        raise SettingError(
            f"{address!r} is neither an IP address nor a network such as 10.1.0.0/16"
        ) from None
    if not 1 <= len(ae_title.strip()) <= 16 or "\\" in ae_title:
        raise SettingError("an AE title has 1 to 16 characters and no backslash (PS3.5 6.2)")
    with archive.database.begin() as connection:
        facility_id = connection.execute(
            select(facilities.c.id).where(facilities.c.code == facility)
        ).scalar()
        if facility_id is None:
            raise NotFound(f"there is no facility {facility}: tongying facility add")
        row = {"facility_id": facility_id, "ae_title": ae_title.strip(), "address": str(network),
               "description": description}  # fmt: skip
        connection.execute(
            insert(devices)
            .values(row)
            .on_conflict_do_update(index_elements=["ae_title", "address"], set_=row)
        )


def remove_device(archive: Archive, ae_title: str) -> int:
    """Remove a device by its title; returns how many addresses it had."""
    with archive.database.begin() as connection:
        return connection.execute(delete(devices).where(devices.c.ae_title == ae_title)).rowcount


def list_devices(archive: Archive) -> list[RegisteredDevice]:
    """All devices; the narrowest network first, because it decides."""
    query = select(facilities.c.code, devices.c.ae_title, devices.c.address).join(
        facilities, facilities.c.id == devices.c.facility_id
    )
    with archive.database.begin() as connection:
        found = [RegisteredDevice(*row) for row in connection.execute(query)]
    return sorted(found, key=lambda d: (-ipaddress.ip_network(d.address).prefixlen, d.ae_title, d.address))
