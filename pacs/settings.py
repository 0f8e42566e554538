"""The settings: one frozen object, read from the environment once, in the mains, and passed down.

Every name is `TONGYING_` and the field in capitals. Units stand at the end of the names.
"""

from __future__ import annotations

import os
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import urlsplit

from pacs.access import Role
from pacs.errors import SettingError

MIB = 1024 * 1024
SECRET_CHARACTERS_MIN = 32
PROCESSES_MAX = 128
REJECTED_DAYS_MAX = 36_500
_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?\Z")  # as RFC 6454 6.2 writes it
_ADDRESS = re.compile(r"([^:/\s]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}\Z")
SIGN_IN_LIMITS = {
    "token_seconds": (30, 86_400),
    "session_seconds": (60, 30 * 86_400),
    "password_characters_min": (8, 64),
    "lockout_failures": (3, 1000),
    "lockout_seconds_max": (1, 86_400),
}
PROCESSES_UNASKED_MAX = 8  # each has a pool of connections to the database


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an operator may choose. Defaults run everything on one small machine."""

    data: Path = Path("data")
    http_host: str = "127.0.0.1"
    http_port: int = 8080
    cors_origins: str = ""  # of pages that may call the API from elsewhere, parted by commas; * is every one
    http_processes: int = 0  # that answer at that port; 0: one for each core, but no more than 8
    dicom_host: str = "0.0.0.0"  # noqa: S104  modalities are other machines; the gate refuses the unregistered
    dicom_port: int = 11112
    dicom_tls_port: int = 2762  # open where there is a certificate
    dicom_tls_certificate: str = ""  # PEM file, ours and those of the CAs between
    dicom_tls_key: str = ""  # PEM file; empty: it is in the certificate's
    dicom_tls_client_ca: str = (
        ""  # PEM file of CAs, or of devices' own certificates; empty: none are asked for
    )
    dicom_identity: str = (
        "optional"  # or "required": each association brings a user's name and passcode, or a token
    )
    ae_title: str = "TONGYING"
    node_name: str = "node-0"
    node_processes: int = 0  # of the DICOM node, behind one port; 0: one for each core, but no more than 8
    hl7_host: str = "0.0.0.0"  # noqa: S104  as above
    hl7_port: int = 0  # orders over MLLP; 0: none are taken
    hl7_tls_certificate: str = ""  # PEM file as above; with it that port speaks TLS, and nothing else
    hl7_tls_key: str = ""  # PEM file; empty: it is in the certificate's
    hl7_tls_client_ca: str = ""  # PEM file of CAs; with it senders must show a certificate

    audit_syslog: str = (
        ""  # host:port of a syslog server over TLS that is sent the audit trail; empty: none is
    )
    audit_syslog_ca: str = ""  # PEM file of CAs that its certificate is believed from; empty: this machine's
    audit_syslog_certificate: str = ""  # PEM file that we show it, with its key in it or beside
    audit_syslog_key: str = ""

    database_url: str = ""  # empty: the embedded PostgreSQL under `data`
    broker_url: str = ""  # empty: messages as files under `data`
    object_store: str = ""  # empty: files under `data`; else s3://bucket/prefix
    s3_endpoint: str = ""
    s3_access_key: str = ""
    s3_secret_key: str = ""
    s3_region: str = "us-east-1"

    admin_password: str = ""
    secret: str = ""  # signs access tokens; empty: made once and kept under `data`
    secret_key: str = ""  # seals passwords of other systems; empty: made once as secret.key under `data`
    secret_before: str = ""  # the `secret` before this one: its tokens are taken until they expire
    secret_key_before: str = ""  # the `secret_key` before this one: what it sealed is opened
    token_seconds: int = 15 * 60  # of an access token
    session_seconds: int = 12 * 3600  # in which a session's access tokens are renewed; then one signs in anew
    password_characters_min: int = 8
    lockout_failures: int = (
        20  # wrong passwords of an account within a day; each further one closes it for longer
    )
    lockout_seconds_max: int = 900  # that it is closed at a time
    second_factor_roles: str = ""  # roles that must have a second factor, parted by commas
    public_url: str = ""  # under which browsers know us, such as https://pacs.example; needed for OpenID
    openid_issuer: str = ""  # of the OpenID provider that users sign in with; empty: none
    openid_client_id: str = ""
    openid_client_secret: str = ""
    openid_users: str = "match"  # or "provision": who has no account of that name gets one
    openid_name_claim: str = "preferred_username"
    openid_role_claim: str = "role"
    openid_roles: str = ""  # what the claim says of each role: "doctors=clinician,readers=radiologist"
    openid_facility_claim: str = "facility"  # says a facility's code
    log_level: str = "info"
    worker_processes: int = 2
    worker_nice: int = 10  # 0 to 19: how far workers give way to those who receive and answer
    web_dist: Path = Path(__file__).resolve().parents[1] / "web_viewer" / "dist"
    annotation_font: str = ""  # file of the font in which pictures are written on; empty: Noto Sans CJK
    ohif_dist: Path = Path(__file__).resolve().parents[1] / "web_viewer" / "ohif" / "dist"  # where it is made

    segment_bytes_max: int = 64 * MIB
    segment_idle_ms_max: int = 250  # quiet this long: sealed, so that a study is searchable within 2 s
    segment_age_ms_max: int = 1000
    object_memory_bytes_max: int = 8 * MIB  # a larger object goes to a segment of its own as it arrives
    object_bytes_max: int = 64 * 1024 * MIB
    disk_free_bytes_min: int = 512 * MIB
    sweep_seconds: float = 2.0
    # Series of so many bytes of pixels, uncompressed, get HTJ2K renditions; 0: none are made.
    rendition_bytes_min: int = 8 * MIB
    rendition_quiet_seconds: float = 30.0  # in which a series must not have grown before they are made
    rejected_days: int = 30  # rejected instances are kept before they are erased; 0: until somebody does
    shelf_bytes_max: int = 64 * MIB  # of each process: what it read and decoded lately
    commitment_patience_seconds: float = 120.0  # for what is not indexed yet; then it is told as missing

    pdu_bytes_max: int = 256 * 1024
    association_idle_seconds: int = 60
    associations_max: int = 200  # of a node, all its processes together
    associations_per_peer_max: int = 50
    associations_per_facility_max: int = 100  # emergency devices not counted

    @property
    def spool(self) -> Path:
        return self.data / "spool"

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        return tuple(origin for one in self.cors_origins.split(",") if (origin := one.strip()))

    @property
    def roles_with_second_factor(self) -> frozenset[str]:
        return frozenset(role for one in self.second_factor_roles.split(",") if (role := one.strip()))

    @property
    def roles_of_claim(self) -> dict[str, str]:
        pairs = (one.partition("=") for one in self.openid_roles.split(",") if one.strip())
        return {said.strip(): role.strip() for said, _, role in pairs}

    @property
    def node_process_count(self) -> int:
        return self.node_processes or _one_for_each_core()

    @property
    def http_process_count(self) -> int:
        return self.http_processes or _one_for_each_core()

    def environment(self) -> dict[str, str]:
        """The same settings as environment variables, for a child process."""
        return {_variable(f.name): str(getattr(self, f.name)) for f in fields(self)}


def _one_for_each_core() -> int:
    return min(len(os.sched_getaffinity(0)), PROCESSES_UNASKED_MAX)


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; raises SettingError that names the variable and what it should be."""
    types = typing.get_type_hints(Settings)
    values: dict[str, object] = {}
    for field in fields(Settings):
        text = environment.get(_variable(field.name))
        if text is not None and (text or field.name in {"database_url", "broker_url", "object_store"}):
            values[field.name] = _convert(_variable(field.name), text, types[field.name])
    _secrets_from_files(environment, values)
    settings = Settings(**values)  # type: ignore[arg-type]  # each value was converted to its field's type
    return _checked(settings)


def _variable(name: str) -> str:
    return f"TONGYING_{name.upper()}"


def _convert(variable: str, text: str, kind: type) -> object:
    try:
        return kind(text)
    except ValueError:
        raise SettingError(f"{variable} must be {_said(kind)}, not {text!r}") from None


def _said(kind: type) -> str:
    return {int: "a whole number", float: "a number"}.get(kind, kind.__name__)


def _secrets_from_files(environment: Mapping[str, str], values: dict[str, object]) -> None:
    """`TONGYING_S3_SECRET_KEY_FILE` and its like: how Docker and Kubernetes hand over secrets."""
    for name in ("database_url", "broker_url", "s3_access_key", "s3_secret_key", "admin_password", "secret",
                 "secret_key", "secret_before", "secret_key_before",
                 "openid_client_secret"):  # fmt: skip
        path = environment.get(f"{_variable(name)}_FILE")
        if path:
            try:
                values[name] = Path(path).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise SettingError(f"{_variable(name)}_FILE cannot be read: {error.strerror}") from None


def _checked(settings: Settings) -> Settings:
    for name in ("http_port", "dicom_port", "dicom_tls_port"):
        if not 0 < getattr(settings, name) < 65536:
            raise SettingError(f"{_variable(name)} must be a port from 1 to 65535")
    if not 0 <= settings.hl7_port < 65536:
        raise SettingError("TONGYING_HL7_PORT must be a port from 1 to 65535, or 0 for none")
    if not 1 <= len(settings.ae_title) <= 16 or "\\" in settings.ae_title:
        raise SettingError("TONGYING_AE_TITLE must have 1 to 16 characters and no backslash (PS3.5 6.2, AE)")
    if any(one != "*" and not _ORIGIN.match(one) for one in settings.allowed_origins):
        raise SettingError("TONGYING_CORS_ORIGINS must be origins such as https://viewer.example, or *")
    if settings.audit_syslog and not _ADDRESS.match(settings.audit_syslog):
        raise SettingError("TONGYING_AUDIT_SYSLOG must be host:port")
    if settings.dicom_identity not in ("optional", "required"):
        raise SettingError("TONGYING_DICOM_IDENTITY must be optional or required")
    if not 0 <= settings.worker_nice <= 19:
        raise SettingError("TONGYING_WORKER_NICE must be from 0 to 19")
    if settings.object_store and not settings.object_store.startswith(("s3://", "file:")):
        raise SettingError("TONGYING_OBJECT_STORE must be s3://bucket/prefix or file:/path")
    for name in ("secret_key", "secret_key_before"):
        if 0 < len(getattr(settings, name)) < SECRET_CHARACTERS_MIN:
            raise SettingError(
                f"{_variable(name)} must have at least {SECRET_CHARACTERS_MIN} characters, made at random"
            )
    if settings.openid_issuer:
        _check_openid(settings)
    if unknown := settings.roles_with_second_factor - set(Role):
        raise SettingError(f"TONGYING_SECOND_FACTOR_ROLES: there is no role {min(unknown)}")
    for name, (least, most) in SIGN_IN_LIMITS.items():
        if not least <= getattr(settings, name) <= most:
            raise SettingError(f"{_variable(name)} must be from {least} to {most}")
    for name in ("node_processes", "http_processes"):
        if not 0 <= getattr(settings, name) <= PROCESSES_MAX:
            raise SettingError(f"{_variable(name)} must be from 0 to {PROCESSES_MAX}")
    for name in ("rendition_bytes_min", "rendition_quiet_seconds"):
        if getattr(settings, name) < 0:
            raise SettingError(f"{_variable(name)} must not be less than 0")
    if not 0 <= settings.rejected_days <= REJECTED_DAYS_MAX:
        raise SettingError(f"TONGYING_REJECTED_DAYS must be from 0 to {REJECTED_DAYS_MAX}")
    if settings.pdu_bytes_max < 4096:
        raise SettingError("TONGYING_PDU_BYTES_MAX must be at least 4096 bytes")
    return settings


def _check_openid(settings: Settings) -> None:
    for name in ("openid_issuer", "public_url"):
        url = urlsplit(getattr(settings, name))
        local = url.hostname in ("127.0.0.1", "::1", "localhost")
        if not url.hostname or url.scheme not in (("http", "https") if local else ("https",)):
            raise SettingError(f"{_variable(name)} must be an https URL")
    if not settings.openid_client_id or not settings.openid_client_secret:
        raise SettingError("TONGYING_OPENID_CLIENT_ID and TONGYING_OPENID_CLIENT_SECRET go with the issuer")
    if settings.openid_users not in ("match", "provision"):
        raise SettingError("TONGYING_OPENID_USERS must be match or provision")
    if unknown := set(settings.roles_of_claim.values()) - set(Role):
        raise SettingError(f"TONGYING_OPENID_ROLES: there is no role {min(unknown)}")
