"""Who asks: each request brings a short-lived signed token as a bearer (RFC 6750)."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import OAuth2PasswordBearer

from pacs.access import Principal, Purpose
from storage.archive import Archive
from storage.tokens import Subject, TokenIssuer
from viewer_api.scopes import REFUSED, covers

__all__ = ["TheArchive", "TheIssuer", "TheSubject", "TokenIssuer", "Who"]

bearer = OAuth2PasswordBearer(tokenUrl="/api/auth/token", auto_error=False)


PURPOSE = "X-Purpose-Of-Use"


async def current_principal(request: Request, token: Annotated[str | None, Depends(bearer)]) -> Principal:
    """Who asks, and for what purpose; raises HTTPException 401, 403 where the sign-in is limited to something else, and
    400 for a purpose that there is not. It takes a thread only where the database is asked."""
    issuer: TokenIssuer = request.app.state.tokens
    subject = issuer.subject(token) if token else None
    if subject is None and token:
        subject = await run_in_threadpool(issuer.searched, token)
    if subject is None:
        raise _sign_in_first()
    remembered = issuer.remembered(subject)
    principal = remembered[0] if remembered else await run_in_threadpool(issuer.known, subject)
    if principal is None:
        raise _sign_in_first()
    request.state.who, request.state.subject = principal, subject  # for the audit trail
    if principal.scopes is not None and not covers(principal.scopes, request.method, request.url.path):
        raise HTTPException(403, REFUSED.get(min(principal.scopes), "Not within the scope of this sign-in"))
    said = request.headers.get(PURPOSE)
    if said is not None:
        principal = request.state.who = replace(principal, purpose=_purpose(said))
    return principal


def _purpose(said: str) -> Purpose:
    try:
        return Purpose(said.strip().lower())
    except ValueError:
        raise HTTPException(400, f"{PURPOSE} is one of {', '.join(Purpose)}") from None


def _sign_in_first() -> HTTPException:
    return HTTPException(401, "Sign in first", {"WWW-Authenticate": "Bearer"})


async def archive_of(request: Request) -> Archive:
    """A coroutine only so that it costs no thread."""
    archive: Archive = request.app.state.archive
    return archive


Who = Annotated[Principal, Depends(current_principal)]
TheArchive = Annotated[Archive, Depends(archive_of)]


async def issuer_of(request: Request) -> TokenIssuer:
    """A coroutine only so that it costs no thread."""
    issuer: TokenIssuer = request.app.state.tokens
    return issuer


async def subject_of(request: Request, _who: Who) -> Subject:
    """Whom the token of the request names."""
    subject: Subject = request.state.subject
    return subject


TheIssuer = Annotated[TokenIssuer, Depends(issuer_of)]
TheSubject = Annotated[Subject, Depends(subject_of)]
