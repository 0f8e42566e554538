"""Who asks, and what they may do. One function decides, and `storage.index.visibility` is its SQL twin."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Role(str, Enum):
    """Roles of users. First light knows administrators only."""

    ADMINISTRATOR = "administrator"


class Purpose(str, Enum):
    """Why somebody asks."""

    TREATMENT = "treatment"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a user, a device, a system or a share link."""

    name: str
    role: Role
    facility: str | None = None  # its own; None for the region's own staff
    purpose: Purpose = Purpose.TREATMENT


def may_see(principal: Principal, facility: str) -> bool:
    """Whether studies that a facility owns may be seen."""
    return principal.role is Role.ADMINISTRATOR and principal.facility in (None, facility)
