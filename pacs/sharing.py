"""What facilities share, and with whom: the facts about a study by which `pacs.access.may` decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Scope(StrEnum):
    """For whom a facility's studies are open beyond its own walls, without a grant."""

    NONE = "none"
    REGISTERED = "registered"  # for facilities where the patient is registered too
    REGION = "region"  # for all of the region who treat


@dataclass(frozen=True, slots=True)
class Policy:
    """What a facility shares. A study of a modality that is not among `modalities` stays, unless these are empty; so
    does one with a series of a body part that is among `sensitive_body_parts`."""

    scope: Scope = Scope.NONE
    modalities: frozenset[str] = frozenset()
    sensitive_body_parts: frozenset[str] = frozenset()


CLOSED = Policy()


class Kind(StrEnum):
    """Why a study was opened to somebody. An emergency is what one opens to oneself: the broken glass."""

    REFERRAL = "referral"
    CONSULTATION = "consultation"
    GRANT = "grant"
    QUALITY = "quality"
    EMERGENCY = "emergency"


@dataclass(frozen=True, slots=True)
class Grant:
    """What opens a study: to a facility, one of its departments (facility and code), or one user; in force from
    `since` until before `until`. `sensitive`: also where the study is marked as sensitive."""

    kind: Kind
    since: datetime
    until: datetime
    to_facility: str | None = None
    to_department: tuple[str, str] | None = None
    to_user: str | None = None
    sensitive: bool = False


class Objection(StrEnum):
    """What the patient said."""

    NONE = "none"
    ORDINARY = "ordinary"  # nobody elsewhere, but in an emergency
    ABSOLUTE = "absolute"  # nobody elsewhere


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """All that is known of a study by which access to it is decided."""

    facility: str  # that owns it
    policy: Policy = CLOSED
    modalities: frozenset[str] = frozenset()
    body_parts: frozenset[str] = frozenset()  # of its series
    registered_at: frozenset[str] = frozenset()  # facilities that know the same person
    grants: tuple[Grant, ...] = ()
    objection: Objection = Objection.NONE
    marked: bool = False  # as sensitive: a member of the staff, somebody known
    embargo_until: datetime | None = None
    links: Mapping[int, datetime] = field(default_factory=dict)  # share links that name it: until when

    @property
    def is_withheld(self) -> bool:
        """Whether its owner's policy keeps it, by a body part."""
        return not self.policy.sensitive_body_parts.isdisjoint(self.body_parts)
