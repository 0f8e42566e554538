"""HTTP/1.1 as uvicorn speaks it, and one message more than ASGI has: pieces that are lent, and sent from a thread."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from storage.blobs.lent import Piece
from viewer_api.outlet import Outlet

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

LENT = (
    "tongying.response.lent"  # the message's type, and the extension's name: see 0034-sent-from-the-file.md
)
THREADS_MAX = 16  # of a process, which send; what is small does not wait for them
HEAD_POLL_SECONDS = 0.01


class Wire(HttpToolsProtocol):
    """One connection. To an application whose scope has the extension LENT it offers
    `{"type": LENT, "pieces": Iterator[Piece]}`: the whole of a body whose Content-Length was said, before its last
    message."""

    _threads = anyio.CapacityLimiter(THREADS_MAX)
    _is_lent = False  # a thread writes to our socket

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        super()._start_asgi_task(cycle, app if self.scheme == "https" else self._lending(cycle, app))

    def send_400_response(self, msg: str) -> None:
        """To what follows a request that is answered still: not into the middle of that answer."""
        if self._is_lent:
            self.transport.abort()
        else:
            super().send_400_response(msg)

    def _lending(self, cycle: RequestResponseCycle, app: ASGI3Application) -> ASGI3Application:
        async def with_extension(scope: Any, receive: Any, send: Any) -> None:
            async def send_any(message: Any) -> None:
                if message["type"] == LENT:
                    await self._lend(cycle, message["pieces"])
                else:
                    await send(message)

            scope.setdefault("extensions", {})[LENT] = {}
            await app(scope, receive, send_any)

        return with_extension

    async def _lend(self, cycle: RequestResponseCycle, pieces: Iterator[Piece]) -> None:
        """Raises what the pieces raise."""
        if cycle.chunked_encoding is not False:
            raise RuntimeError("only an answer whose length was said can be lent")
        self._is_lent = True
        try:
            await self._sent_before()
            if not self.transport.is_closing():
                await self._turns(cycle, pieces)
        finally:
            self._is_lent = False
            if self.transport.is_closing():
                cycle.disconnected = True
            else:
                self.transport.set_write_buffer_limits()

    async def _sent_before(self) -> None:
        """The head has left, as it nearly always has at once."""
        while not self.transport.is_closing() and self.transport.get_write_buffer_size():  # noqa: ASYNC110  untold
            await asyncio.sleep(HEAD_POLL_SECONDS)

    async def _turns(self, cycle: RequestResponseCycle, pieces: Iterator[Piece]) -> None:
        # A descriptor of our own: the transport's may be closed, and its number be another's, while the thread sends.
        door = os.dup(self.transport.get_extra_info("socket").fileno())
        with socket.socket(fileno=door) as connection:
            connection.setblocking(False)
            self.transport.set_write_buffer_limits(0)  # a write that is not done at once holds us up
            out = Outlet(connection, pieces, cycle.expected_content_length)
            while not out.done and not self.transport.is_closing():
                waiting = await to_thread.run_sync(out.turn, limiter=self._threads)
                if waiting and not self.transport.is_closing():
                    self.transport.write(waiting)
                    await self.flow.drain()
        cycle.expected_content_length = out.left
        if out.gone:
            self.transport.abort()
