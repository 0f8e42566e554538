"""`tongying up` as an operator meets it: one clear line where it cannot start, nothing left when it is killed."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import psutil

from tests.support.server import Server, eventually


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


def test_killed_it_leaves_nothing_and_starts_again(own_server: Server) -> None:
    assert own_server.process is not None
    parts = psutil.Process(own_server.process.pid).children()
    assert len(parts) >= 6, "node, two workers, clock, exchange, API"
    os.kill(own_server.process.pid, signal.SIGKILL)
    own_server.process.wait(10)
    eventually(lambda: not any(alive(p) for p in parts), 30, "its parts end with it")
    own_server.start()
    assert own_server.client.get("/api/me").status_code == 200


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
