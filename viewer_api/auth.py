"""Sign-in: OAuth 2 password form in, a short-lived signed token out; each request brings it as a bearer."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm
from pydantic import BaseModel

from pacs.access import Principal, Purpose
from storage import accounts
from storage.archive import Archive
from storage.tokens import TokenIssuer
from storage.tries import WINDOW_SECONDS, TooManyTries
from viewer_api.audited import tell

__all__ = ["TheArchive", "TokenIssuer", "Who"]

router = APIRouter(prefix="/api/auth", tags=["sign-in"])
bearer = OAuth2PasswordBearer(tokenUrl="/api/auth/token", auto_error=False)


class Token(BaseModel):
    """RFC 6749 5.1."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105  the type's name, no secret
    expires_in: int


PURPOSE = "X-Purpose-Of-Use"


async def current_principal(request: Request, token: Annotated[str | None, Depends(bearer)]) -> Principal:
    """Who asks, and for what purpose; raises HTTPException 401, and 400 for a purpose that there is not. It takes a
    thread only where the database is asked."""
    issuer: TokenIssuer = request.app.state.tokens
    name = issuer.subject(token) if token else None
    if name is None:
        raise _sign_in_first()
    remembered = issuer.remembered(name)
    principal = remembered[0] if remembered else await run_in_threadpool(issuer.known, name)
    if principal is None:
        raise _sign_in_first()
    request.state.who = principal  # for the audit trail
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


@router.post("/token")
def token(request: Request, form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> Token:
    """Sign in with user name and password."""
    issuer: TokenIssuer = request.app.state.tokens
    address = request.client.host if request.client else ""
    # A name that nobody has is not told: people type passwords where names belong.
    tell(who=form.username if accounts.find_user(request.app.state.archive, form.username) else "")
    try:
        user = issuer.sign_in(form.username, form.password, address)
    except TooManyTries as error:
        raise HTTPException(429, str(error), {"Retry-After": str(int(WINDOW_SECONDS))}) from None
    if user is None:
        raise HTTPException(401, "Wrong user name or password", {"WWW-Authenticate": "Bearer"})
    request.state.who = user.principal()
    signed, seconds = issuer.issue(user)
    return Token(access_token=signed, expires_in=seconds)
