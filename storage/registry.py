"""Devices: who may call the node."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from pacs.errors import Conflict, NotFound
from storage.archive import Archive
from storage.devices import ROLES, RegisteredDevice, checked
from storage.facilities import add_facility, is_code
from storage.index.tables import devices, facilities, facility_key

__all__ = ["DEMO_HOSPITALS", "ROLES", "RegisteredDevice"]

DEMO_HOSPITALS = (
    RegisteredDevice("DEMO-EAST", "DEMO_EAST", "127.0.0.0/8"),
    RegisteredDevice("DEMO-WEST", "DEMO_WEST", "127.0.0.0/8"),
)


def add_demo_hospitals(archive: Archive) -> None:
    """The two hospitals of `make demo`, each with one device on this machine."""
    for hospital, name, side in zip(DEMO_HOSPITALS, ("示范东院", "示范西院"), ("East", "West"), strict=True):
        add_facility(archive, hospital.facility, name, name_en=f"Demo Hospital {side}")
        add_device(archive, hospital)


def add_device(archive: Archive, device: RegisteredDevice) -> None:
    """Register a device, or change what is known of the one with this title and address; raises SettingError, or
    NotFound for its facility."""
    with archive.database.begin() as connection:
        row = _row(connection, checked(device))
        connection.execute(
            insert(devices)
            .values(row)
            .on_conflict_do_update(index_elements=["ae_title", "address"], set_=row)
        )


def new_device(archive: Archive, device: RegisteredDevice) -> RegisteredDevice:
    """Register a device that is not registered yet; raises Conflict, SettingError, or NotFound for its facility."""
    device = checked(device)
    with archive.database.begin() as connection:
        row = insert(devices).values(_row(connection, device)).on_conflict_do_nothing()
        made = connection.execute(row.returning(devices.c.id)).scalar()
    if made is None:
        raise _conflict(device)
    return replace(device, id=made)


def change_device(archive: Archive, device_id: int, changes: Mapping[str, Any]) -> RegisteredDevice:
    """Change the fields named; raises NotFound, Conflict with another one, or SettingError."""
    with archive.database.begin() as connection:
        query = _devices().where(devices.c.id == device_id).with_for_update(of=devices)
        found = connection.execute(query).mappings().one_or_none()
        if found is None:
            raise NotFound("there is no such device")
        device = checked(replace(RegisteredDevice.from_json(dict(found)), **changes))
        twin = (devices.c.ae_title == device.ae_title, devices.c.address == device.address)
        if connection.execute(select(devices.c.id).where(*twin, devices.c.id != device_id)).first():
            raise _conflict(device)
        row = _row(connection, device)
        connection.execute(update(devices).where(devices.c.id == device_id).values(row))
    return device


def remove_device(archive: Archive, device_id: int) -> None:
    """Forget a device; what it sent stays. Raises NotFound."""
    with archive.database.begin() as connection:
        if not connection.execute(delete(devices).where(devices.c.id == device_id)).rowcount:
            raise NotFound("there is no such device")


def list_devices(archive: Archive) -> list[RegisteredDevice]:
    """All devices; the narrowest network first, because it decides."""
    with archive.database.read() as connection:
        found = [RegisteredDevice.from_json(dict(row)) for row in connection.execute(_devices()).mappings()]
    return sorted(found, key=lambda d: (-ipaddress.ip_network(d.address).prefixlen, d.ae_title, d.address))


def find_devices(archive: Archive, ae_title: str, address: str = "") -> list[RegisteredDevice]:
    """Those with this title and, if one is given, with this address or network."""
    network = str(ipaddress.ip_network(address, strict=False)) if address else ""
    return [d for d in list_devices(archive) if d.ae_title == ae_title and network in ("", d.address)]


def _devices() -> Any:
    known = [devices.c[field.name] for field in fields(RegisteredDevice) if field.name != "facility"]
    code = facilities.c.code.label("facility")
    return select(code, *known).join(facilities, facilities.c.id == devices.c.facility_id)


def _row(connection: Connection, device: RegisteredDevice) -> dict[str, Any]:
    """As it stands in the table; raises NotFound for its facility."""
    known = facility_key(device.facility)
    facility_id = connection.execute(known).scalar() if is_code(device.facility) else None
    if facility_id is None:
        raise NotFound(f"there is no facility {device.facility[:16]}: tongying facility add")
    row = device.to_json() | {"facility_id": facility_id}
    del row["facility"], row["id"]
    return row


def _conflict(device: RegisteredDevice) -> Conflict:
    return Conflict(f"{device.ae_title} is registered at {device.address} already")
