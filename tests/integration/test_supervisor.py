"""`tongying up` as an operator meets it: one clear line where it cannot start, nothing left when it is killed."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.server import Server, alive, eventually
from tests.support.watch import arguments, part


def test_a_taken_port_is_one_clear_line(workspace: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = Server(workspace / "taken-port", http_port=taken.getsockname()[1])
        done = server.command("up", check=False)
    assert done.returncode == 1
    message = " ".join(done.stderr.split())
    assert message.startswith(f"tongying: port {server.http_port} on 127.0.0.1 cannot be used")
    assert "Traceback" not in message
    assert "TONGYING_HTTP_PORT" in message


def test_a_wrong_setting_is_one_clear_line(workspace: Path) -> None:
    server = Server(workspace / "wrong-setting", extra={"TONGYING_TOKEN_SECONDS": "soon"})
    done = server.command("up", check=False)
    assert done.returncode == 1
    assert (
        " ".join(done.stderr.split()) == "tongying: TONGYING_TOKEN_SECONDS must be a whole number, not 'soon'"
    )


@pytest.fixture(scope="module")
def own_server(workspace: Path) -> Iterator[Server]:
    """By a new Python, as users start it; one for all, as what one of them kills is there again."""
    running = Server(workspace / "own-supervisor", anew=True).start()
    yield running
    running.remove()


def test_its_parts_are_forks_of_one_thread_that_holds_nothing(own_server: Server) -> None:
    assert own_server.process is not None
    parent = psutil.Process(own_server.process.pid)
    assert parent.num_threads() == 1
    assert parent.net_connections("all") == []
    assert {f.path for f in parent.open_files()} == {str(own_server.log)}
    started = [arguments(child) for child in parent.children()]
    assert sorted(each[2] for each in started if each[1] == "-m") == [
        "celery", "celery", "dicom_node", "dicom_node.exchange", "viewer_api",
    ]  # fmt: skip
    assert [each for each in started if "worker.clock" in each]


def test_a_part_that_dies_is_there_again(own_server: Server) -> None:
    for module in ("dicom_node", "worker.app", "worker.clock", "dicom_node.exchange", "viewer_api"):
        killed = part(own_server, module)
        killed.kill()
        eventually(lambda: not alive(killed), 10, f"{module} is dead")  # noqa: B023  called now
        assert part(own_server, module).pid != killed.pid
    eventually(own_server._ready, 30, "it serves again")


def test_killed_it_leaves_nothing_and_starts_again(own_server: Server) -> None:
    assert own_server.process is not None
    parts = psutil.Process(own_server.process.pid).children()
    assert len(parts) >= 6, "node, two workers, clock, exchange, API"
    os.kill(own_server.process.pid, signal.SIGKILL)
    own_server.process.wait(10)
    eventually(lambda: not any(alive(p) for p in parts), 30, "its parts end with it")
    own_server.start()
    assert own_server.client.get("/api/me").status_code == 200
