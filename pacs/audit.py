"""The audit trail's vocabulary: what an entry tells, its bytes, and the rule by which entries hold each other.

Names of patients are not told: who may read the trail and needs a name finds it by the patient's ID. The chain is a
keyed one (HMAC-SHA-256, RFC 2104): each entry's hash covers the one before, its place and its bytes, so whoever can
write the table but has not the key can change nothing unseen.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pacs.access import Principal
from pacs.uids import UID_LENGTH_MAX, is_uid

GENESIS = bytes(32)  # what stands before the first entry
TEXT_CHARACTERS_MAX = 200  # of names, titles and addresses
ASKED_CHARACTERS_MAX = 1000
NAMED_MAX = 1000  # studies, and patients, of one entry
BETWEEN = "\\"  # which no value of DICOM's VR LO holds


class Action(StrEnum):
    """What was done, or tried."""

    SIGN_IN = "sign-in"
    ASSOCIATE = "associate"  # a DICOM association, which is told where it is refused
    QUERY = "query"
    VIEW = "view"  # pictures and attributes, on a screen
    EXPORT = "export"  # instances leave the archive
    STORE = "store"
    REJECT = "reject"
    RESTORE = "restore"
    ERASE = "erase"
    GRANT = "grant"  # somebody may see what he could not see before
    CHANGE = "change"  # of what administrators look after
    READ_TRAIL = "read-trail"  # this trail itself
    ALERT = "alert"  # something is wrong with the archive's safety


class Outcome(StrEnum):
    """What came of it."""

    SUCCESS = "success"
    REFUSED = "refused"  # it was said that they may not
    ABSENT = "absent"  # it does not exist, or they may not know that it does
    FAILED = "failed"


class Service(StrEnum):
    """Which door it came through."""

    API = "api"
    DICOM = "dicom"
    EXCHANGE = "exchange"  # what we do with other systems on our own account
    INDEX = "index"
    COMMAND_LINE = "command line"


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """Whom it is about: a patient as a facility knows them; without an ID the facility alone."""

    facility: str
    issuer: str = ""
    patient_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened. `asked` is what was asked for, in short and without names of patients."""

    at: datetime
    service: Service
    action: Action
    outcome: Outcome = Outcome.SUCCESS
    who: str = ""  # user or AE title; empty where nobody was told
    role: str = ""
    facility: str = ""  # whose they are; empty: the region's
    purpose: str = ""
    address: str = ""  # where they sit
    ae_title: str = ""
    asked: str = ""
    studies: tuple[str, ...] = ()
    subjects: tuple[Subject, ...] = ()

    @classmethod
    def of(cls, principal: Principal | None, *, service: Service, action: Action, **told: Any) -> Entry:
        """An entry of now. Texts are made such as every database holds, and cut."""
        if principal is not None:
            told = {
                "who": principal.name,
                "role": principal.role.value,
                "facility": principal.facility or "",
                "purpose": principal.purpose.value,
            } | told
        texts = {k: clean(v, _longest(k)) for k, v in told.items() if k in _TEXTS}
        # What was asked for where a UID belongs, and is none, may be a name.
        studies = tuple(uid for uid in told.pop("studies", ())[:NAMED_MAX] if is_uid(uid, UID_LENGTH_MAX))
        return cls(at=datetime.now(UTC), service=service, action=action, studies=studies, **(told | texts))


_TEXTS = frozenset({"who", "role", "facility", "purpose", "address", "ae_title", "asked"})


def _longest(name: str) -> int:
    return ASKED_CHARACTERS_MAX if name == "asked" else TEXT_CHARACTERS_MAX


def clean(text: str, characters_max: int = TEXT_CHARACTERS_MAX) -> str:
    """Without NULs and halves of surrogate pairs, which PostgreSQL and UTF-8 cannot hold."""
    found = text[:characters_max].replace("\0", "\N{REPLACEMENT CHARACTER}")
    return found if found.isascii() else found.encode("utf-8", "replace").decode()


def to_json(entry: Entry) -> dict[str, Any]:
    """Plain values by name; what is empty is left out."""
    told: dict[str, Any] = {name: value for name in _NAMES if (value := getattr(entry, name))}
    told["at"] = entry.at.astimezone(UTC).isoformat(timespec="microseconds")
    if entry.subjects:
        told["subjects"] = [[s.facility, s.issuer, s.patient_id] for s in entry.subjects]
    return told


_NAMES = tuple(sorted(f.name for f in fields(Entry)))


def from_json(told: dict[str, Any]) -> Entry:
    """The reverse; raises ValueError, TypeError or KeyError."""
    return Entry(
        **told
        | {
            "at": datetime.fromisoformat(told["at"]),
            "service": Service(told["service"]),
            "action": Action(told["action"]),
            "outcome": Outcome(told["outcome"]),
            "studies": tuple(told.get("studies", ())),
            "subjects": tuple(Subject(*one) for one in told.get("subjects", ())),
        }
    )


def encode(entry: Entry) -> bytes:
    """The entry's bytes, always the same ones: JSON in UTF-8, sorted by name, without blanks."""
    return _encoded(to_json(entry)).encode()


# Made once: whoever shows a picture waits for it.
_encoded = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry came from: the journal of one process, and its number there, from 1 on."""

    journal: bytes  # 16 bytes
    number: int


def chained(key: bytes, before: bytes, position: int, place: Place, entry: Entry) -> bytes:
    """The hash of an entry at this position (from 1 on) behind one of that hash: 32 bytes."""
    numbers = position.to_bytes(8) + place.journal + place.number.to_bytes(8)
    return hmac.digest(key, before + numbers + encode(entry), "sha256")
