"""Routes in front of the application's, without the general ways in which FastAPI finds them and solves their
dependencies: those take longer than reading a frame."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

from viewer_api.auth import bearer, current_principal

# Together no more than the database has connections for; sixteen of the others may be storing (`dicomweb.stow`).
THREADS, OTHERS = 16, 24
GIVEN = frozenset({"request", "who", "archive"})


class Direct(BaseRoute):
    """Answers what a route of FastAPI's would, which goes on to describe it, and to refuse other methods. Its endpoint
    takes, by these names, no more than the `request`, `who` asks, the `archive` and texts of the path, and gives a
    Response."""

    def __init__(self, described: APIRoute) -> None:
        self._described = described
        self.path, self.methods = described.path, described.methods
        taken = inspect.signature(described.endpoint).parameters
        needed = {name for name, one in taken.items() if one.default is one.empty}
        assert needed <= GIVEN | described.param_convertors.keys(), f"{described.path} takes more"
        self._given = GIVEN & taken.keys()

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, found = Route.matches(self._described, scope)
        return (match, {**found, "route": self._described}) if match is Match.FULL else (Match.NONE, {})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        who = await current_principal(request, await bearer(request))
        known: dict[str, Any] = {"request": request, "who": who, "archive": request.app.state.archive}
        given = {name: known[name] for name in self._given}
        # A thread of the loop's own pool: to get one from anyio takes three times as long.
        answering = partial(self._described.endpoint, **given, **request.path_params)
        loop = asyncio.get_running_loop()
        answer: Response = await loop.run_in_executor(None, contextvars.copy_context().run, answering)
        await answer(scope, receive, send)


def install(app: FastAPI, *routers: APIRouter) -> None:
    """Put all routes of these routers in front, in their order."""
    described = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
    app.router.routes[:0] = map(Direct, described)


def start() -> None:
    """Give the running loop its threads, for these routes and for those of FastAPI."""
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="direct")
    asyncio.get_running_loop().set_default_executor(pool)
    to_thread.current_default_thread_limiter().total_tokens = OTHERS
