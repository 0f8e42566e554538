"""Who asks, and what they may do. One function decides, and `storage.index.visibility` is its SQL twin."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """Roles of users: an administrator is the region's, or of one facility. A device is what calls the DICOM node, a
    system an API client. Who has no role that another list names may do nothing."""

    ADMINISTRATOR = "administrator"
    CLINICIAN = "clinician"
    RADIOLOGIST = "radiologist"
    TECHNOLOGIST = "technologist"
    AUDITOR = "auditor"
    DEVICE = "device"
    SYSTEM = "system"
    LINK = "link"  # who holds a share link


class Purpose(StrEnum):
    """Why somebody asks."""

    TREATMENT = "treatment"


STORING_ROLES = frozenset({Role.ADMINISTRATOR, Role.SYSTEM})  # by HTTP; a device's own roles are the gate's
REJECTING_ROLES = frozenset(
    {Role.ADMINISTRATOR}
)  # who see and empty the recycle bin; devices send notes as they store
SEEING_ROLES = frozenset({Role.ADMINISTRATOR, Role.DEVICE, Role.SYSTEM})


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a user, a device, a system or a share link."""

    name: str
    role: Role
    facility: str | None = None  # its own; None for the region's own staff
    purpose: Purpose = Purpose.TREATMENT
    scopes: frozenset[str] | None = None  # what this sign-in is limited to; None: to nothing

    def __post_init__(self) -> None:
        if self.role in (Role.DEVICE, Role.SYSTEM) and self.facility is None:
            raise ValueError("a device or system belongs to a facility")


def may_store(principal: Principal, facility: str) -> bool:
    """Whether studies may be added to those that a facility owns."""
    return principal.role in STORING_ROLES and principal.facility in (None, facility)


def may_reject(principal: Principal, facility: str) -> bool:
    """Whether what a facility owns may be rejected, restored and erased."""
    return principal.role in REJECTING_ROLES and principal.facility in (None, facility)


def may_see(principal: Principal, facility: str) -> bool:
    """Whether studies that a facility owns may be seen."""
    return principal.role in SEEING_ROLES and principal.facility in (None, facility)
