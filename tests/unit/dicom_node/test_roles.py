"""Which role a service needs, and whether one more association may be opened."""

from __future__ import annotations

from typing import Any

import pytest

from dicom_node.admission import LOCAL_LIMIT, PRESENTATION, TRANSIENT, over_limit
from dicom_node.contexts import choose
from dicom_node.roles import RETRIEVE, STORE, denied, role_of
from dicom_node.services import SERVICES
from dicom_node.syntaxes import EXPLICIT, IMPLICIT, VERIFICATION
from storage.devices import ROLES, RegisteredDevice

QUERY = "query"

CT, FIND, PRINTING = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.1.9"
PRIVATE, TO_COME = "1.2.3.4", "1.2.840.10008.5.1.4.1.1.999"


@pytest.mark.parametrize(
    ("abstract_syntax", "role"),
    [(VERIFICATION, ""), (CT, STORE), (PRIVATE, STORE), (TO_COME, STORE), (FIND, QUERY), (PRINTING, "")],
)
def test_role_of(abstract_syntax: str, role: str) -> None:
    assert role_of(abstract_syntax) == role


def test_each_service_asks_for_a_role_that_devices_can_have() -> None:
    assert {service.role for service in SERVICES.values()} <= {*ROLES, ""}


@pytest.mark.parametrize(
    ("roles", "received", "refused"),
    [
        ((STORE, QUERY, RETRIEVE), (), set()),
        ((), (), {CT, FIND}),
        ((STORE,), (), {FIND}),
        ((QUERY,), (), {CT}),
        ((RETRIEVE,), (), {CT, FIND}),
        ((RETRIEVE,), (CT,), {FIND}),
        ((QUERY,), (CT,), {CT}),
    ],
)
def test_denied(roles: tuple[str, ...], received: tuple[str, ...], refused: set[str]) -> None:
    assert denied([VERIFICATION, CT, FIND, PRINTING], roles, received) == refused


def device(title: str = "CT1", **more: Any) -> RegisteredDevice:
    return RegisteredDevice(**({"facility": "NORTH", "ae_title": title, "address": "10.0.0.1/32"} | more))


def test_limits_of_a_device_and_of_its_facility() -> None:
    """PS3.8 9.3.4: rejected-transient, service-provider (presentation related), local-limit-exceeded."""
    limited = device(associations_max=2)
    assert over_limit(limited, mine=1, shared=1, facility_max=10) is None
    refusal = over_limit(limited, mine=2, shared=2, facility_max=10)
    assert refusal is not None
    assert (refusal.result, refusal.source, refusal.diagnostic) == (TRANSIENT, PRESENTATION, LOCAL_LIMIT)
    assert over_limit(device(), mine=0, shared=3, facility_max=4) is None
    assert over_limit(device(), mine=0, shared=3, facility_max=3) is not None


def test_an_emergency_device_has_room_beside_a_backfill() -> None:
    stroke = device("STROKE", emergency=True, associations_max=1)
    assert over_limit(stroke, mine=0, shared=10, facility_max=10) is None
    assert over_limit(stroke, mine=1, shared=10, facility_max=10) is not None


def test_the_preferred_transfer_syntax_of_a_device() -> None:
    jpeg, j2k = "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90"
    assert choose([IMPLICIT, EXPLICIT, jpeg, j2k]) == EXPLICIT
    assert choose([IMPLICIT, EXPLICIT, jpeg, j2k], [j2k, jpeg]) == j2k
    assert choose([IMPLICIT, EXPLICIT, jpeg], [j2k, jpeg]) == jpeg
    assert choose([IMPLICIT, EXPLICIT], [j2k]) == EXPLICIT
    assert choose([EXPLICIT, IMPLICIT], [IMPLICIT]) == IMPLICIT
