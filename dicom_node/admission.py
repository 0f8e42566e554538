"""Admission: what an A-ASSOCIATE-RQ must pass, one thing after the other, and what is said to who does not pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage.devices import RegisteredDevice

if TYPE_CHECKING:
    from dicom_node.association import NodeAssociation

PERMANENT, TRANSIENT = 1, 2  # result of an A-ASSOCIATE-RJ, PS3.8 table 9-21
USER, PRESENTATION = 1, 3  # its source: service-user, service-provider (presentation related)
NO_REASON, CALLING_NOT_RECOGNISED, CALLED_NOT_RECOGNISED = 1, 3, 7  # reasons of the service-user
CONGESTION, LOCAL_LIMIT = 1, 2  # reasons of the service-provider


@dataclass(frozen=True, slots=True)
class Refusal:
    """An A-ASSOCIATE-RJ, and in words why it is sent, for the log: no field of the PDU holds them."""

    result: int
    source: int
    diagnostic: int
    reason: str


def forbidden(diagnostic: int, reason: str) -> Refusal:
    """For who may not, today and tomorrow."""
    return Refusal(PERMANENT, USER, diagnostic, reason)


def too_many(reason: str) -> Refusal:
    """For who may try again: local limit exceeded."""
    return Refusal(TRANSIENT, PRESENTATION, LOCAL_LIMIT, reason)


def over_limit(device: RegisteredDevice, *, mine: int, shared: int, facility_max: int) -> Refusal | None:
    """Whether there is no room for one more association of a device, which has `mine` open, and its facility `shared`,
    emergency devices not counted.

    An emergency device is not held up by what its facility does otherwise, and takes nothing of its share.
    """
    if device.associations_max is not None and mine >= device.associations_max:
        return too_many(f"the device has {mine} associations open, and may have {device.associations_max}")
    if shared >= facility_max and not device.emergency:
        return too_many(
            f"the facility has {shared} associations open: TONGYING_ASSOCIATIONS_PER_FACILITY_MAX"
        )
    return None


def admit(association: NodeAssociation, calling: str, called: str) -> RegisteredDevice | Refusal:
    """Who calls, counted as one of its associations; or why it is refused."""
    verdict = association.gate.admit(
        peer=association.peer, calling=calling, called=called, certificate=association.certificate
    )
    if verdict.device is None:
        return forbidden(verdict.diagnostic, verdict.reason)
    if not verdict.device.roles:
        return forbidden(NO_REASON, "the device has no role: tongying device change")
    user = association.users.check(
        association.requestor.user_identity, association.peer, verdict.device.facility
    )
    if isinstance(user, Refusal):
        return user
    association.user = user
    return association.place.admit(verdict.device) or verdict.device
