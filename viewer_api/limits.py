"""Two rules of HTTP for all routes: HEAD is GET without its body, and a body has an end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.exceptions import HTTPException

from viewer_api.problems import problem

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

BODY_BYTES_MAX = 1024 * 1024  # of a form or of JSON
STORED_UNDER = ("/dicom-web",)  # STOW-RS has limits of its own
TOO_LARGE = f"A body has at most {BODY_BYTES_MAX} bytes here"


class HeadAsGet:
    """Answers HEAD by what GET would answer (RFC 9110 9.3.2). Once the headers are out, the route is told that its
    client is gone, so that no study is read for nobody."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        begun = False

        async def told() -> Message:
            return {"type": "http.disconnect"} if begun else await receive()

        async def headers_only(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self.app({**scope, "method": "GET"}, told, headers_only)


class SmallBodies:
    """Refuses bodies that are larger than any form or JSON that we take, before they fill memory or disk."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(STORED_UNDER):
            await self.app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced[:19]) > BODY_BYTES_MAX:
            await problem(413, "too-large", TOO_LARGE)(scope, receive, send)
            return
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > BODY_BYTES_MAX:
                raise HTTPException(413, TOO_LARGE)
            return message

        await self.app(scope, counted, send)
