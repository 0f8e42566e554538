"""Routes without the general way in which FastAPI solves dependencies: it takes longer than reading a frame."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from fastapi.routing import APIRoute

from viewer_api.auth import bearer, current_principal


class DirectRoute(APIRoute):
    """For endpoints that take, by these names, no more than the `request`, `who` asks, the `archive` and texts of the
    path, and that answer with a Response. They are described as any other."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        endpoint, names = self.endpoint, frozenset(inspect.signature(self.endpoint).parameters)

        async def handle(request: Request) -> Response:
            who = await current_principal(request, await bearer(request))
            known: dict[str, Any] = {"request": request, "who": who, "archive": request.app.state.archive}
            given = {name: known[name] for name in known.keys() & names}
            answer: Response = await run_in_threadpool(endpoint, **given, **request.path_params)
            return answer

        return handle
