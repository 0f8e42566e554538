"""Errors as `application/problem+json` (RFC 9457): one table from our errors to statuses."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from pacs import errors
from pacs.logs import get
from pacs.pixels.description import PixelError
from storage.database import Refused, Unavailable
from storage.tokens import SecondFactorWanted
from storage.tries import TooManyTries

log = get("api")
ANY_PAGE = "/{path:path}"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PROBLEM = "application/problem+json"
TYPE_ROOT = "https://tongying.invalid/problems/"

# Error → status, the last word of the type URI, title. The first class that fits counts.
TABLE: tuple[tuple[type[Exception], int, str, str], ...] = (
    (errors.NotFound, 404, "not-found", "Not found"),
    (errors.BadQuery, 400, "bad-query", "The query cannot be understood"),
    (errors.InvalidUID, 400, "bad-uid", "Not a UID"),
    (errors.BadAttributes, 422, "bad-attributes", "These attributes cannot be taken"),
    (errors.Final, 409, "final", "It cannot be changed any more"),
    (errors.SettingError, 400, "bad-setting", "It cannot be set so"),
    (errors.Forbidden, 403, "forbidden", "Not allowed"),
    (errors.Conflict, 409, "conflict", "There is one already"),
    (errors.NotAcceptable, 406, "not-acceptable", "Not acceptable"),
    (errors.CannotRender, 422, "cannot-render", "It cannot be shown"),
    (PixelError, 422, "cannot-render", "It cannot be shown"),
    (errors.TooLarge, 413, "too-large", "Too large"),
    (errors.ObjectMissing, 503, "object-missing", "The archive cannot read it now"),
    (errors.OutOfResources, 507, "out-of-resources", "Out of resources"),
    *((kind, 400, "bad-query", "The query cannot be understood") for kind in Refused),
    *((kind, 503, "unavailable", "The database is away") for kind in Unavailable),
    (OSError, 503, "unavailable", "The object store is away"),
)
STATUS_WORDS = {401: "unauthorized", 403: "forbidden", 404: "not-found", 405: "method-not-allowed",
                413: "too-large", 416: "out-of-range", 429: "too-many-requests"}  # fmt: skip


def problem(
    status: int, word: str, title: str, detail: str = "", headers: dict[str, str] | None = None
) -> JSONResponse:
    """A problem document; `detail` holds no patient data."""
    body: dict[str, Any] = {"type": TYPE_ROOT + word, "title": title, "status": status}
    if detail:
        body["detail"] = detail
    return JSONResponse(body, status, headers, media_type=PROBLEM)


def install(app: FastAPI) -> None:
    """Answer every error as a problem."""
    for kind, status, word, title in TABLE:
        said = status < 500 and issubclass(kind, errors.TongyingError | PixelError)
        app.add_exception_handler(kind, _handler(status, word, title, said))
    app.add_exception_handler(TooManyTries, _too_many)
    app.add_exception_handler(SecondFactorWanted, _second_factor)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _unexpected)


def _handler(status: int, word: str, title: str, said: bool) -> Any:
    """`said`: the error's own words may be shown; a library's may hold values and SQL."""

    async def handle(_request: Request, error: Exception) -> JSONResponse:
        if status >= 500:
            log.warning("request_failed", status=status, error=type(error).__name__)
        headers = {"Retry-After": "2"} if status == 503 else None
        return problem(status, word, title, str(error) if said else "", headers)

    return handle


async def _too_many(_request: Request, error: Any) -> JSONResponse:
    return problem(429, "too-many-requests", str(error), headers={"Retry-After": str(int(error.seconds))})


async def _second_factor(_request: Request, error: Exception) -> JSONResponse:
    """By a type of its own, so that pages can ask for the code."""
    return problem(401, "second-factor-required", str(error), headers={"WWW-Authenticate": "Bearer"})


async def _http(request: Request, error: Any) -> JSONResponse:
    word = STATUS_WORDS.get(error.status_code, f"http-{error.status_code}")
    headers = error.headers
    if error.status_code == 405 and (allowed := methods_of(request)):
        headers = {"Allow": ", ".join(allowed)}
    return problem(error.status_code, word, str(error.detail), headers=headers)


def methods_of(request: Request) -> list[str]:
    """All methods of a path (RFC 9110 15.5.6): the router tells those of the first route alone. That every path may be
    a page of the web app does not count, nor that of all paths below a service its capabilities may be asked."""
    routes = [r for r in request.app.router.routes if getattr(r, "path", "") != ANY_PAGE]

    def has(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(dict(scope))[0] is Match.FULL for route in routes)

    found = [m for m in METHODS if has("GET" if m == "HEAD" else m)]
    return found if found != ["OPTIONS"] else []


async def _invalid(_request: Request, error: Any) -> JSONResponse:
    places = "; ".join(f"{'.'.join(str(p) for p in e['loc'][1:])}: {e['msg']}" for e in error.errors())
    return problem(400, "bad-request", "The request cannot be understood", places[:500])


async def _unexpected(_request: Request, error: Exception) -> JSONResponse:
    log.error("unexpected_error", error=type(error).__name__, exc_info=error)
    return problem(500, "internal", "Something went wrong on our side")
