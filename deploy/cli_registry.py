"""`tongying facility` and `tongying device`: who takes part, and what each device may do."""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import astuple
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from deploy.console import OPERATOR, opened, tables
from pacs.errors import Conflict, NotFound, SettingError
from pacs.sharing import Policy, Scope
from storage import registry
from storage.archive import Archive
from storage.facilities import LOCAL, TIERS, add_facility, change_facility, list_facilities
from storage.registry import ROLES, RegisteredDevice
from storage.sharing import set_policy

facility_app = typer.Typer(no_args_is_help=True, help="Hospitals and clinics.")
device_app = typer.Typer(no_args_is_help=True, help="Modalities and other systems that may call the node.")
CERTIFICATE_BYTES_MAX = 1024 * 1024

NameEn = Annotated[str | None, typer.Option(help="Its name in English.")]
Tier = Annotated[str | None, typer.Option(help=f"Whose hospital it is: {', '.join(TIERS)}.")]
Grade = Annotated[str | None, typer.Option(help="Its class, as 三级甲等.")]
Address = Annotated[str, typer.Argument(help="An IP address, or a network such as 10.1.0.0/16.")]
Of = Annotated[
    str, typer.Option("--address", help="Which one, if the title is registered at several addresses.")
]
Description = Annotated[str | None, typer.Option(help="What it is and where it stands, for people.")]
Roles = Annotated[
    list[str] | None,
    typer.Option("--role", help=f"What it may ask for: {', '.join(ROLES)}. Repeat for several. [all]"),
]
Charset = Annotated[
    str | None,
    typer.Option(
        help="Character set to use whatever it declares, as GB18030 or '\\ISO 2022 IR 149'; '' for none."
    ),
]
Syntaxes = Annotated[
    list[str] | None,
    typer.Option(
        "--syntax", help="Transfer syntax to agree on, UID or keyword, the preferred first; '' for none."
    ),
]
Certificate = Annotated[
    str | None,
    typer.Option(
        help="Client certificate that it must show: a PEM file, or a SHA-256 fingerprint; '' for none."
    ),
]
Limit = Annotated[
    int | None, typer.Option("--associations-max", help="Associations at once; 0 for no limit of its own.")
]
Emergency = Annotated[bool | None, typer.Option("--emergency/--no-emergency", help="Its images go first.")]


@facility_app.command("add")
def facility_add(
    code: str,
    name: Annotated[str, typer.Argument()] = "",
    name_en: NameEn = None,
    tier: Tier = None,
    grade: Grade = None,
) -> None:
    """Register a facility: a short code, and its name."""
    with opened() as archive:
        if not add_facility(archive, code, name, **_of_facility(name_en=name_en, tier=tier, grade=grade)):
            raise Conflict(f"there is a facility {code} already: tongying facility change")


@facility_app.command("change")
def facility_change(
    code: str,
    name: Annotated[str | None, typer.Option()] = None,
    name_en: NameEn = None,
    tier: Tier = None,
    grade: Grade = None,
) -> None:
    """Change what is given, and leave the rest as it is; '' takes back what was set."""
    with opened() as archive:
        given = _of_facility(name=name, name_en=name_en, tier=tier, grade=grade)
        change_facility(archive, code, given)


@facility_app.command("share")
def facility_share(
    code: str,
    scope: Annotated[Scope, typer.Argument(help="With whom.")],
    modality: Annotated[list[str] | None, typer.Option(help="Only studies of these. [all]")] = None,
    sensitive: Annotated[list[str] | None, typer.Option(help="Body parts that stay here. [none]")] = None,
) -> None:
    """Set what a facility shares: with nobody, with facilities where the patient is registered too, or the region."""
    policy = Policy(scope, frozenset(modality or ()), frozenset(sensitive or ()))
    with opened() as archive:
        set_policy(archive, OPERATOR, code, policy)


@facility_app.command("list")
def facility_list() -> None:
    """All facilities."""
    with opened() as archive:
        found = list_facilities(archive)
    table = Table(box=None, pad_edge=False)
    for heading in ("code", "name", "English name", "tier", "grade"):
        table.add_column(heading, overflow="fold")
    for facility in found:
        table.add_row(*astuple(facility))
    tables.print(table, markup=False)


def _of_facility(**options: str | None) -> dict[str, str]:
    return {name: value for name, value in options.items() if value is not None}


@device_app.command("add")
def device_add(
    ae_title: str,
    address: Address,
    facility: Annotated[str, typer.Option(help="The facility that owns what it sends.")] = LOCAL,
    description: Description = None,
    roles: Roles = None,
    charset: Charset = None,
    syntaxes: Syntaxes = None,
    certificate: Certificate = None,
    associations_max: Limit = None,
    emergency: Emergency = None,
) -> None:
    """Let a device call the node; one that is known under this title and address is registered anew."""
    given = _given(description, roles, charset, syntaxes, certificate, associations_max, emergency)
    with opened() as archive:
        registry.add_device(archive, RegisteredDevice(facility, ae_title, address, **given))


@device_app.command("change")
def device_change(
    ae_title: str,
    of: Of = "",
    new_title: Annotated[str | None, typer.Option(help="Its new AE title.")] = None,
    new_address: Annotated[str | None, typer.Option(help="Its new address or network.")] = None,
    facility: Annotated[
        str | None, typer.Option(help="The facility that owns what it sends from now on.")
    ] = None,
    description: Description = None,
    roles: Roles = None,
    charset: Charset = None,
    syntaxes: Syntaxes = None,
    certificate: Certificate = None,
    associations_max: Limit = None,
    emergency: Emergency = None,
) -> None:
    """Change what is given, and leave the rest as it is. The node knows it within five seconds."""
    changes = _given(description, roles, charset, syntaxes, certificate, associations_max, emergency)
    names = {"ae_title": new_title, "address": new_address, "facility": facility}
    changes |= {name: value for name, value in names.items() if value is not None}
    with opened() as archive:
        registry.change_device(archive, _one(archive, ae_title, of).id, changes)


@device_app.command("remove")
def device_remove(ae_title: str, of: Of = "") -> None:
    """Forget a device, at all its addresses or at one; its studies stay."""
    with opened() as archive:
        for device in _some(archive, ae_title, of):
            registry.remove_device(archive, device.id)


@device_app.command("list")
def device_list() -> None:
    """All devices."""
    with opened() as archive:
        devices = registry.list_devices(archive)
    table = Table(box=None, pad_edge=False)
    for heading in ("AE title", "address", "facility", "roles", "more", "description"):
        table.add_column(heading, overflow="fold")
    for d in sorted(devices, key=lambda d: (d.facility, d.ae_title, d.address)):
        table.add_row(d.ae_title, d.address, d.facility, " ".join(d.roles) or "none", _more(d), d.description)
    tables.print(table, markup=False)


def _more(device: RegisteredDevice) -> str:
    """What is not as it is for most."""
    said = {
        "character set": device.charset,
        "syntaxes": " ".join(device.syntaxes),
        "certificate": device.certificate and f"{device.certificate[:12]}…",
        "associations": str(device.associations_max or ""),
        "emergency": "yes" if device.emergency else "",
    }
    return ", ".join(f"{name}: {value}" for name, value in said.items() if value)


def _given(
    description: str | None, roles: list[str] | None, charset: str | None, syntaxes: list[str] | None,
    certificate: str | None, associations_max: int | None, emergency: bool | None,
) -> dict[str, Any]:  # fmt: skip
    """The fields that options were given for. '' and 0 take back what was set."""
    given: dict[str, Any] = {
        "description": description,
        "roles": None if roles is None else _several(roles),
        "charset": charset,
        "syntaxes": None if syntaxes is None else _several(syntaxes),
        "certificate": None if certificate is None else fingerprint_of(certificate),
        "emergency": emergency,
    }
    given = {name: value for name, value in given.items() if value is not None}
    return given if associations_max is None else given | {"associations_max": associations_max or None}


def _several(written: list[str]) -> tuple[str, ...]:
    """Repeated, or parted by commas."""
    return tuple(part for one in written for part in one.replace(",", " ").split())


def fingerprint_of(given: str) -> str:
    """SHA-256 of the certificate in a PEM file; what is no file is taken for the fingerprint itself."""
    if not given or len(given) > 255 or not Path(given).is_file():
        return given
    text = read_text(Path(given))
    begin, end = text.find("-----BEGIN CERTIFICATE-----"), text.find("-----END CERTIFICATE-----")
    try:
        encoded = ssl.PEM_cert_to_DER_cert(text[begin : end + len("-----END CERTIFICATE-----")])
    except ValueError:
        raise SettingError(f"{given} is no PEM certificate") from None
    return hashlib.sha256(encoded).hexdigest()


def read_text(path: Path) -> str:
    """A PEM file; raises SettingError."""
    try:
        if path.stat().st_size > CERTIFICATE_BYTES_MAX:
            raise SettingError(f"{path} is no PEM certificate")
        return path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise SettingError(f"{path} cannot be read: {error.strerror}") from None


def _one(archive: Archive, ae_title: str, address: str) -> RegisteredDevice:
    found = _some(archive, ae_title, address)
    if len(found) > 1:
        places = ", ".join(d.address for d in found)
        raise SettingError(f"{ae_title} is registered at {places}: choose with --address")
    return found[0]


def _some(archive: Archive, ae_title: str, address: str) -> list[RegisteredDevice]:
    try:
        found = registry.find_devices(archive, ae_title, address)
    except ValueError:
        raise SettingError(
            f"{address!r} is neither an IP address nor a network such as 10.1.0.0/16"
        ) from None
    if not found:
        raise NotFound(f"there is no device {ae_title}{' at ' + address if address else ''}")
    return found
