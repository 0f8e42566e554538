"""The way out for long answers: a thread sends pieces to the client's socket itself, what is lent within the kernel.

On the way through the event loop each piece would be read, handed to the loop, tried, kept and tried again: more than
twice the CPU time for the same bytes.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator

from storage.blobs.lent import Lent, Piece

TURN_SECONDS = 0.05  # then other answers have the thread
FULL_MS = 5  # a socket that takes nothing for so long is waited for without a thread
SMALL_BYTES, SMALL_COUNT = 64 * 1024, 256  # pieces that are gathered for one call
TAKEN_BYTES = 64 * 1024


class TooLong(RuntimeError):
    """More bytes than were announced."""


class Outlet:
    """The pieces of one answer, and the socket they go to, which does not block. For one thread at a time."""

    def __init__(self, connection: socket.socket, pieces: Iterator[Piece], length: int) -> None:
        """`length`: what was announced of the answer, in bytes."""
        self._socket, self._pieces = connection, pieces
        self._gathered: list[memoryview] = []
        self._gathered_bytes = 0
        self._lent: Lent | None = None  # which follows what is gathered
        self.left = length  # not yet given to us
        self.done = self.gone = False  # all is sent; the client is gone

    def turn(self) -> bytes | memoryview:
        """Send for some time, or until all is done. What it returns, if anything, did not fit into the socket: the
        next turn is due when it does. Raises what the pieces raise, OSError and TooLong."""
        until = time.monotonic() + TURN_SECONDS
        while self._load():
            try:
                self._send()
            except BlockingIOError:
                if not self._has_room():
                    return self._taken()
            except (ConnectionError, TimeoutError):
                self.done = self.gone = True
                return b""
            if time.monotonic() > until:
                return b""
        self.done = True
        return b""

    def _load(self) -> bool:
        """Whether there is anything to send: small pieces are gathered until a large one comes, or one of a file."""
        while self._lent is None and self._gathered_bytes < SMALL_BYTES and len(self._gathered) < SMALL_COUNT:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self.left -= len(piece)
            if self.left < 0:
                raise TooLong("the answer is longer than was announced")
            if not isinstance(piece, bytes | memoryview):
                self._lent = piece or None
            elif piece:
                self._gathered.append(memoryview(piece))
                self._gathered_bytes += len(piece)
        return bool(self._gathered) or self._lent is not None

    def _send(self) -> None:
        """What one call takes. Raises OSError."""
        if self._gathered:
            # The head of a part waits in the kernel for the part.
            more = socket.MSG_MORE if self._lent is not None else 0
            self._drop(self._socket.sendmsg(self._gathered, (), more))
        elif self._lent is not None:
            self._lent.send_to(self._socket.fileno())
            self._lent = self._lent or None

    def _drop(self, count: int) -> None:
        self._gathered_bytes -= count
        while count:
            first = self._gathered[0]
            if count < len(first):
                self._gathered[0] = first[count:]
                return
            count -= len(first)
            del self._gathered[0]

    def _has_room(self) -> bool:
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT)
        return bool(poll.poll(FULL_MS))

    def _taken(self) -> bytes | memoryview:
        """Some of what comes next: whoever waits for the socket waits with it."""
        if self._gathered:
            first = self._gathered[0]
            self._drop(len(first))
            return first
        assert self._lent is not None, "else all was sent"
        taken = self._lent.read(TAKEN_BYTES)
        self._lent = self._lent or None
        return taken
