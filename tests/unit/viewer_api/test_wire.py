"""The server's one message more than ASGI has: offered to every application, and taken only where it can be kept."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from viewer_api.wire import LENT, Wire

PIECES = [b"head", b"x" * 1_000_000, b"tail"]
LENGTH = sum(map(len, PIECES))


async def application(scope: Any, receive: Any, send: Any) -> None:
    """The path says what of the head is told: the length, a wrong one, or none."""
    if scope["type"] != "http":
        return
    assert LENT in scope["extensions"], "uvicorn no longer starts its tasks as it did"
    said = {"/told": LENGTH, "/more": LENGTH + 1, "/less": LENGTH - 1}.get(scope["path"])
    headers = [] if said is None else [(b"content-length", str(said).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": LENT, "pieces": iter(PIECES)})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(application, http=Wire, log_config=None, lifespan="off"))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([door])))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield door.getsockname()[1]
        server.should_exit = True
        thread.join(10)


def test_what_is_lent_comes_whole_and_the_connection_goes_on(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for _ in range(3):
        connection.request("GET", "/told")
        answer = connection.getresponse()
        assert answer.read() == b"".join(PIECES)
    connection.close()


@pytest.mark.parametrize("path", ["/more", "/less", "/unknown"])
def test_an_answer_of_another_length_is_broken(port: int, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    connection.close()
