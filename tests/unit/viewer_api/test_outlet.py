"""The way out for long answers: every byte once and in order, whatever the socket takes, and no more than was said."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from storage.blobs.lent import Extent, Piece, in_memory
from viewer_api.outlet import SMALL_COUNT, TURN_SECONDS, Outlet, TooLong

FILE_BYTES = 3_000_000


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "pack"
    path.write_bytes(random.Random(5).randbytes(FILE_BYTES))
    descriptor = os.open(path, os.O_RDWR)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Ours, which does not block, and the client's."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()
        with socket.create_connection(door.getsockname()) as client:
            ours, _ = door.accept()
            with ours:
                ours.setblocking(False)
                yield ours, client


def sent(ours: socket.socket, pieces: Iterable[Piece], length: int) -> Outlet:
    """As `Wire` sends them: what does not fit waits in the transport, here in a blocking call."""
    out = Outlet(ours, iter(pieces), length)
    while not out.done:
        waiting = out.turn()
        if waiting:
            ours.setblocking(True)
            ours.sendall(waiting)
            ours.setblocking(False)
    return out


class Reader(threading.Thread):
    """Reads to the end; `pause_seconds` before each piece."""

    def __init__(self, client: socket.socket, pause_seconds: float = 0) -> None:
        super().__init__()
        self._client, self._pause = client, pause_seconds
        self.read = bytearray()
        self.start()

    def run(self) -> None:
        while piece := self._client.recv(1024 * 1024):
            self.read += piece
            time.sleep(self._pause)


def some_pieces(file: int, seed: int) -> Iterator[Piece]:
    chance = random.Random(seed)
    for _ in range(chance.randrange(1, 80)):
        size = chance.choice([0, 1, 200, 5_000, 70_000, 600_000])
        kind = chance.randrange(3)
        if kind == 0:
            yield chance.randbytes(size)
        elif kind == 1:
            yield memoryview(chance.randbytes(size + 9))[9:]
        else:
            yield Extent(file, chance.randrange(FILE_BYTES - size), size)


@pytest.mark.parametrize("pause_seconds", [0, 0.01])
def test_every_byte_once_and_in_order(
    file: int, ends: tuple[socket.socket, socket.socket], pause_seconds: float
) -> None:
    """With a reader that is slower than FULL_MS too: then the socket is full, and some waits."""
    seed = random.randrange(10**6)
    print("seed", seed)
    ours, client = ends
    expected = b"".join(in_memory(piece) for n in range(6) for piece in some_pieces(file, seed + n))
    reader = Reader(client, pause_seconds)
    pieces = (piece for n in range(6) for piece in some_pieces(file, seed + n))
    out = sent(ours, pieces, len(expected))
    ours.shutdown(socket.SHUT_WR)
    reader.join(30)
    assert reader.read == expected
    assert (out.left, out.gone) == (0, False)


def test_many_tiny_pieces(ends: tuple[socket.socket, socket.socket]) -> None:
    """More than one call takes (IOV_MAX)."""
    ours, client = ends
    reader = Reader(client)
    sent(ours, [b"x"] * 10 * SMALL_COUNT, 10 * SMALL_COUNT)
    ours.shutdown(socket.SHUT_WR)
    reader.join(30)
    assert reader.read == b"x" * 10 * SMALL_COUNT


def test_who_does_not_read_costs_no_thread(file: int, ends: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = ends
    out = Outlet(ours, (Extent(file, 0, FILE_BYTES) for _ in range(100)), 100 * FILE_BYTES)
    start = time.monotonic()
    while not out.turn():
        assert time.monotonic() - start < 5, "the socket is never full"
    assert not out.done
    start = time.monotonic()
    assert out.turn(), "it is full still"
    assert time.monotonic() - start < TURN_SECONDS


def test_a_turn_ends_though_there_is_more(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, client = ends
    reader = Reader(client)
    out = Outlet(ours, iter(lambda: b"x" * 1000, None), 10**12)
    start = time.monotonic()
    out.turn()  # a reader that stumbles ends it too
    assert not out.done
    assert time.monotonic() - start < 20 * TURN_SECONDS
    ours.shutdown(socket.SHUT_WR)
    reader.join(30)


def test_no_more_than_was_said(file: int, ends: tuple[socket.socket, socket.socket]) -> None:
    ours, client = ends
    with pytest.raises(TooLong):
        sent(ours, [b"x" * 100, Extent(file, 0, 100)], 199)
    ours.close()
    assert client.recv(1000) == b"", "not even the bytes before it"


def test_less_than_was_said_is_told(ends: tuple[socket.socket, socket.socket]) -> None:
    assert sent(ends[0], [b"x" * 100], 150).left == 50


def test_a_file_that_becomes_shorter(file: int, ends: tuple[socket.socket, socket.socket]) -> None:
    ours, client = ends
    reader = Reader(client)

    def pieces() -> Iterator[Piece]:
        yield Extent(file, 0, 100)
        os.ftruncate(file, 200)
        yield Extent(file, 100, 200)

    with pytest.raises(OSError, match="shorter"):
        sent(ours, pieces(), 300)
    ours.close()
    reader.join(30)
    assert len(reader.read) == 200


def test_a_client_that_left(file: int, ends: tuple[socket.socket, socket.socket]) -> None:
    ours, client = ends
    client.close()
    out = sent(ours, (Extent(file, 0, FILE_BYTES) for _ in range(10)), 10 * FILE_BYTES)
    assert out.gone
    assert out.left > 0


def test_what_fails_is_raised(ends: tuple[socket.socket, socket.socket]) -> None:
    def pieces() -> Iterator[Piece]:
        yield b"x" * 100_000
        raise OSError("the store is away")

    reader = Reader(ends[1])
    with pytest.raises(OSError, match="away"):
        sent(ends[0], pieces(), 200_000)
    ends[0].close()
    reader.join(30)
    assert len(reader.read) == 100_000
