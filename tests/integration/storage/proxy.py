"""A TCP proxy between a store and its server, to damage or hold up what passes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

CHUNK_BYTES = 64 * 1024
Alter = Callable[[bytes], bytes]


def as_it_is(data: bytes) -> bytes:
    return data


class Proxy:
    """Passes bytes on, each chunk altered as told. Without a target it takes connections and says nothing."""

    def __init__(
        self, target_port: int | None, *, request: Alter = as_it_is, answer: Alter = as_it_is
    ) -> None:
        self._target, self._request, self._answer = target_port, request, answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                if self._target is not None:
                    self._join(client, self._target)

    def _join(self, client: socket.socket, target: int) -> None:
        server = socket.create_connection(("127.0.0.1", target))
        self._open.append(server)
        for way in ((client, server, self._request), (server, client, self._answer)):
            threading.Thread(target=_pump, args=way, name="proxy-pump", daemon=True).start()


def _pump(source: socket.socket, target: socket.socket, alter: Alter) -> None:
    """Where `alter` raises OSError, the way ends there."""
    try:
        while data := source.recv(CHUNK_BYTES):
            target.sendall(alter(data))
    except OSError:
        pass
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def proxy(target_port: int | None, *, request: Alter = as_it_is, answer: Alter = as_it_is) -> Iterator[Proxy]:
    running = Proxy(target_port, request=request, answer=answer)
    try:
        yield running
    finally:
        running.close()
