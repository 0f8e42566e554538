"""Share links (`storage.links`): made and taken back by who may share, opened by who holds one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from pacs.access import Principal, Role
from pacs.errors import NotFound
from pacs.uids import UID_LENGTH_MAX, clean_uid
from storage import links
from storage.archive import Archive
from storage.links import DAYS, DAYS_MAX, STUDIES_MAX, OpenLink
from viewer_api.audited import owned_by, tell
from viewer_api.auth import TheArchive, TheIssuer, Who
from viewer_api.qr import drawn
from viewer_api.sharing import Before, Code, Key, Limit, Page, as_page, owner
from viewer_api.sign_in import BEARER, NOT_KEPT, address

router = APIRouter(prefix="/api", tags=["sharing"])
PROBLEM_JSON = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
NO_LINK: dict[int | str, dict[str, Any]] = {404: {"description": "Not Found", "content": PROBLEM_JSON}}
PAGE = "/shared"  # of the web app, which reads the secret behind #


class NewLink(BaseModel):
    """For studies of one patient of a facility."""

    model_config = ConfigDict(extra="forbid")
    facility: Code = Field(default="", description="That owns them; the own one, if not said")
    studies: Annotated[
        list[Annotated[str, Field(max_length=UID_LENGTH_MAX)]], Field(min_length=1, max_length=STUDIES_MAX)
    ]
    days: Annotated[int, Field(ge=1, le=DAYS_MAX)] = DAYS
    with_code: bool = Field(default=True, description="Also ask for a code of six digits")


class MadeLink(BaseModel):
    """Shown once. `code` is told to the patient in another way than `url`."""

    id: int
    url: str
    code: str | None
    qr: str
    until: datetime


class Secret(BaseModel):
    model_config = ConfigDict(extra="forbid")
    secret: Annotated[str, Field(max_length=100)]
    code: Annotated[str, Field(max_length=20)] = ""


class LinkToken(BaseModel):
    access_token: str
    token_type: str = "bearer"  # noqa: S105  the type's name, no secret
    expires_in: int


class Shared(BaseModel):
    """What a link opens: whose it is, and until when."""

    facility: dict[str, str]
    studies: list[str]
    until: datetime


@router.post("/share-links", status_code=201)
def make_link(new: NewLink, request: Request, response: Response, who: Who, archive: TheArchive) -> MadeLink:
    """Make a link, for a patient, that opens these studies to whoever holds it."""
    facility = owner(who, new.facility)
    uids = [clean_uid(uid) for uid in new.studies]
    tell(what=f"for {new.days} days", studies=tuple(uids), subjects=owned_by(facility))
    made = links.make(archive, who, facility, uids, days=new.days, with_code=new.with_code)
    tell(what=f"link {made.id} until {made.until.isoformat()}")
    response.headers.update(NOT_KEPT)
    url = f"{_origin(request, archive.settings.public_url)}{PAGE}#link={made.secret}" + (
        "&code=1" if made.code else ""
    )
    return MadeLink(id=made.id, url=url, code=made.code or None, qr=drawn(url), until=made.until)


@router.get("/share-links")
def list_links(
    who: Who,
    archive: TheArchive,
    study_uid: Annotated[str, Query(max_length=UID_LENGTH_MAX)] = "",
    before: Before = None,
    limit: Limit = 100,
) -> Page:
    """Links that one made, or that are of the facility that one looks after, the newest first."""
    uid = clean_uid(study_uid) if study_uid else ""
    return as_page(links.list_links(archive, who, study_uid=uid, before=before, limit=limit + 1), limit)


@router.delete("/share-links/{link_id}", status_code=204)
def revoke_link(link_id: Key, who: Who, archive: TheArchive) -> Response:
    """Take it back. What it opened is closed at once."""
    tell(studies=links.revoke(archive, who, link_id))
    return Response(status_code=204)


@router.post("/auth/link", tags=["sign-in"])
def open_link(
    said: Secret, request: Request, response: Response, archive: TheArchive, issuer: TheIssuer
) -> LinkToken:
    """Exchange the secret of a link, with its code if it has one, for a token of an hour at most."""
    response.headers.update(NOT_KEPT)
    opened = links.open_link(archive, said.secret, said.code.strip(), address(request))
    if opened is None:
        raise HTTPException(401, "The link or its code is wrong, or it is over", BEARER)
    request.state.who = opened.principal()
    tell(studies=opened.studies)
    signed, seconds = issuer.issue_to_link(opened)
    return LinkToken(access_token=signed, expires_in=seconds)


@router.get("/shared", responses=NO_LINK)
def shared(who: Who, archive: TheArchive) -> Shared:
    """What one's link opens."""
    link = link_of(who, archive)
    names = {"code": link.facility, "name": link.facility_name, "name_en": link.facility_name_en}
    return Shared(facility=names, studies=list(link.studies), until=link.until)


def link_of(who: Principal, archive: Archive) -> OpenLink:
    """The link by which somebody is here; raises NotFound for others, and where it is over."""
    found = links.find(archive, who.link) if who.role is Role.LINK else None
    if found is None:
        raise NotFound("there is no such link")
    return found


def _origin(request: Request, public_url: str) -> str:
    """How browsers call us: as the setting says, else as the one that asks does, since whoever ends TLS in front of us
    need not tell it."""
    said = request.headers.get("origin", "")
    ours = said if urlsplit(said).netloc == request.headers.get("host") else str(request.base_url)
    return (public_url or ours).rstrip("/")
