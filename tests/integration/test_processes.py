"""The node's processes: callers are spread over them, one that is killed costs only its own associations, and they end
with the process that forked them."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support import pdu
from tests.support.pdu import Peer, associated, made
from tests.support.server import Server, eventually
from tests.support.watch import answers, part, settled, sop_uids, whole

PROCESSES = 3


@pytest.fixture(scope="module")
def server(workspace: Path) -> Iterator[Server]:
    extra = {"TONGYING_NODE_PROCESSES": str(PROCESSES), "TONGYING_HTTP_PROCESSES": str(PROCESSES)}
    running = Server(workspace / "processes", extra=extra).start()
    yield running
    whole(running)
    running.remove()


def processes(server: Server, name: str = "dicom_node") -> list[psutil.Process]:
    """The forks that serve, as many as there should be, of a node that answers."""

    def forks() -> list[psutil.Process]:
        found = part(server, name).children()
        return found if len(found) == PROCESSES and answers(server) else []

    found = eventually(forks, 60, "all processes run")
    assert isinstance(found, list)
    return found


def held(process: psutil.Process, port: int) -> int:
    """Connections of callers."""
    return connections(process, port).count(psutil.CONN_ESTABLISHED)


def connections(process: psutil.Process, port: int) -> list[str]:
    """The states of connections at a port, also of those whose caller is gone."""
    found = [c.status for c in process.net_connections("tcp") if c.laddr.port == port]
    return [status for status in found if status != psutil.CONN_LISTEN]


def nobody_calls(server: Server, forks: list[psutil.Process]) -> None:
    eventually(lambda: not any(connections(f, server.dicom_port) for f in forks), 10, "nobody calls")


@contextlib.contextmanager
def callers(server: Server, number: int) -> Iterator[list[Peer]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(associated(server.dicom_port)) for _ in range(number)]


def test_callers_are_spread(server: Server) -> None:
    forks = processes(server)
    nobody_calls(server, forks)
    with callers(server, 2 * PROCESSES):
        assert sorted(held(fork, server.dicom_port) for fork in forks) == [2] * PROCESSES


def test_one_that_was_stopped_goes_on_where_it_was(server: Server) -> None:
    """Within a PDU: a signal cuts its read short (signal(7)), a debugger's look at it too."""
    forks, one = processes(server), made(pixels=bytes(200_000))
    command, data = pdu.message(pdu.store_rq(one.instance), one.data, piece=len(one.data))
    with callers(server, 1) as (peer,):
        peer.send(command, data[:100_000])
        for _ in range(3):
            time.sleep(0.1)
            for number in (signal.SIGSTOP, signal.SIGCONT):
                for fork in forks:
                    os.kill(fork.pid, number)
        peer.send(data[100_000:])
        assert peer.answer().status == 0
        peer.release()


def test_one_that_is_killed_costs_its_own_associations_only(server: Server) -> None:
    """What it acknowledged is there afterwards, and another takes its place."""
    forks = processes(server)
    nobody_calls(server, forks)
    with callers(server, 2 * PROCESSES) as peers:
        acked = {(one := made()).study: one for _ in peers}
        for peer, one in zip(peers, acked.values(), strict=True):
            assert peer.store(one.instance, one.data) == 0
        victim = max(forks, key=lambda one: held(one, server.dicom_port))
        own = held(victim, server.dicom_port)
        assert own >= len(peers) // PROCESSES, "who has most has at least that"
        os.kill(victim.pid, signal.SIGKILL)
        eventually(
            lambda: not victim.is_running() or victim.status() == psutil.STATUS_ZOMBIE, 5, "it is dead"
        )
        served = sum(_serves(peer) for peer in peers)
    assert served == len(peers) - own
    now = processes(server)
    assert {f.pid for f in now} >= {f.pid for f in forks if f != victim}
    settled(server)
    assert {study: sop_uids(server, study) for study in acked} == {
        s: [one.instance] for s, one in acked.items()
    }


def _serves(peer: Peer) -> bool:
    try:
        return peer.echo() == 0
    except (OSError, AssertionError):
        return False


def test_they_end_with_the_one_that_forked_them(server: Server) -> None:
    """Killed, it can tell nobody; a new node serves at the same port, and what was acknowledged is there."""
    forks = processes(server)
    one = made()
    with associated(server.dicom_port) as caller:
        assert caller.store(one.instance, one.data) == 0
    os.kill(part(server, "dicom_node").pid, signal.SIGKILL)
    psutil.wait_procs(forks, timeout=20)
    assert not [f for f in forks if f.is_running()]
    assert {f.pid for f in processes(server)}.isdisjoint(f.pid for f in forks)
    settled(server)
    assert sop_uids(server, one.study) == [one.instance]


def test_an_api_process_that_is_killed_costs_its_own_requests_only(server: Server) -> None:
    forks = processes(server, "viewer_api")
    os.kill(forks[0].pid, signal.SIGKILL)
    client = server.client
    for _ in range(40):  # the first may have been on its connection
        with contextlib.suppress(httpx.TransportError):
            client.get("/dicom-web/studies").raise_for_status()
            break
    for _ in range(20):  # each with a connection of its own
        answer = httpx.get(f"{server.url}/dicom-web/studies", headers=client.headers)
        assert answer.status_code in (200, 204)
    assert {f.pid for f in processes(server, "viewer_api")} > {f.pid for f in forks[1:]}


def test_api_processes_end_with_the_one_that_forked_them(server: Server) -> None:
    forks, parent = processes(server, "viewer_api"), part(server, "viewer_api")
    os.kill(parent.pid, signal.SIGKILL)
    gone, alive = psutil.wait_procs(forks, timeout=15)
    assert not alive
    assert len(gone) == PROCESSES
    eventually(lambda: processes(server, "viewer_api"), 60, "the next ones serve")
    eventually(lambda: httpx.get(f"{server.url}/healthz").is_success, 30, "the port is served again")


def test_wrong_passwords_are_bounded_over_all(server: Server) -> None:
    """An address that guesses meets any of the processes: they count together."""
    form = {"username": "admin", "password": "wrong"}
    tried = [httpx.post(f"{server.url}/api/auth/token", data=form).status_code for _ in range(15)]
    assert tried == [401] * 10 + [429] * 5


def metered(server: Server) -> dict[str, float]:
    """By a connection of its own, hence of any of the processes."""
    lines = httpx.get(f"{server.url}/metrics").raise_for_status().text.splitlines()
    return {
        line.split()[0]: float(line.split()[1])
        for line in lines
        if line and line[0] != "#" and "{" not in line
    }


def test_metrics_are_of_all_processes(server: Server) -> None:
    """Whichever is asked: counters never go back, and memory is that of all."""
    forks = processes(server, "viewer_api")
    told = [metered(server) for _ in range(20)]
    cpu = [one["process_cpu_seconds_total"] for one in told]
    assert cpu == sorted(cpu)
    together = sum(fork.cpu_times().user + fork.cpu_times().system for fork in forks)
    assert cpu[-1] == pytest.approx(together, abs=0.5)
    memory = sum(fork.memory_info().rss for fork in forks)
    for one in told:
        assert one["tongying_api_processes"] == PROCESSES
        assert one["process_resident_memory_bytes"] == pytest.approx(memory, rel=0.2)
