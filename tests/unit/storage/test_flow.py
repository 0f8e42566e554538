"""An answer on its way through the pipe: every byte once, with TLS or without, however the store answers."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest
import urllib3
from urllib3 import BaseHTTPResponse

from storage.blobs import flow
from storage.blobs.flow import BREAKS_MAX, Flow, TooEarly

DATA = random.Random(3).randbytes(3_000_000)
Answer = Callable[[socket.socket, int], None]  # from this byte on

WITH_TLS = pytest.mark.parametrize("is_plain", [True, False], ids=["plain", "as with TLS"])


@contextmanager
def store(answer: Answer) -> Iterator[Callable[[int], BaseHTTPResponse]]:
    """What asks a server that answers so, and then closes the connection."""
    with socket.socket() as door, urllib3.PoolManager(timeout=5, retries=False) as pool:
        door.bind(("127.0.0.1", 0))
        door.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = door.accept()
                except OSError:
                    return
                with connection:
                    asked = connection.recv(10_000)
                    if b"GET /" in asked:
                        answer(connection, int(asked.split(b"GET /")[1].split(b" ")[0]))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = door.getsockname()[1]
        yield lambda at: pool.request("GET", f"http://127.0.0.1:{port}/{at}", preload_content=False)
        door.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def head(length: int) -> bytes:
    return f"HTTP/1.1 206 Partial Content\r\nContent-Length: {length}\r\n\r\n".encode()


def whole(connection: socket.socket, at: int) -> None:
    connection.sendall(head(len(DATA) - at) + DATA[at:])


def by_chunks(connection: socket.socket, at: int) -> None:
    connection.sendall(b"HTTP/1.1 206 Partial Content\r\nTransfer-Encoding: chunked\r\n\r\n")
    for start in range(at, len(DATA), 70_000):
        piece = DATA[start : start + 70_000]
        connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
    connection.sendall(b"0\r\n\r\n")


def cut(connection: socket.socket, at: int) -> None:
    """After a million bytes."""
    connection.sendall(head(len(DATA) - at) + DATA[at : at + 1_000_000])


def silent(connection: socket.socket, at: int) -> None:
    connection.sendall(head(len(DATA) - at) + DATA[at : at + 100])
    connection.recv(1)


@WITH_TLS
@pytest.mark.parametrize("answer", [whole, by_chunks, cut])
def test_every_byte_once(answer: Answer, is_plain: bool) -> None:
    chance = random.Random(9)
    with store(answer) as ask, closing(Flow(ask, 10, is_plain=is_plain)) as arriving:
        at = 10
        arriving.go_to(at)
        while at < len(DATA):
            count = min(chance.choice([1, 300, 9_000, 600_000]), len(DATA) - at)
            assert arriving.read(count) == DATA[at : at + count]
            at += count
            at = min(at + chance.choice([0, 0, 180, 20_000]), len(DATA))
            arriving.go_to(at)


@WITH_TLS
def test_what_is_in_the_pipe_is_passed_over(is_plain: bool) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, store(whole) as ask, closing(Flow(ask, 0, is_plain=is_plain)) as arriving:
        arriving.go_to(0)
        sent = arriving.send_to(ours.fileno(), 2_000_000)
        assert theirs.recv(sent, socket.MSG_WAITALL) == DATA[:sent]
        arriving.go_to(2_000_000)
        assert arriving.read(50) == DATA[2_000_000:2_000_050]


@WITH_TLS
def test_a_small_answer(is_plain: bool) -> None:
    """It came with its headers, and its connection is not ours any longer."""

    def small(connection: socket.socket, at: int) -> None:
        connection.sendall(head(100) + DATA[at : at + 100])

    with store(small) as ask, closing(Flow(ask, 7, is_plain=is_plain)) as arriving:
        arriving.go_to(7)
        assert arriving.read(100) == DATA[7:107]
        with pytest.raises(TooEarly):
            arriving.read(1)


@WITH_TLS
def test_it_is_not_asked_for_for_ever(is_plain: bool) -> None:
    asked = []

    def cut_at_once(connection: socket.socket, at: int) -> None:
        asked.append(at)
        connection.sendall(head(len(DATA) - at))

    with store(cut_at_once) as ask, closing(Flow(ask, 0, is_plain=is_plain)) as arriving:
        arriving.go_to(0)
        with pytest.raises(OSError, match="object store"):
            arriving.read(10)
    assert asked == [0, 0]


def test_silence_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "SILENCE_SECONDS", 0.1)
    with store(silent) as ask, closing(Flow(ask, 0, is_plain=True)) as arriving:
        arriving.go_to(0)
        with pytest.raises(OSError, match="nothing came"):
            arriving.read(100 * (BREAKS_MAX + 2))
