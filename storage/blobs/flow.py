"""An answer of a store on another machine, moved from its connection to a client's by way of a pipe: of a connection
without TLS the bytes stay in the kernel (splice(2))."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import select
from collections.abc import Callable, Iterator

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

PIPE_BYTES = 1024 * 1024  # or as many as the system allows us
BUFFERED_BYTES = io.DEFAULT_BUFFER_SIZE  # of the answer, which http.client may have read with its headers
SILENCE_SECONDS = 30
BREAKS_MAX = 3  # of the answer to one request


class TooEarly(OSError):
    """The answer came whole, and has not all that was asked for."""


class Flow:
    """Where it breaks off, as it may while our client is slow, the rest is asked for anew."""

    def __init__(self, ask: Callable[[int], BaseHTTPResponse], at: int, *, is_plain: bool) -> None:
        """`ask` for the object from a byte on, the first time from `at`; it raises OSError. `is_plain`: without TLS."""
        self._ask, self._at, self._is_plain = ask, at, is_plain
        self._response: BaseHTTPResponse | None = None
        self._left = 0  # of the answer, where its length was said: behind it is no byte of ours
        self._source: int | None = None  # the descriptor of its connection, if that can be spliced
        self._is_fresh = False  # some of that answer may have been read with its headers
        self._read = b""  # of the answer, and not yet in the pipe
        self._out, self._in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._capacity, self._piped = _widened(self._in), 0
        self._breaks = 0

    def go_to(self, byte: int) -> None:
        """Go on at this byte of the object, which is the next one or behind it. Raises OSError."""
        if self._response is None:
            self._begin()
        while (gap := byte - (self._at - self._piped)) > 0:
            self.read(min(gap, self._capacity))

    def send_to(self, connection: int, count: int) -> int:
        """Some of the next `count` bytes, at least one. Raises BlockingIOError if the socket is full, OSError."""
        self._fill(count)
        sent = os.splice(self._out, connection, min(count, self._piped))
        self._piped -= sent
        return sent

    def read(self, count: int) -> bytes:
        """The next `count` bytes. Raises OSError."""
        pieces = []
        while count:
            self._fill(count)
            pieces.append(os.read(self._out, min(count, self._piped)))
            count -= len(pieces[-1])
            self._piped -= len(pieces[-1])
        return b"".join(pieces)

    def close(self) -> None:
        """Ask no further."""
        os.close(self._in)
        os.close(self._out)
        self._end()

    def _fill(self, count: int) -> None:
        """So that there is something in the pipe, but nothing behind the next `count` bytes. Raises OSError."""
        if self._piped:
            return
        try:
            moved = self._moved(min(count, self._capacity))
        except TooEarly:
            raise
        except OSError:
            self._breaks += 1
            if self._breaks > BREAKS_MAX:
                raise
            self._end()
            self._begin()
            moved = self._moved(min(count, self._capacity))
        self._piped, self._at = moved, self._at + moved

    def _moved(self, count: int) -> int:
        """Into the pipe, which is empty: at least one byte."""
        assert self._response is not None, "begun by `go_to`"
        if self._is_fresh:
            self._is_fresh = False
            with _broken():
                self._read = self._response.read1(BUFFERED_BYTES, decode_content=False)
        if self._source is not None and not self._read:
            moved = _spliced(self._source, self._in, min(count, self._left))
        else:
            if not self._read:
                with _broken():
                    self._read = self._response.read(count, decode_content=False)
            moved = os.write(self._in, self._read[:count])
            self._read = self._read[moved:]
        if not moved:
            raise TooEarly(errno.EIO, "object store: the object ends too early")
        self._left -= moved
        return moved

    def _begin(self) -> None:
        self._response = response = self._ask(self._at)
        length = response.headers.get("Content-Length", "")
        if self._is_plain and length.isdigit() and not response.chunked:
            self._left, self._source, self._is_fresh = int(length), response.fileno(), True

    def _end(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response.release_conn()
        self._response, self._source, self._is_fresh, self._read = None, None, False, b""


def _spliced(source: int, pipe: int, count: int) -> int:
    """None where none is asked for. Raises OSError."""
    while count:
        try:
            moved = os.splice(source, pipe, count)
        except BlockingIOError:
            pass
        except OSError as error:  # not to be taken for one of the client's connection
            raise OSError(errno.EIO, f"object store: {error.strerror}") from error
        else:
            if not moved:
                raise OSError(errno.EIO, "object store: the answer broke off")
            return moved
        waiting = select.poll()
        waiting.register(source, select.POLLIN)
        if not waiting.poll(SILENCE_SECONDS * 1000):
            raise OSError(errno.EIO, f"object store: nothing came for {SILENCE_SECONDS} s")
    return 0


@contextlib.contextmanager
def _broken() -> Iterator[None]:
    try:
        yield
    except HTTPError as error:
        raise OSError(errno.EIO, f"object store: {type(error).__name__}") from error


def _widened(pipe: int) -> int:
    """To PIPE_BYTES, or what we are allowed; how many that is."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ)
