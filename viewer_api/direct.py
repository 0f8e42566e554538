"""Routes in front of FastAPI, without the general ways in which it finds them and solves their dependencies: those
take longer than reading a frame. They stand within our middlewares, which are so for all answers."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from viewer_api.auth import bearer, current_principal

# Together no more than the database has connections for; sixteen of the others may be storing (`dicomweb.stow`).
THREADS, OTHERS = 16, 24
GIVEN = frozenset({"request", "who", "archive"})


class Directly:
    """The innermost middleware: answers GET of these routes, and leaves all else to the application."""

    def __init__(self, app: ASGIApp, described: Sequence[APIRoute], handlers: Mapping[Any, Any]) -> None:
        """`handlers` of errors, by class or status."""
        self._app = app
        self._routes = [(one, ExceptionMiddleware(one, handlers)) for one in map(Direct, described)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = scope["type"] == "http" and scope["method"] == "GET"
        await (self._found(scope) if asked else self._app)(scope, receive, send)

    def _found(self, scope: Scope) -> ASGIApp:
        """The first that matches; the scope then has what of the path it names. Else the application."""
        return next((answering for route, answering in self._routes if route.matches(scope)), self._app)


class Direct:
    """Answers what a route of FastAPI's would, which goes on to describe it, and to refuse other methods. Its endpoint
    takes, by these names, no more than the `request`, `who` asks, the `archive` and texts of the path, and gives a
    Response."""

    def __init__(self, described: APIRoute) -> None:
        self._described = described
        taken = inspect.signature(described.endpoint).parameters
        needed = {name for name, one in taken.items() if one.default is one.empty}
        assert needed <= GIVEN | described.param_convertors.keys(), f"{described.path} takes more"
        self._given = GIVEN & taken.keys()

    def matches(self, scope: Scope) -> bool:
        match, found = Route.matches(self._described, scope)
        if match is Match.FULL:
            scope.update(found, route=self._described)
        return match is Match.FULL

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
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
    """Put all routes of these routers in front, in their order. Before other middlewares, and after the handlers of
    errors are known."""
    described = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
    handlers = {kind: handler for kind, handler in app.exception_handlers.items() if kind is not Exception}
    app.add_middleware(Directly, described=described, handlers=handlers)


def start() -> None:
    """Give the running loop its threads, for these routes and for those of FastAPI."""
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="direct")
    asyncio.get_running_loop().set_default_executor(pool)
    to_thread.current_default_thread_limiter().total_tokens = OTHERS
