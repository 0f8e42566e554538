"""Long answers, which a thread sends from the pack's file: whole for slow clients, nothing lost with those that leave
or hang, and what breaks is seen to be broken."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.test_large_objects import Volume, post, volume
from tests.support.server import Server
from tests.support.watch import settled, use, whole
from viewer_api.wire import THREADS_MAX

FRAMES = 20  # 42 MB: more than a socket takes
AS_RECEIVED = "application/dicom; transfer-syntax=*"
SOON_SECONDS = 5


@pytest.fixture(scope="module")
def stored(server: Server) -> Volume:
    sent = volume(FRAMES)
    post(server, sent)
    settled(server, 60)
    return sent


def path(sent: Volume) -> str:
    return f"/dicom-web/studies/{sent.study}/series/{sent.series}/instances/{sent.instance}"


@pytest.fixture(scope="module")
def bytes_of(server: Server, stored: Volume) -> bytes:
    """Its Part 10 bytes; the data set is known to be what was sent."""
    got = server.client.get(path(stored), headers={"Accept": AS_RECEIVED}).raise_for_status().content
    assert got[-stored.size :] == b"".join(stored.pieces())
    return got


def request_of(server: Server, sent: Volume, method: str = "GET", **more: str) -> bytes:
    headers = {
        "Host": "x", "Authorization": server.client.headers["Authorization"], "Accept": AS_RECEIVED,
        "Accept-Encoding": "identity", **more,
    }  # fmt: skip
    lines = [f"{method} {path(sent)} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@contextlib.contextmanager
def asking(server: Server, *requests: bytes, buffer_bytes: int = 0) -> Iterator[socket.socket]:
    """A connection on which this was asked, and nothing read yet."""
    with socket.socket() as connection:
        if buffer_bytes:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        connection.settimeout(30)
        connection.connect(("127.0.0.1", server.http_port))
        connection.sendall(b"".join(requests))
        yield connection


def answers(
    connection: socket.socket, count: int, pause_seconds: float = 0, method: str = "GET"
) -> Iterator[bytes]:
    """The bodies of so many answers, one behind the other."""
    for _ in range(count):
        response = http.client.HTTPResponse(_Kept(connection), method=method)  # type: ignore[arg-type]
        response.begin()
        assert response.status in (200, 206)
        body = bytearray()
        while piece := response.read(256 * 1024):
            body += piece
            time.sleep(pause_seconds)
        yield bytes(body)


class _Kept:
    """A connection of which an answer reads its own bytes only."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def makefile(self, _mode: str) -> object:
        return self._connection.makefile("rb", buffering=0)


def test_a_slow_client_gets_every_byte(server: Server, stored: Volume, bytes_of: bytes) -> None:
    with asking(server, request_of(server, stored), buffer_bytes=64 * 1024) as connection:
        (body,) = answers(connection, 1, pause_seconds=0.01)
    assert hashlib.sha256(body).digest() == hashlib.sha256(bytes_of).digest()


def test_two_in_a_row_on_one_connection(server: Server, stored: Volume, bytes_of: bytes) -> None:
    """The second is asked for before the first is answered."""
    some = request_of(server, stored, Range=f"bytes=5-{2**23}")
    with asking(server, some, request_of(server, stored), some) as connection:
        assert list(answers(connection, 3)) == [bytes_of[5 : 2**23 + 1], bytes_of, bytes_of[5 : 2**23 + 1]]


def test_head_has_the_length_alone(server: Server, stored: Volume, bytes_of: bytes) -> None:
    with asking(server, request_of(server, stored, "HEAD")) as connection:
        assert list(answers(connection, 1, method="HEAD")) == [b""]
        connection.sendall(request_of(server, stored, Range="bytes=-2000000"))
        assert list(answers(connection, 1)) == [bytes_of[-2000000:]]


def test_what_is_no_request_ends_the_answer_before_it(
    server: Server, stored: Volume, bytes_of: bytes
) -> None:
    """And is not answered in the middle of it."""
    with asking(server, request_of(server, stored), buffer_bytes=64 * 1024) as connection:
        got = bytearray(connection.recv(100_000))
        connection.sendall(b"\0 no request\r\n\r\n")
        time.sleep(2)  # it is read while the answer cannot go on: most of it does not fit into both buffers
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(1024 * 1024):
                got += piece
    _, _, body = bytes(got).partition(b"\r\n\r\n")
    assert len(body) < len(bytes_of)
    assert bytes_of.startswith(body)


def test_many_that_hang_hold_nobody_up(server: Server, stored: Volume, bytes_of: bytes) -> None:
    """More than there are threads that send: each is waited for without one."""
    with contextlib.ExitStack() as hanging:
        for _ in range(4 * THREADS_MAX):
            hanging.enter_context(asking(server, request_of(server, stored), buffer_bytes=64 * 1024))
        time.sleep(1)
        for _ in range(4):
            start = time.monotonic()
            frame = server.client.get(
                path(stored) + "/frames/1", headers={"Accept": "application/octet-stream"}
            )
            assert frame.status_code == 200
            with asking(server, request_of(server, stored)) as connection:
                assert list(answers(connection, 1)) == [bytes_of]
            assert time.monotonic() - start < SOON_SECONDS


def test_who_leaves_takes_everything_along(server: Server, stored: Volume, bytes_of: bytes) -> None:
    before, said = use(server, "viewer_api"), server.log.stat().st_size

    def leave(number: int) -> None:
        with asking(server, request_of(server, stored)) as connection:
            connection.recv(number * 50_000)
            if number % 2:
                connection.shutdown(socket.SHUT_RDWR)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(leave, range(1, 41)))
    deadline = time.monotonic() + 20
    while use(server, "viewer_api").files > before.files + 4:
        assert time.monotonic() < deadline, (before, use(server, "viewer_api"))
        time.sleep(0.1)
    assert use(server, "viewer_api").pids == before.pids
    assert "Traceback" not in server.log.read_text()[said:], "it is no error to leave"


def test_many_at_once(server: Server, stored: Volume, bytes_of: bytes) -> None:
    failed = []

    def get(number: int) -> None:
        start = number * 1000
        with asking(server, request_of(server, stored, Range=f"bytes={start}-")) as connection:
            if list(answers(connection, 1)) != [bytes_of[start:]]:
                failed.append(number)

    threads = [threading.Thread(target=get, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []


@contextlib.contextmanager
def damaged(server: Server, sent: Volume, damage: str) -> Iterator[None]:
    """Its pack is shorter by half, or gone, in the block."""
    packs = (server.data / "objects" / "packs").rglob("*.pack")
    large = (file for file in packs if file.stat().st_size >= sent.size)
    pack = next(file for file in large if sent.instance.encode() in file.read_bytes())
    aside, size = pack.with_name(f".{pack.name}.aside"), pack.stat().st_size
    os.link(pack, aside) if damage == "gone" else aside.write_bytes(pack.read_bytes())
    pack.unlink() if damage == "gone" else os.truncate(pack, size // 2)
    try:
        yield
    finally:
        aside.rename(pack)


def test_a_pack_that_is_gone_is_told(server: Server, stored: Volume, bytes_of: bytes) -> None:
    with damaged(server, stored, "gone"):
        answer = server.client.get(path(stored), headers={"Accept": AS_RECEIVED})
    assert answer.status_code == 503
    assert answer.json()["type"].endswith("object-missing")


def test_what_is_broken_breaks_off(server: Server, stored: Volume, bytes_of: bytes) -> None:
    """The client has fewer bytes than were announced, all of them true; and the next one is served."""
    with damaged(server, stored, "cut"), asking(server, request_of(server, stored)) as connection:
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.length == len(bytes_of)
        with pytest.raises(http.client.IncompleteRead) as broken:
            response.read()
    assert bytes_of.startswith(broken.value.partial)
    assert len(broken.value.partial) > 1_000_000
    again = server.client.get(path(stored), headers={"Accept": AS_RECEIVED})
    assert again.content == bytes_of


def test_all_is_there_still(server: Server, stored: Volume, workspace: Path) -> None:
    whole(server)
