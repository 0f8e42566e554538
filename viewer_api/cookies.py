"""The refresh token of a browser: in a cookie that scripts cannot read and other sites cannot send.

Each session has a cookie of its own name, so that two of one browser do not replace each other. By itself it opens
nothing: the page shows an access token of the same session with it, be it expired, which no other page has; and the
request must come from a page of this server (Origin, Sec-Fetch-Site).
"""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import HTTPException, Request
from fastapi.responses import Response

PATH = "/api/auth"


def of_session(request: Request, session: int) -> str | None:
    return request.cookies.get(_name(session))


def keep(request: Request, response: Response, session: int, token: str, seconds: int) -> None:
    response.set_cookie(
        _name(session), token, max_age=seconds, path=PATH, secure=request.url.scheme == "https", httponly=True,
        samesite="strict",
    )  # fmt: skip


def drop(request: Request, response: Response, session: int) -> None:
    response.delete_cookie(
        _name(session), path=PATH, secure=request.url.scheme == "https", httponly=True, samesite="strict"
    )


def check_same_origin(request: Request) -> None:
    """Raises HTTPException 403 unless a page of this server asks. The scheme is not compared: whoever ends TLS in front
    of us need not tell it."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    told = site if origin is None else urlsplit(origin).netloc
    ours = "same-origin" if origin is None else request.headers.get("host")
    if told is None or told != ours or site not in (None, "same-origin"):
        raise HTTPException(403, "Only pages of this server may use its cookies")


def _name(session: int) -> str:
    return f"tongying_session_{session}"
