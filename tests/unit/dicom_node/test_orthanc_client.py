"""What an Orthanc may answer that is none, broken or hostile: each an error in time, in bounded memory."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from dicom_node import orthanc_client
from dicom_node.orthanc_client import EdgeAway, EdgeError, EdgeMissing, EdgeRefused, Orthanc
from storage.edges import Edge

ID = "f689ddd2-662f8fe1-8b18180d-ec2a2cee-937917af"
Answer = Callable[[socket.socket], None]


class Listener:
    """A port of this machine that answers each request by `answer`, and remembers what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.asked: list[bytes] = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                self.asked.append(connection.recv(65536))
                self._answer(connection)
            except OSError:
                pass  # the client had enough

    def close(self) -> None:
        self._socket.close()


@contextmanager
def orthanc(answer: Answer, read_seconds: float = 5) -> Iterator[tuple[Orthanc, Listener]]:
    with closing(Listener(answer)) as listener:
        edge = Edge("H", "LOCAL", f"http://127.0.0.1:{listener.port}/", "user", "secret")
        with closing(Orthanc(edge, read_seconds=read_seconds)) as client:
            yield client, listener


def says(body: bytes, status: str = "200 OK", *headers: str) -> Answer:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
    return lambda connection: connection.sendall("\r\n".join(lines).encode() + body)


def endless(status: str) -> Answer:
    def answer(connection: socket.socket) -> None:
        connection.sendall(f"HTTP/1.1 {status}\r\nConnection: close\r\n\r\n".encode() + b"[")
        while True:
            connection.sendall(b"1," * 65536)

    return answer


def test_a_redirect_is_not_followed() -> None:
    with closing(Listener(says(b"{}"))) as elsewhere:
        to = f"Location: http://127.0.0.1:{elsewhere.port}/latest/meta-data"
        for status in ("301 Moved", "302 Found", "307 Temporary", "308 Permanent"):
            with orthanc(says(b"", status, to)) as (client, _), pytest.raises(EdgeError, match="redirect"):
                client.version()
        assert elsewhere.asked == []


def test_link_local_addresses_are_not_asked() -> None:
    for host in ("169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "0.0.0.0", "224.0.0.1"):
        edge = Edge("H", "LOCAL", f"http://{host}:8042/")
        with closing(Orthanc(edge)) as client, pytest.raises(EdgeRefused, match="address"):
            client.version()


def test_an_endless_answer_ends() -> None:
    with orthanc(endless("200 OK")) as (client, _), pytest.raises(EdgeError, match="more than"):
        client.version()
    with orthanc(endless("500 Error")) as (client, _), pytest.raises(EdgeError, match="HTTP 500"):
        client.version()


def test_a_bomb_is_not_inflated() -> None:
    bomb = gzip.compress(b'{"Version": "' + bytes(100_000_000) + b'"}')
    answer = says(bomb, "200 OK", "Content-Encoding: gzip")
    with orthanc(answer) as (client, _), pytest.raises(EdgeError, match="no JSON"):
        client.version()


def test_silence_ends_in_time() -> None:
    began = time.monotonic()
    with (
        orthanc(lambda _: time.sleep(20), read_seconds=0.5) as (client, _),
        pytest.raises(EdgeAway, match="time"),
    ):
        client.version()
    assert time.monotonic() - began < 5


def test_drops_end_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then keeps any timeout of a socket from ringing."""
    monkeypatch.setattr(orthanc_client, "GRACE_SECONDS", 1)

    def answer(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(200):
            connection.sendall(b" ")
            time.sleep(0.1)

    began = time.monotonic()
    with orthanc(answer) as (client, _), pytest.raises(EdgeAway, match="bytes a second"):
        client.version()
    assert time.monotonic() - began < 5


def test_it_can_be_stopped_under_way() -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(200):
            connection.sendall(b" ")
            time.sleep(0.1)

    began = time.monotonic()
    with orthanc(answer) as (client, _):
        threading.Timer(0.5, client.halt).start()
        with pytest.raises(EdgeAway, match="we stop"):
            client.version()
    assert time.monotonic() - began < 5


def test_a_retry_after_does_not_hold_us() -> None:
    began = time.monotonic()
    with (
        orthanc(says(b"", "503 Busy", "Retry-After: 3600")) as (client, _),
        pytest.raises(EdgeAway, match="503"),
    ):
        client.version()
    assert time.monotonic() - began < 5


def test_a_file_that_ends_early_is_noticed() -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + bytes(500))

    with (
        orthanc(answer) as (client, _),
        client.file(ID) as body,
        pytest.raises(EdgeAway, match=r"broke|500 of 1000"),
    ):
        body.read(2000)


def test_a_chunked_file_comes_whole() -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        for _ in range(3):
            connection.sendall(b"4\r\nDICM\r\n")
        connection.sendall(b"0\r\n\r\n")

    with orthanc(answer) as (client, _), client.file(ID) as body:
        assert body.read(5) == b"DICMD"
        assert body.read(100) == b"ICMDICM"
        assert body.read(100) == b""


@pytest.mark.parametrize(
    "answer",
    [b"<html>", b"[]", b"{}", b'{"Changes": 1, "Last": 1, "Done": true}', b"[" * 100_000,
     b'{"Changes": [], "Last": "a", "Done": true}',
     json.dumps({"Changes": [{"Seq": 1, "ID": "../../tools/shutdown", "ChangeType": "NewInstance"}],
                 "Last": 1, "Done": True}).encode()],
    ids=["HTML", "a list", "empty", "no list", "nested", "no number", "a path as an identifier"],
)  # fmt: skip
def test_what_is_no_change_log(answer: bytes) -> None:
    with orthanc(says(answer)) as (client, _), pytest.raises(EdgeError):
        client.changes(0, 10)


def test_statuses_have_their_errors() -> None:
    for status, kind in (("401 Unauthorized", EdgeRefused), ("403 Forbidden", EdgeRefused),
                         ("404 Not Found", EdgeMissing), ("502 Bad Gateway", EdgeAway)):  # fmt: skip
        with orthanc(says(b"", status)) as (client, _), pytest.raises(kind) as caught:
            client.version()
        assert "secret" not in str(caught.value)


def test_a_quiet_connection_that_was_ended_is_made_again() -> None:
    """Orthanc ends one after a second, perhaps just as it is used: that is no absence."""
    answers = iter([b"", b'{"Version": "1"}'])

    def answer(connection: socket.socket) -> None:
        if body := next(answers):
            says(body)(connection)

    with orthanc(answer) as (client, listener):
        assert client.version() == "1"
        assert len(listener.asked) == 2


def test_what_is_never_told() -> None:
    assert "secret" not in repr(Edge("H", "LOCAL", "http://host/", "user", "secret"))
