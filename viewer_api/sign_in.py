"""Sign-in: the token endpoint (RFC 6749), and the way out."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal, Self
from urllib.parse import unquote_plus

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, model_validator

from storage import sessions, tickets
from storage.accounts import User, find_user
from storage.archive import Archive
from storage.tokens import TokenIssuer
from viewer_api import cookies
from viewer_api.audited import tell
from viewer_api.auth import TheArchive, TheIssuer, TheSubject

router = APIRouter(prefix="/api/auth", tags=["sign-in"])
OFFLINE = "offline_access"  # the scope by which a client asks for a refresh token in the body (OpenID Connect Core 11)
TICKET = "urn:tongying:ticket"
BEARER = {"WWW-Authenticate": "Bearer"}
NOT_KEPT = {"Cache-Control": "no-store"}  # RFC 6749 5.1


class Token(BaseModel):
    """RFC 6749 5.1, and what must be done before the token opens anything else."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105  the type's name, no secret
    expires_in: int
    refresh_token: str | None = None
    must: Literal["password", "second_factor"] | None = None


class Wanted(BaseModel):
    """What is sent to the token endpoint. Who signs in with a password may bring the code of a second factor; a page of
    ours asks for a cookie, a client for a refresh token by the scope offline_access."""

    model_config = ConfigDict(extra="ignore")  # RFC 6749 3.2
    grant_type: Literal["password", "refresh_token", "client_credentials", "urn:tongying:ticket"] = "password"
    username: str = ""
    password: str = ""
    code: str = ""
    scope: str = ""
    refresh_token: str = ""
    client_id: str = ""
    client_secret: str = ""
    ticket: str = ""
    cookie: bool = False

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.grant_type == "password" and not (self.username and self.password):
            raise ValueError("username and password are required")
        return self


@router.post("/token", response_model_exclude_none=True)
def token(
    request: Request,
    issuer: TheIssuer,
    archive: TheArchive,
    wanted: Annotated[Wanted, Form()],
    response: Response,
) -> Token:
    """Sign in with user name and password, with a client's credentials, or go on with a refresh token."""
    response.headers.update(NOT_KEPT)
    if wanted.cookie:
        cookies.check_same_origin(request)
    if wanted.grant_type == "client_credentials":
        return _of_client(request, issuer, wanted)
    if wanted.grant_type == "refresh_token":
        return _renewed(request, response, issuer, archive, wanted)
    if wanted.grant_type == TICKET:
        return _by_ticket(request, response, issuer, archive, wanted)
    # A name that nobody has is not told: people type passwords where names belong.
    tell(who=wanted.username if find_user(archive, wanted.username) else "")
    user = issuer.sign_in(wanted.username, wanted.password, address(request), wanted.code.strip())
    if user is None:
        raise HTTPException(401, "Wrong user name or password", BEARER)
    return begun(request, response, issuer, archive, user, wanted)


def begun(
    request: Request, response: Response, issuer: TokenIssuer, archive: Archive, user: User, wanted: Wanted
) -> Token:
    """The first token of a new session."""
    must = issuer.must_first(user)
    agent = request.headers.get("user-agent", "")
    session = sessions.begin(archive, user.name, scope=sessions.ACCOUNT if must else "", agent=agent)
    return _handed_out(request, response, issuer, archive, user, session, wanted, must)


def _handed_out(
    request: Request, response: Response, issuer: TokenIssuer, archive: Archive, user: User, session: int,
    wanted: Wanted, must: str = "",
) -> Token:  # fmt: skip
    request.state.who = user.principal()
    signed, seconds = issuer.issue(user, session)
    given = Token(access_token=signed, expires_in=seconds, must=must or None)  # type: ignore[arg-type]
    if wanted.cookie:
        refresh = sessions.refresh_token(archive, session)
        cookies.keep(request, response, session, refresh, archive.settings.session_seconds)
    elif OFFLINE in wanted.scope.split():
        given.refresh_token = sessions.refresh_token(archive, session)
    return given


def _renewed(
    request: Request, response: Response, issuer: TokenIssuer, archive: Archive, wanted: Wanted
) -> Token:
    session = None
    refresh: str | None = wanted.refresh_token
    if wanted.cookie:
        session = issuer.session_of(request.headers.get("authorization", "").removeprefix("Bearer "))
        refresh = cookies.of_session(request, session) if session is not None else None
    renewed = sessions.renew(archive, refresh, of=session) if refresh else None
    user = find_user(archive, renewed.name) if renewed else None
    if renewed is None or user is None:
        raise HTTPException(401, "The session is over", BEARER)
    request.state.who = user.principal()
    tell(what="renewed")
    signed, seconds = issuer.issue(user, renewed.session)
    given = Token(access_token=signed, expires_in=seconds)
    if wanted.cookie:
        cookies.keep(request, response, renewed.session, renewed.token, archive.settings.session_seconds)
    else:
        given.refresh_token = renewed.token
    return given


def _by_ticket(
    request: Request, response: Response, issuer: TokenIssuer, archive: Archive, wanted: Wanted
) -> Token:
    """A sign-in that was begun elsewhere, handed over to the page."""
    value = tickets.take(archive, "session", wanted.ticket)
    user = find_user(archive, value["user"]) if value else None
    if value is None or user is None:
        raise HTTPException(401, "The sign-in was used, or is too old", BEARER)
    return _handed_out(request, response, issuer, archive, user, value["session"], wanted)


def _of_client(request: Request, issuer: TokenIssuer, wanted: Wanted) -> Token:
    name, secret = _basic(request) or (wanted.client_id, wanted.client_secret)
    client = issuer.client_sign_in(name, secret, address(request))
    if client is None:
        raise HTTPException(401, "Wrong client or secret", {"WWW-Authenticate": "Basic"})
    request.state.who = client.principal()
    signed, seconds = issuer.issue_to_client(client)
    return Token(access_token=signed, expires_in=seconds)


def _basic(request: Request) -> tuple[str, str] | None:
    """Name and secret of the Authorization header (RFC 6749 2.3.1)."""
    kind, _, encoded = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return unquote_plus(name), unquote_plus(secret)


class SignOut(BaseModel):
    model_config = ConfigDict(extra="forbid")
    everywhere: bool = False


@router.post("/sign-out", status_code=204)
def sign_out(
    request: Request, subject: TheSubject, issuer: TheIssuer, archive: TheArchive, how: SignOut
) -> Response:
    """End this session, or all sessions of the user; known everywhere within five seconds."""
    response = Response(status_code=204)
    if subject.session is not None:
        sessions.end(archive, subject.name, None if how.everywhere else subject.session)
        cookies.drop(request, response, subject.session)
    issuer.forget(subject)
    return response


def address(request: Request) -> str:
    """Where the request comes from."""
    return request.client.host if request.client else ""
