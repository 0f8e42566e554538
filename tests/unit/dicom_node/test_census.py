"""The census of open connections: limits hold for all processes of a node together, also after one was killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from dicom_node.census import Census, Crowded, Limits
from storage.devices import RegisteredDevice


def census(total: int = 20, peer: int = 5, facility: int = 4) -> Census:
    return Census(Limits(total_max=total, peer_max=peer, facility_max=facility))


def device(title: str = "CT1", **more: Any) -> RegisteredDevice:
    return RegisteredDevice(**({"facility": "NORTH", "ae_title": title, "address": "10.0.0.1/32"} | more))


def in_a_fork(work: Callable[[], None]) -> int:
    """The status of a process that does it; it ends without a word to the parent."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_an_address_has_so_many_connections() -> None:
    mine = census(peer=2)
    places = [mine.enter(1, "10.0.0.1"), mine.enter(2, "10.0.0.1")]
    with pytest.raises(Crowded, match="2 associations of this address") as full:
        mine.enter(1, "10.0.0.1")
    assert full.value.of_peer
    mine.enter(1, "10.0.0.2")
    places[0].leave()
    places[0].leave()  # it is no other's row by now
    mine.enter(2, "10.0.0.1")
    with pytest.raises(Crowded):
        mine.enter(1, "10.0.0.1")


def test_there_is_room_for_so_many() -> None:
    mine = census(total=3, peer=10)
    for n in range(3):
        mine.enter(1, f"10.0.0.{n}")
    with pytest.raises(Crowded, match="3 associations are open") as full:
        mine.enter(2, "10.0.0.9")
    assert not full.value.of_peer


def test_devices_and_facilities_and_emergencies() -> None:
    mine = census(peer=20, facility=3)
    first, second = mine.enter(1, "a"), mine.enter(2, "a")
    assert first.admit(device(associations_max=1)) is None
    assert second.admit(device(associations_max=1)) is not None
    assert second.admit(device("CT2")) is None
    assert mine.enter(1, "a").admit(device("CT3")) is None
    refused = mine.enter(1, "a")
    assert refused.admit(device("CT4")) is not None
    assert refused.admit(device("CT4", facility="SOUTH")) is None
    assert mine.enter(1, "a").admit(device("STROKE", emergency=True)) is None
    first.release()  # the association is over, the connection not yet
    assert mine.enter(1, "a").admit(device("CT5")) is None


def test_the_same_title_elsewhere_is_another_device() -> None:
    mine = census()
    assert mine.enter(1, "a").admit(device(associations_max=1)) is None
    assert mine.enter(1, "b").admit(device(associations_max=1, address="10.0.0.2/32")) is None


def test_processes_share_it() -> None:
    mine = census(peer=2)
    assert in_a_fork(lambda: mine.enter(2, "a").release()) == 0
    mine.enter(1, "a")
    with pytest.raises(Crowded):
        mine.enter(1, "a")
    mine.strike_off(2)
    mine.enter(1, "a")


def test_who_is_killed_with_the_lock_holds_up_nobody() -> None:
    mine = census()

    def die() -> None:
        with mine._locked():
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_a_fork(die) == -signal.SIGKILL
    mine.enter(1, "a")


def test_who_has_more_is_busier() -> None:
    mine = census()
    assert not mine.busier(1, 2)
    place = mine.enter(1, "a")
    assert mine.busier(1, 2)
    assert not mine.busier(2, 2)
    assert not mine.busier(1, 1)
    place.leave()
    assert not mine.busier(1, 2)
