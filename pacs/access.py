"""Who asks, and what they may do. One function decides, `may`, and `storage.index.visibility` is its SQL twin
(docs/decisions/0027)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pacs.sharing import Grant, Kind, Objection, Scope, StudyFacts


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
    REFERRAL = "referral"
    CONSULTATION = "consultation"
    EMERGENCY = "emergency"
    QUALITY = "quality"
    AUDIT = "audit"


class Action(StrEnum):
    """What somebody wants to do with a study. To find, to see and to retrieve it is one thing to us: what is listed can
    be had, at every door."""

    FIND = "find"
    SEE = "see"
    RETRIEVE = "retrieve"
    STORE = "store"
    REJECT = "reject"
    SHARE = "share"
    ADMINISTER = "administer"
    AUDIT = "audit"


class Reason(StrEnum):
    """Why it is allowed."""

    OPERATOR = "operator"  # the region's administrator
    OWN = "own"  # of the asker's own facility
    POLICY = "policy"  # its owner shares it
    GRANT = "grant"
    EMERGENCY = "emergency"
    LINK = "link"


# Tuples, and no sets: an enumerator is found by identity, while its hash is taken in Python. Those that each decision
# looks at have names of their own: to find one in its class takes as long as to compare five.
ADMINISTRATOR, LINK = Role.ADMINISTRATOR, Role.LINK
CLOSED_TO_ALL, TO_REGISTERED, UNOBJECTED = Scope.NONE, Scope.REGISTERED, Objection.NONE
BY_POLICY = Reason.POLICY
READING = (Action.FIND, Action.SEE, Action.RETRIEVE)
CARE = (Purpose.TREATMENT, Purpose.REFERRAL, Purpose.CONSULTATION, Purpose.EMERGENCY)
PROFESSIONALS = (Role.CLINICIAN, Role.RADIOLOGIST)  # who see what others share, and may share
# Who make, read and look after a facility's studies: also the embargoed ones, and those marked as sensitive.
WORKING = (Role.ADMINISTRATOR, Role.RADIOLOGIST, Role.TECHNOLOGIST, Role.DEVICE, Role.SYSTEM)
REVIEWING = (Role.ADMINISTRATOR, Role.RADIOLOGIST)  # for the purpose of quality
USERS = (Role.ADMINISTRATOR, Role.CLINICIAN, Role.RADIOLOGIST, Role.TECHNOLOGIST, Role.AUDITOR)
OPERATING = (Role.ADMINISTRATOR, Role.DEVICE)  # see what a facility owns besides studies: queues, incidents
ADMINISTERING = (Role.ADMINISTRATOR,)  # they store by HTTP, reject, and look after a facility
SHARING = (*PROFESSIONALS, *ADMINISTERING)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a user, a device, a system or a share link."""

    name: str
    role: Role
    facility: str | None = None  # its own; None for the region's own staff
    purpose: Purpose = Purpose.TREATMENT
    department: str | None = None  # of its facility
    link: int | None = None  # the number of a share link
    scopes: frozenset[str] | None = None  # what this sign-in is limited to; None: to nothing

    def __post_init__(self) -> None:
        if self.role in (Role.DEVICE, Role.SYSTEM) and self.facility is None:
            raise ValueError("a device or system belongs to a facility")

    @property
    def is_operator(self) -> bool:
        """Whether it is the region's administrator, who looks after the whole archive."""
        return self.role is Role.ADMINISTRATOR and self.facility is None


def may(principal: Principal, action: Action, study: StudyFacts, purpose: Purpose, at: datetime) -> bool:
    """Whether somebody may do something with a study, for a purpose, at a moment."""
    return reason(principal, action, study, purpose, at) is not None


def reason(
    principal: Principal, action: Action, study: StudyFacts, purpose: Purpose, at: datetime
) -> Reason | None:
    """Why they may; None if they may not."""
    role, own = principal.role, study.facility == principal.facility
    if role is ADMINISTRATOR and principal.facility is None:
        return Reason.OPERATOR
    if action in READING:
        return _reading(principal, own, study, purpose, at)
    if not own:
        return None
    if action is Action.SHARE:
        return _reading(principal, own, study, purpose, at) if role in SHARING else None
    if action is Action.AUDIT:
        return Reason.OWN if role in (Role.AUDITOR, *ADMINISTERING) else None
    return Reason.OWN if role in ADMINISTERING else None


def _reading(
    principal: Principal, own: bool, study: StudyFacts, purpose: Purpose, at: datetime
) -> Reason | None:
    role, until, grants = principal.role, study.embargo_until, study.grants
    embargoed = until is not None and at < until
    if role is LINK:
        link = study.links.get(principal.link) if principal.link is not None else None
        return Reason.LINK if link is not None and at < link and not embargoed else None
    if own and reads_own(role, purpose) and (role in WORKING or not (embargoed or study.marked)):
        return Reason.OWN
    if embargoed or role not in PROFESSIONALS:
        return None
    if not own and purpose in CARE and _shared(principal, study):
        return BY_POLICY
    return _granted(principal, study, purpose, at) if grants else None


def reads_own(role: Role, purpose: Purpose) -> bool:
    """Whether a role reads the studies of its own facility, for a purpose."""
    if purpose in CARE:
        return role in WORKING or role is Role.CLINICIAN
    return purpose is Purpose.QUALITY and role in REVIEWING


def _shared(principal: Principal, study: StudyFacts) -> bool:
    """Whether its owner's policy opens a study to another facility."""
    policy = study.policy
    scope = policy.scope
    if scope is CLOSED_TO_ALL or study.marked or study.objection is not UNOBJECTED:
        return False
    if scope is TO_REGISTERED and principal.facility not in study.registered_at:
        return False
    if policy.modalities and not (study.modalities and study.modalities <= policy.modalities):
        return False
    return not (policy.sensitive_body_parts and study.is_withheld)


def _granted(principal: Principal, study: StudyFacts, purpose: Purpose, at: datetime) -> Reason | None:
    mine = [g for g in study.grants if g.since <= at < g.until and _is_to(principal, g)]
    own = study.facility == principal.facility
    sensitive = study.marked or (not own and study.is_withheld)
    if own or study.objection is Objection.NONE:
        kinds = [g.kind for g in mine if g.sensitive or not sensitive]
        if any(k is not Kind.EMERGENCY and (purpose is Purpose.QUALITY if k is Kind.QUALITY else purpose in CARE)
               for k in kinds):  # fmt: skip
            return Reason.GRANT
    if purpose in CARE and (own or study.objection is not Objection.ABSOLUTE):
        return Reason.EMERGENCY if any(g.kind is Kind.EMERGENCY for g in mine) else None
    return None


def _is_to(principal: Principal, grant: Grant) -> bool:
    if grant.to_user is not None:
        return grant.to_user == principal.name
    if principal.facility is None:
        return False
    if grant.to_department is not None:
        return grant.to_department == (principal.facility, principal.department)
    return grant.to_facility == principal.facility


def may_store(principal: Principal, facility: str) -> bool:
    """Whether studies may be added to those that a facility owns, by HTTP; a device's own roles are the gate's, and an
    API client's scopes are looked at before."""
    is_its_system = principal.role is Role.SYSTEM and principal.facility == facility
    return is_its_system or may_administer(principal, facility)


def may_reject(principal: Principal, facility: str) -> bool:
    """Whether what a facility owns may be rejected, restored and erased. Devices send notes as they store."""
    return may_administer(principal, facility)


def may_administer(principal: Principal, facility: str) -> bool:
    """Whether a facility's devices, users, queues and rules may be seen and changed."""
    return principal.role in ADMINISTERING and principal.facility in (None, facility)
