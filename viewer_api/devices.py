"""Devices and facilities for administrators: who may call the DICOM node, and for what."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from pacs.access import Principal, may_administer
from pacs.errors import Conflict, Forbidden, NotFound
from pacs.sharing import Policy
from storage import registry
from storage.archive import Archive
from storage.devices import ASSOCIATIONS_MAX, DESCRIPTION_CHARACTERS_MAX
from storage.facilities import GRADE_CHARACTERS_MAX, NAME_CHARACTERS_MAX, change_facility, list_facilities
from storage.facilities import add_facility as registered
from storage.registry import RegisteredDevice
from storage.sharing import find_scopes
from viewer_api.administration import Administrator, check_facility
from viewer_api.audited import owned_by, tell, told_fields
from viewer_api.auth import TheArchive

router = APIRouter(prefix="/api", tags=["devices"])
Tier = Literal["", "province", "city", "county", "township"]
DeviceRole = Literal["store", "query", "retrieve", "worklist"]


class Facility(BaseModel):
    """A hospital or clinic."""

    model_config = ConfigDict(extra="forbid")
    code: str = Field(max_length=16, description="1 to 16 of A-Z, 0-9, _ and -")
    name: str = Field(default="", max_length=NAME_CHARACTERS_MAX, description="The code, if there is none")
    name_en: str = Field(default="", max_length=NAME_CHARACTERS_MAX, description="In English")
    tier: Tier = Field(default="", description="Whose hospital it is")
    grade: str = Field(default="", max_length=GRADE_CHARACTERS_MAX, description="Its class, as 三级甲等")


class FacilityChange(BaseModel):
    """The fields to change; those that are not given stay."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(default="", max_length=NAME_CHARACTERS_MAX)
    name_en: str = Field(default="", max_length=NAME_CHARACTERS_MAX)
    tier: Tier = ""
    grade: str = Field(default="", max_length=GRADE_CHARACTERS_MAX)


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid")
    description: str = Field(default="", max_length=DESCRIPTION_CHARACTERS_MAX)
    roles: list[DeviceRole] = Field(
        default=["store", "query", "retrieve", "worklist"],
        max_length=4,
        description="What it may ask for; none: it is refused",
    )
    charset: str = Field(
        default="", max_length=200, description="Defined terms to use instead of those that it declares"
    )
    syntaxes: list[str] = Field(
        default=[],
        max_length=32,
        description="Transfer syntaxes to agree on, UIDs or keywords, the preferred first",
    )
    certificate: str = Field(
        default="",
        max_length=200,
        description="SHA-256 fingerprint of the client certificate that it must show",
    )
    associations_max: int | None = Field(default=None, ge=1, le=ASSOCIATIONS_MAX, description="At once")
    emergency: bool = Field(default=False, description="Its images go first")


class NewDevice(_Options):
    """A device to be registered."""

    facility: str = Field(max_length=16)
    ae_title: str = Field(max_length=64)
    address: str = Field(max_length=64, description="An IP address, or a network such as 10.1.0.0/16")


class DeviceChange(_Options):
    """The fields to change; those that are not given stay."""

    facility: str = Field(default="", max_length=16)
    ae_title: str = Field(default="", max_length=64)
    address: str = Field(default="", max_length=64)


class Device(NewDevice):
    """A registered device."""

    id: int


class Devices(BaseModel):
    devices: list[Device]


class ListedFacility(Facility):
    """A facility, and how far its studies go by its sharing policy."""

    scope: Literal["none", "registered", "region"]


class Facilities(BaseModel):
    facilities: list[ListedFacility]


@router.get("/facilities")
def facilities(who: Administrator, archive: TheArchive) -> Facilities:
    """The facilities that the administrator looks after."""
    known = [f for f in list_facilities(archive) if may_administer(who, f.code)]
    scopes = find_scopes(archive)
    return Facilities(
        facilities=[
            ListedFacility.model_validate({**asdict(f), "scope": scopes.get(f.code, Policy().scope).value})
            for f in known
        ]
    )


@router.post("/facilities", status_code=201)
def add_facility(new: Facility, who: Administrator, archive: TheArchive) -> Facility:
    """Register a facility; only the region's own administrators may."""
    if who.facility is not None:
        raise Forbidden("only the region's administrators may do this")
    tell(what=new.code, subjects=owned_by(new.code))
    if not registered(archive, **new.model_dump()):
        raise Conflict(f"there is a facility {new.code} already")
    return new.model_copy(update={"name": new.name or new.code})


@router.patch("/facilities/{code}")
def change(code: str, change: FacilityChange, who: Administrator, archive: TheArchive) -> Facility:
    """Change the fields given."""
    check_facility(who, code)
    tell(what=told_fields(change.model_dump(exclude_unset=True)))
    changed = change_facility(archive, code, change.model_dump(exclude_unset=True))
    return Facility.model_validate(asdict(changed))


@router.get("/devices")
def devices(who: Administrator, archive: TheArchive) -> Devices:
    """The devices of the facilities that the administrator looks after."""
    found = sorted(registry.list_devices(archive), key=lambda d: (d.facility, d.ae_title, d.address))
    return Devices(devices=[_shown(d) for d in found if may_administer(who, d.facility)])


@router.post("/devices", status_code=201)
def add_device(new: NewDevice, who: Administrator, archive: TheArchive) -> Device:
    """Let a device call the node; it knows it within five seconds."""
    check_facility(who, new.facility)
    tell(what=f"device {new.ae_title} at {new.address}")
    return _shown(registry.new_device(archive, RegisteredDevice.from_json(new.model_dump())))


@router.patch("/devices/{device_id}")
def change_device(device_id: int, change: DeviceChange, who: Administrator, archive: TheArchive) -> Device:
    """Change the fields given."""
    _check_device(archive, who, device_id)
    fields: dict[str, Any] = change.model_dump(exclude_unset=True)
    if "facility" in fields:
        check_facility(who, fields["facility"])
    tell(what=told_fields(fields))
    fields |= {name: tuple(fields[name]) for name in ("roles", "syntaxes") if name in fields}
    return _shown(registry.change_device(archive, device_id, fields))


@router.delete("/devices/{device_id}", status_code=204)
def remove_device(device_id: int, who: Administrator, archive: TheArchive) -> Response:
    """Forget a device; its studies stay."""
    _check_device(archive, who, device_id)
    registry.remove_device(archive, device_id)
    return Response(status_code=204)


def _check_device(archive: Archive, who: Principal, device_id: int) -> None:
    """A device of another's facility answers as one that does not exist."""
    known = {d.id: d for d in registry.list_devices(archive) if may_administer(who, d.facility)}
    if device_id not in known:
        raise NotFound("there is no such device")
    tell(what=f"device {known[device_id].ae_title}", subjects=owned_by(known[device_id].facility))


def _shown(device: RegisteredDevice) -> Device:
    return Device.model_validate(device.to_json())
