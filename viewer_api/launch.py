"""A signed address from the hospital's own system: the doctor comes in without a second sign-in, and sees the study.

The parameters are those of IHE RAD Invoke Image Display (RAD-106, RAD TF-2 4.106), and `launch`: a JWT that the
client signed with its secret (HS256), which repeats every parameter. It is good once, for two minutes at most.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from pacs import query as q
from pacs.access import Purpose, Role
from pacs.attributes import Level
from storage import clients, sessions, tickets, tries
from storage.accounts import User, find_user
from storage.archive import Archive
from storage.clients import Client
from storage.search import search
from viewer_api.audited import tell
from viewer_api.auth import TheArchive
from viewer_api.sign_in import address

router = APIRouter(tags=["sign-in"])
ALGORITHM = "HS256"
LASTS_SECONDS_MAX = 120  # from iat to exp
CLOCK_SECONDS = 30  # that the hospital's clock may be ahead
HANDED_OVER_SECONDS = 60
TRIES_MAX = 30  # forged ones from one address in a minute
PARAMETERS = ("requestType", "studyUID", "accessionNumber", "patientID", "patientName", "patientBirthDate",
              "modalitiesInStudy", "viewerType", "diagnosticQuality", "keyImagesOnly", "mostRecentResults",
              "lowerDateTime", "upperDateTime")  # fmt: skip
ROLES = frozenset(
    {Role.CLINICIAN, Role.RADIOLOGIST, Role.TECHNOLOGIST}
)  # another system makes nobody administrator
REFUSED = "The launch is forged, too old, was used already, or names nobody who may come so"
REFUSED_PAGE = """<!doctype html>
<html lang="zh-CN"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>通影 Tongying</title>
<h1>此链接已失效</h1>
<p>链接只能使用一次，且几分钟内有效。请在医院系统中重新打开，或<a href="/">登录</a>。</p>
<h1 lang="en">This link is no longer good</h1>
<p lang="en">It opens once, within minutes. Open it again from the hospital’s system, or <a href="/">sign in</a>.</p>
</html>
"""
Text = Annotated[str, Query(max_length=1024)]


@router.get("/IHEInvokeImageDisplay", response_model=None, status_code=303)
def invoke_image_display(
    request: Request, archive: TheArchive, launch: Annotated[str, Query(max_length=8192)] = ""
) -> Response:
    """Open a study (requestType=STUDY with studyUID or accessionNumber) or a patient's studies (requestType=PATIENT
    with patientID), as the user whom the signed `launch` names."""
    tried = tries.begin(archive, TRIES_MAX, "launch", address(request))
    found = _signed(archive, launch)
    if found is None or not _as_signed(request, found[1]):
        return _refused(request)
    client, claims = found
    user = _user(archive, client, claims)
    purpose = _purpose(claims)
    lasts = float(claims["exp"]) - time.time() + CLOCK_SECONDS
    if (
        user is None
        or purpose is None
        or not tickets.note(archive, f"launch {client.name}", claims["jti"], {}, lasts)
    ):
        return _refused(request)
    tries.forget(archive, tried)
    request.state.who = replace(user.principal(), purpose=purpose)
    tell(what=f"launched by {client.name}", studies=(claims["parameters"].get("studyUID", ""),))
    session = sessions.begin(
        archive,
        user.name,
        purpose=purpose.value,
        agent=f"{client.name}: {request.headers.get('user-agent', '')}",
    )
    ticket = tickets.make(archive, "session", {"user": user.name, "session": session}, HANDED_OVER_SECONDS)
    page = _page(archive, user, claims)
    return RedirectResponse(f"{page}#ticket={ticket}", 303, {"Cache-Control": "no-store"})


def _refused(request: Request) -> Response:
    """All the same, whatever is wrong; as a page for who looks at it with a browser."""
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(REFUSED_PAGE, 401, {"Cache-Control": "no-store"})
    raise HTTPException(401, REFUSED, {"WWW-Authenticate": "Bearer"})


def _signed(archive: Archive, launch: str) -> tuple[Client, dict[str, Any]] | None:
    """The client and its claims; None unless one of its keys signed them and they are of now."""
    try:
        name = str(jws.extract_compact(launch.encode()).headers().get("kid", ""))
    except (JoseError, ValueError, TypeError):
        return None
    known = clients.launch_keys(archive, name)
    for key in known[1] if known else ():
        claims = _claims(launch, key)
        if known and claims is not None and claims["iss"] == name:
            return known[0], claims
    return None


def _claims(launch: str, key: bytes) -> dict[str, Any] | None:
    essential: dict[str, Any] = {
        name: {"essential": True} for name in ("iss", "sub", "aud", "jti", "iat", "exp")
    }
    essential["aud"] |= {"value": "tongying"}
    try:
        claims = jwt.decode(launch, OctKey.import_key(key), algorithms=[ALGORITHM]).claims
        jwt.JWTClaimsRegistry(leeway=CLOCK_SECONDS, **essential).validate(claims)
        lasts, left = float(claims["exp"]) - float(claims["iat"]), float(claims["exp"]) - time.time()
    except (JoseError, ValueError, TypeError, OverflowError):
        return None
    texts = all(isinstance(claims[name], str) for name in ("iss", "sub", "jti"))
    return claims if texts and 0 < lasts <= LASTS_SECONDS_MAX and left > 0 else None


def _as_signed(request: Request, claims: dict[str, Any]) -> bool:
    """Each parameter once, each as it was signed, and none left out: nothing is widened on the way."""
    given = request.query_params.multi_items()
    asked = {name: value for name, value in given if name != "launch"}
    return (
        len(given) == len(asked) + 1 and asked == claims.get("parameters") and asked.keys() <= set(PARAMETERS)
    )


def _user(archive: Archive, client: Client, claims: dict[str, Any]) -> User | None:
    """An account of the client's own facility, with a role that other systems may speak for."""
    user = find_user(archive, claims["sub"])
    return user if user is not None and user.facility == client.facility and user.role in ROLES else None


def _purpose(claims: dict[str, Any]) -> Purpose | None:
    try:
        return Purpose(claims.get("purpose", Purpose.TREATMENT))
    except ValueError:
        return None


def _page(archive: Archive, user: User, claims: dict[str, Any]) -> str:
    """Our own page for what was asked; where nothing is found, the list that says so."""
    asked: dict[str, str] = claims["parameters"]
    if asked.get("requestType") == "STUDY" and asked.get("studyUID"):
        return f"/study/{quote(asked['studyUID'], safe='')}"
    if asked.get("requestType") == "STUDY" and asked.get("accessionNumber"):
        wanted = q.match(q.attribute("AccessionNumber"), asked["accessionNumber"])
        matches = tuple(one for one in (wanted,) if one)
        found = search(archive, q.Query(Level.STUDY, matches, limit=2), user.principal())
        if len(found) == 1:
            return f"/study/{quote(found[0].study_uid, safe='')}"
        return _list(asked["accessionNumber"])
    return _list(asked.get("patientID", "").partition("^")[0])  # a CX: its first component is the identifier


def _list(words: str) -> str:
    """The study list, searched; the page reads values of its address as JSON."""
    return f"/?q={quote(json.dumps(words), safe='')}"
