"""Sign-in: OAuth 2 password form in, a short-lived signed token out; each request brings it as a bearer."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from pydantic import BaseModel

from pacs.access import Principal
from storage import accounts
from storage.archive import Archive

ISSUER = "tongying"
ALGORITHM = "HS256"
FAILURES_MAX, FAILURE_SECONDS = 10, 60.0  # wrong passwords of one name from one address
TRACKED_MAX, NAME_CHARACTERS_MAX = 10_000, 64
USER_CACHE_SECONDS = 5.0  # how long a removed account may go on

router = APIRouter(prefix="/api/auth", tags=["sign-in"])
bearer = OAuth2PasswordBearer(tokenUrl="/api/auth/token", auto_error=False)


class Token(BaseModel):
    """RFC 6749 5.1."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105  the type's name, no secret
    expires_in: int


class TokenIssuer:
    """Signs and reads tokens, and slows down who guesses passwords. Safe to share between threads."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._key = OctKey.import_key(accounts.signing_secret(archive))
        self._failures: OrderedDict[tuple[str, str], list[float]] = OrderedDict()
        self._users: dict[str, tuple[float, Principal | None]] = {}
        self._lock = threading.Lock()

    def sign_in(self, name: str, password: str, address: str) -> Token:
        """A token; raises HTTPException 401 for wrong credentials, 429 for too many of them."""
        who = (name[:NAME_CHARACTERS_MAX], address)
        if not self._may_try(who):
            raise HTTPException(
                429, "Too many wrong passwords; wait a minute", {"Retry-After": str(int(FAILURE_SECONDS))}
            )
        user = accounts.sign_in(self._archive, name, password)
        if user is None:
            raise HTTPException(401, "Wrong user name or password", {"WWW-Authenticate": "Bearer"})
        self._forget_try(who)
        seconds = self._archive.settings.token_seconds
        now = int(time.time())
        claims = {"iss": ISSUER, "sub": user.name, "iat": now, "exp": now + seconds}
        return Token(access_token=jwt.encode({"alg": ALGORITHM}, claims, self._key), expires_in=seconds)

    def principal(self, token: str) -> Principal | None:
        """Whose token it is; None if it is forged, expired, or its account is gone."""
        try:
            claims = jwt.decode(token, self._key, algorithms=[ALGORITHM]).claims
            jwt.JWTClaimsRegistry(iss={"essential": True, "value": ISSUER}, sub={"essential": True},
                                  exp={"essential": True}).validate(claims)  # fmt: skip
        except (JoseError, ValueError, TypeError):
            return None
        return self._known(str(claims["sub"]))

    def _known(self, name: str) -> Principal | None:
        now = time.monotonic()
        read, principal = self._users.get(name, (-USER_CACHE_SECONDS, None))
        if now - read >= USER_CACHE_SECONDS:
            user = accounts.find_user(self._archive, name)
            principal = user.principal() if user else None
            self._users[name] = (now, principal)
        return principal

    def _may_try(self, who: tuple[str, str]) -> bool:
        """Whether another password may be tried. The try is noted before the slow comparison, so that many at once
        are many."""
        now = time.monotonic()
        with self._lock:
            recent = [t for t in self._failures.pop(who, []) if now - t < FAILURE_SECONDS]
            allowed = len(recent) < FAILURES_MAX
            self._failures[who] = [*recent, now] if allowed else recent
            while len(self._failures) > TRACKED_MAX:
                self._failures.popitem(last=False)
        return allowed

    def _forget_try(self, who: tuple[str, str]) -> None:
        """It was the right password."""
        with self._lock:
            tries = self._failures.get(who)
            if tries:
                tries.pop()


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
    return issuer.sign_in(form.username, form.password, address)
