"""Sign-in with an OpenID provider: authorization code with PKCE (RFC 7636), state, nonce (OpenID Connect Core 3.1)."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import RedirectResponse

from pacs.errors import NotFound
from storage import sessions, tickets, tries
from storage.openid import user_of
from viewer_api.auth import TheArchive
from viewer_api.provider import Provider, ProviderError, log, new_secret
from viewer_api.sign_in import address

router = APIRouter(prefix="/api/auth", tags=["sign-in"])
COOKIE, PATH = "tongying_openid", "/api/auth/openid"
AWAY_SECONDS = 600  # in which one signs in there
HANDED_OVER_SECONDS = 60
TRIES_MAX = 30  # answers of one address that were not right, in a minute
BACK = re.compile(r"/(study/[0-9.]{1,64})?\Z")  # pages of ours, and nothing else
REFUSED = "The provider's answer is not one that we asked for, or names nobody who may come in"
Text = Annotated[str, Query(max_length=4096)]


def _provider(request: Request) -> Provider:
    if not request.app.state.archive.settings.openid_issuer:
        raise NotFound("there is no OpenID provider")
    provider: Provider = request.app.state.provider
    return provider


@router.get("/ways")
def ways(archive: TheArchive) -> dict[str, bool]:
    """Which ways there are to sign in beside a password; for the sign-in page, hence for everybody."""
    return {"openid": bool(archive.settings.openid_issuer)}


@router.get("/openid", status_code=303, response_model=None)
def begin(request: Request, archive: TheArchive, back: Text = "/") -> RedirectResponse:
    """To the provider; `back`: the page of ours to come back to."""
    provider = _provider(request)
    state, nonce, verifier, browser = (new_secret() for _ in range(4))
    value = {
        "nonce": nonce, "verifier": verifier, "browser": _digest(browser), "back": back if BACK.match(back) else "/",
    }  # fmt: skip
    try:
        url = provider.begin(state, nonce, verifier)
    except ProviderError as error:
        log.warning("openid_failed", reason=str(error))
        raise HTTPException(503, "The OpenID provider is away", {"Retry-After": "10"}) from None
    tickets.note(archive, "openid", state, value, AWAY_SECONDS)
    answer = RedirectResponse(url, 303, {"Cache-Control": "no-store"})
    # Lax: it must come along when the provider sends the browser back.
    answer.set_cookie(
        COOKIE, browser, max_age=AWAY_SECONDS, path=PATH, secure=_is_secure(archive.settings.public_url),
        httponly=True, samesite="lax",
    )  # fmt: skip
    return answer


@router.get("/openid/callback", status_code=303, response_model=None)
def callback(
    request: Request, archive: TheArchive, state: Text = "", code: Text = "", iss: Text = ""
) -> RedirectResponse:
    """Back from the provider: the browser that went there, once, with a code for an ID token that is for us."""
    provider = _provider(request)
    tried = tries.begin(archive, TRIES_MAX, "openid", address(request))
    value = tickets.take(archive, "openid", state)
    if value is None or value["browser"] != _digest(request.cookies.get(COOKIE, "")):
        raise _refused("state")
    if iss and iss != archive.settings.openid_issuer:  # RFC 9207
        raise _refused("another issuer answers")
    if not code:
        raise _refused("no code")
    try:
        claims = provider.finish(code, value["nonce"], value["verifier"])
    except ProviderError as error:
        raise _refused(str(error)) from None
    user = user_of(archive, archive.settings.openid_issuer, claims)
    if user is None:
        raise _refused("no account")
    tries.forget(archive, tried)
    request.state.who = user.principal()
    session = sessions.begin(archive, user.name, agent=request.headers.get("user-agent", ""))
    ticket = tickets.make(archive, "session", {"user": user.name, "session": session}, HANDED_OVER_SECONDS)
    answer = RedirectResponse(f"{value['back']}#ticket={ticket}", 303, {"Cache-Control": "no-store"})
    answer.delete_cookie(COOKIE, path=PATH)
    return answer


def _refused(reason: str) -> HTTPException:
    log.warning("openid_refused", reason=reason)
    return HTTPException(401, REFUSED, {"WWW-Authenticate": "Bearer"})


def _digest(browser: str) -> str:
    return hashlib.sha256(browser.encode(errors="replace")).hexdigest()


def _is_secure(public_url: str) -> bool:
    return public_url.startswith("https://")
