"""What is known of a device that may call the node, and what each field of it may hold."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import asdict, dataclass, replace
from typing import Any

from pacs.encoded.charsets import find_charset
from pacs.errors import InvalidUID, SettingError
from pacs.uids import transfer_syntax_uid

ROLES = ("store", "query", "retrieve", "worklist")  # what a device may ask for
ASSOCIATIONS_MAX = 10_000
DESCRIPTION_CHARACTERS_MAX = 200
CHARSET_TERMS_MAX, SYNTAXES_MAX = 8, 32
_FINGERPRINT = re.compile(r"[0-9a-f]{64}\Z")


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
    id: int = 0  # its row's; 0 for one that is not registered

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> RegisteredDevice:
        lists: dict[str, Any] = {name: tuple(data[name]) for name in ("roles", "syntaxes") if name in data}
        return RegisteredDevice(**(data | lists))


def checked(device: RegisteredDevice) -> RegisteredDevice:
    """With its fields as they are compared; raises SettingError that says which one cannot be used, and why."""
    return replace(
        device,
        ae_title=_title(device.ae_title),
        address=_network(device.address),
        description=_description(device.description),
        roles=_roles(device.roles),
        charset=_charset(device.charset),
        syntaxes=_syntaxes(device.syntaxes),
        certificate=fingerprint(device.certificate),
        associations_max=_limit(device.associations_max),
    )


def _title(written: str) -> str:
    title = written.strip(" ")
    if not 1 <= len(title) <= 16 or not title.isascii() or not title.isprintable() or "\\" in title:
        raise SettingError(
            "an AE title has 1 to 16 characters of ASCII, no control characters and no backslash (PS3.5 6.2)"
        )
    return title


def _network(written: str) -> str:
    try:
        return str(ipaddress.ip_network(written.strip(), strict=False))
    except ValueError:
        raise SettingError(
            f"{written!r} is neither an IP address nor a network such as 10.1.0.0/16"
        ) from None


def _description(written: str) -> str:
    if len(written) > DESCRIPTION_CHARACTERS_MAX or not written.isprintable():
        raise SettingError(f"a description is one line of at most {DESCRIPTION_CHARACTERS_MAX} characters")
    return written


def _roles(written: tuple[str, ...]) -> tuple[str, ...]:
    """In the order of `ROLES`. A device with none is refused at the gate, and stays registered."""
    if unknown := set(written) - set(ROLES):
        raise SettingError(f"a role is one of {', '.join(ROLES)}, not {', '.join(sorted(unknown))}")
    return tuple(role for role in ROLES if role in written)


def _charset(written: str) -> str:
    """Defined terms of PS3.3 C.12.1.1.2, and what the field writes for them: "GB18030", "\\ISO 2022 IR 149"."""
    terms = tuple(term.strip() for term in written.split("\\"))
    if len(terms) > CHARSET_TERMS_MAX:
        raise SettingError(f"a character set has at most {CHARSET_TERMS_MAX} terms")
    for term in terms:
        if find_charset((term,)) is None:
            raise SettingError(
                f"{term[:32]!r} is no defined term of Specific Character Set (PS3.3 C.12.1.1.2)"
            )
    return "\\".join(terms)


def _syntaxes(written: tuple[str, ...]) -> tuple[str, ...]:
    if len(written) > SYNTAXES_MAX:
        raise SettingError(f"a device prefers at most {SYNTAXES_MAX} transfer syntaxes")
    try:
        return tuple(dict.fromkeys(transfer_syntax_uid(one) for one in written))
    except InvalidUID as error:
        raise SettingError(str(error)) from None


def fingerprint(written: str) -> str:
    """Of a certificate, by SHA-256: the digits alone, also of what `openssl x509 -fingerprint -sha256` prints."""
    digits = written.rpartition("=")[2].replace(":", "").strip().lower()
    if digits and not _FINGERPRINT.match(digits):
        raise SettingError("a certificate is told by its SHA-256 fingerprint: 64 hexadecimal digits")
    return digits


def _limit(number: int | None) -> int | None:
    if number is not None and not 1 <= number <= ASSOCIATIONS_MAX:
        raise SettingError(f"a device may have 1 to {ASSOCIATIONS_MAX} associations at once")
    return number
