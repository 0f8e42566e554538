"""Sign-in: OAuth 2 password form in, a short-lived signed token out; each request brings it as a bearer."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm
from pydantic import BaseModel

from pacs.access import Principal
from storage.archive import Archive
from storage.tokens import FAILURE_SECONDS, TokenIssuer, TooManyTries

__all__ = ["TheArchive", "TokenIssuer", "Who"]

router = APIRouter(prefix="/api/auth", tags=["sign-in"])
bearer = OAuth2PasswordBearer(tokenUrl="/api/auth/token", auto_error=False)


class Token(BaseModel):
    """RFC 6749 5.1."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105  the type's name, no secret
    expires_in: int


def current_principal(request: Request, token: Annotated[str | None, Depends(bearer)]) -> Principal:
    """Who asks; raises HTTPException 401."""
    issuer: TokenIssuer = request.app.state.tokens
    principal = issuer.principal(token) if token else None
    if principal is None:
        raise HTTPException(401, "Sign in first", {"WWW-Authenticate": "Bearer"})
    return principal


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
    try:
        user = issuer.sign_in(form.username, form.password, address)
    except TooManyTries as error:
        raise HTTPException(429, str(error), {"Retry-After": str(int(FAILURE_SECONDS))}) from None
    if user is None:
        raise HTTPException(401, "Wrong user name or password", {"WWW-Authenticate": "Bearer"})
    signed, seconds = issuer.issue(user)
    return Token(access_token=signed, expires_in=seconds)
