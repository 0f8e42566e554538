"""The gate of a running node: roles, limits and timers, and what who is refused is told (PS3.8 9.3.3.2, 9.3.4)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_node.services import SERVICES
from tests.support import pdu
from tests.support.pdu import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    CT,
    EXPLICIT,
    IMPLICIT,
    VERIFICATION,
    Context,
    Peer,
    made,
)
from tests.support.server import Server
from tests.support.watch import knows_device, settled, sop_uids, whole

FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{n}" for n in (1, 2, 3))
MWL, MPPS, COMMITMENT = "1.2.840.10008.5.1.4.31", "1.2.840.10008.3.1.2.3.3", "1.2.840.10008.1.20.1"
J2K, JPEG = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.70"
ASKED: tuple[Context, ...] = tuple(
    (uid, (IMPLICIT,)) for uid in (VERIFICATION, CT, COMMITMENT, FIND, MOVE, GET, MWL, MPPS)
)
LOCAL_LIMIT = (
    b"\x02\x03\x02"  # rejected-transient, service-provider (presentation related), local-limit-exceeded
)
FACILITY_MAX, IDLE_SECONDS = 4, 3
# AE title → options, all at the loopback address.
DEVICES: dict[str, tuple[str, ...]] = {
    "ONLYSTORE": ("--role", "store"),
    "ONLYQUERY": ("--role", "query"),
    "ONLYGET": ("--role", "retrieve"),
    "NOTHING": ("--role", ""),
    "LIKESJ2K": ("--syntax", J2K, "--syntax", JPEG),
    "TWOATONCE": ("--associations-max", "2", "--facility", "LIMITED"),
    "BACKFILL": ("--facility", "CROWDED"),
    "STROKE": ("--facility", "CROWDED", "--emergency"),
}


@pytest.fixture(scope="module")
def server(workspace: Path) -> Iterator[Server]:
    limits = {
        "TONGYING_NODE_PROCESSES": "2",  # limits hold for both together
        "TONGYING_ASSOCIATIONS_PER_FACILITY_MAX": str(FACILITY_MAX),
        "TONGYING_ASSOCIATION_IDLE_SECONDS": str(IDLE_SECONDS),
    }
    running = Server(workspace / "gate", extra=limits).start()
    for facility in ("LIMITED", "CROWDED"):
        running.run("facility", "add", facility)
    for title, options in DEVICES.items():
        running.run("device", "add", title, "127.0.0.0/8", *options)
    knows_device(running, list(DEVICES)[-1])
    yield running
    whole(running)
    running.remove()


def kind_for(server: Server, calling: str) -> int:
    with pdu.peer(server.dicom_port) as caller:
        return caller.associate(calling=calling).kind


@contextlib.contextmanager
def calls(
    server: Server, calling: str, contexts: tuple[Context, ...] = ASKED
) -> Iterator[tuple[Peer, pdu.Pdu]]:
    with pdu.peer(server.dicom_port) as caller:
        yield caller, caller.associate(contexts, calling=calling)


def rejected(server: Server, calling: str, role: str = "") -> set[str]:
    """The abstract syntaxes that are rejected by user rejection."""
    more = pdu.role_selection(role, scp=True) if role else b""
    with pdu.peer(server.dicom_port) as caller:
        answer = caller.associate(ASKED, calling=calling, more=more)
        assert answer.kind == ASSOCIATE_AC
        caller.release()
    found = pdu.results(answer)
    return {ASKED[number // 2][0] for number, (result, _) in found.items() if result == 1}


def served(*abstract_syntaxes: str) -> set[str]:
    """Those that the node serves at all; the others are "abstract syntax not supported" for everybody."""
    return set(abstract_syntaxes) & {CT, *SERVICES}


def test_roles_are_enforced_when_contexts_are_negotiated(server: Server) -> None:
    assert rejected(server, "ONLYSTORE") == served(FIND, MOVE, GET, MWL, MPPS)
    assert rejected(server, "ONLYQUERY") == served(CT, COMMITMENT, MOVE, GET, MWL, MPPS)
    assert rejected(server, "ONLYGET") == served(CT, COMMITMENT, FIND, MWL, MPPS)
    assert rejected(server, "ANYBODY") == set()


def test_who_may_retrieve_may_receive_by_c_get_but_not_store(server: Server) -> None:
    """PS3.4 C.5.3: who asks for C-GET proposes the storage classes, itself as their SCP."""
    assert rejected(server, "ONLYGET", role=CT) == served(COMMITMENT, FIND, MWL, MPPS)
    one = pdu.made()
    with pdu.peer(server.dicom_port) as caller:
        more = pdu.role_selection(CT, scp=True)
        caller.associate([(CT, (EXPLICIT,))], calling="ONLYGET", more=more)
        caller.send(*pdu.message(pdu.store_rq(one.instance), one.data))
        answer = caller.read()
        if answer is not None and answer.kind != ABORT:  # refused: not authorised, PS3.7 C.5.19
            assert pdu.read_elements(answer.body[6:])[0x0900] == b"\x24\x01"
    settled(server)
    assert sop_uids(server, one.study) == []


def test_everybody_may_echo(server: Server) -> None:
    for calling in ("ONLYSTORE", "ONLYQUERY", "ONLYGET"):
        with calls(server, calling, ((CT, (EXPLICIT,)), (VERIFICATION, (IMPLICIT,)))) as (caller, _):
            assert caller.echo() == 0
            caller.release()


def test_a_device_without_a_role_is_refused(server: Server) -> None:
    """rejected-permanent, service-user, no-reason-given."""
    with calls(server, "NOTHING") as (caller, answer):
        assert (answer.kind, answer.body[1:]) == (ASSOCIATE_RJ, b"\x01\x01\x01")
        caller.ends()


def test_the_transfer_syntax_that_a_device_shall_use(server: Server) -> None:
    offered = ((CT, (EXPLICIT, JPEG, J2K)), (CT, (IMPLICIT, JPEG)), (CT, (IMPLICIT, EXPLICIT)))
    with calls(server, "LIKESJ2K", offered) as (caller, answer):
        caller.release()
    assert [syntax for _, (_, syntax) in sorted(pdu.results(answer).items())] == [J2K, JPEG, EXPLICIT]


@contextlib.contextmanager
def held(server: Server, calling: str, count: int) -> Iterator[list[Peer]]:
    """Associations that are open."""
    with contextlib.ExitStack() as stack:
        open_ones = []
        for _ in range(count):
            caller, answer = stack.enter_context(calls(server, calling))
            assert answer.kind == ASSOCIATE_AC
            open_ones.append(caller)
        yield open_ones


def test_a_device_has_so_many_associations_at_once(server: Server) -> None:
    with held(server, "TWOATONCE", 2) as callers:
        with calls(server, "TWOATONCE") as (third, answer):
            assert (answer.kind, answer.body[1:]) == (ASSOCIATE_RJ, LOCAL_LIMIT)
            third.ends()
        callers[0].release()
        assert kind_for(server, "TWOATONCE") == ASSOCIATE_AC, "a released one makes room at once"
    assert "the device has 2 associations open" in server.tail(20_000)


def test_a_facility_has_so_many_associations_at_once_and_its_emergencies_more(server: Server) -> None:
    with held(server, "BACKFILL", FACILITY_MAX):
        with calls(server, "BACKFILL") as (caller, answer):
            assert (answer.kind, answer.body[1:]) == (ASSOCIATE_RJ, LOCAL_LIMIT)
            caller.ends()
        assert kind_for(server, "STROKE") == ASSOCIATE_AC
        assert kind_for(server, "TWOATONCE") == ASSOCIATE_AC, "another facility notices nothing"
    assert "TONGYING_ASSOCIATIONS_PER_FACILITY_MAX" in server.tail(20_000)


def test_released_associations_make_room_at_once(server: Server) -> None:
    for _ in range(30):
        with held(server, "TWOATONCE", 2) as callers:
            for caller in callers:
                caller.release()


def test_an_idle_association_is_aborted(server: Server) -> None:
    with calls(server, "ANYBODY") as (caller, _):
        began = time.monotonic()
        assert caller.ends() == [ABORT]
        assert IDLE_SECONDS - 1 < time.monotonic() - began < IDLE_SECONDS + 8


def test_a_pdu_that_drips_in_is_not_waited_for(server: Server) -> None:
    """A byte now and then is no silence; but a PDU has its time as a whole."""
    with calls(server, "ANYBODY") as (caller, _):
        began = time.monotonic()
        with contextlib.suppress(OSError):
            for byte in pdu.pdu(pdu.P_DATA, bytes(500)):
                caller.send(bytes([byte]))
                time.sleep(0.5)
                if time.monotonic() - began > 30:
                    break
        assert time.monotonic() - began < 3 * IDLE_SECONDS


def test_a_store_that_takes_long_is_not_idle(server: Server) -> None:
    """Longer than the time after which a silent peer is left: what flows is waited for, and its association goes on."""
    one = made(pixels=bytes(500_000))
    with calls(server, "ANYBODY", ((CT, (EXPLICIT,)), (VERIFICATION, (EXPLICIT,)))) as (caller, _):
        for piece in pdu.message(pdu.store_rq(one.instance), one.data, piece=len(one.data) // 12):
            caller.send(piece)
            time.sleep(0.5)
        assert caller.answer().status == 0
        time.sleep(0.5)
        assert caller.echo() == 0
        caller.release()
