"""Remotes, rules and the queue of what is sent, for administrators: what `tongying remote`, `route` and `send` do.

Nothing here is called by this process: the exchange calls remotes, and never link-local, multicast or unspecified
addresses, whatever a name leads to.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from pacs.access import Principal, may_administer
from pacs.errors import NotFound
from storage import echoes, remotes, routing, sending
from storage.archive import Archive
from storage.remotes import ASSOCIATIONS_MAX, CA_CHARACTERS_MAX, DICOM, NAME_CHARACTERS_MAX
from storage.routing import Route
from viewer_api.administration import Administrator, check_facility
from viewer_api.audited import owned_by, tell, told_fields
from viewer_api.auth import TheArchive

router = APIRouter(prefix="/api", tags=["exchange"])
PAGE_MAX = 1000
Key = Annotated[int, Path(ge=1, lt=2**63)]


class _RemoteOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")
    tls: bool = Field(default=False, description="Call it over TLS")
    ca: str = Field(
        default="", max_length=CA_CHARACTERS_MAX, description="PEM: whom its certificate is believed from"
    )
    certificate: str = Field(
        default="", max_length=200, description="SHA-256 fingerprint of the one certificate that it may show"
    )
    syntaxes: list[Annotated[str, Field(max_length=64)]] = Field(
        default=[], max_length=32, description="UIDs of the transfer syntaxes to offer; all if empty"
    )
    associations_max: int = Field(default=2, ge=1, le=ASSOCIATIONS_MAX, description="At once")
    notify: bool = Field(
        default=False, description="It is told what is available, and sent no images by rules"
    )
    active: bool = Field(default=True, description="Whether anything is sent to it")


class NewRemote(_RemoteOptions):
    """A DICOM node to be registered."""

    name: str = Field(max_length=NAME_CHARACTERS_MAX, description="Ours for it, unique in the region")
    facility: str = Field(max_length=16)
    ae_title: str = Field(max_length=64)
    host: str = Field(max_length=255)
    port: int = Field(ge=1, le=65535)


class RemoteChange(_RemoteOptions):
    """The fields to change; those that are not given stay."""

    name: str = Field(default="", max_length=NAME_CHARACTERS_MAX)
    facility: str = Field(default="", max_length=16)
    ae_title: str = Field(default="", max_length=64)
    host: str = Field(default="", max_length=255)
    port: int = Field(default=104, ge=1, le=65535)


class Remote(NewRemote):
    """A registered DICOM node."""

    id: int


class Queue(BaseModel):
    """What a remote's queue holds: rows by state, and the error of one that is not done."""

    states: dict[str, int] = {}
    error: str = ""


class Listed(Remote):
    """A remote, with its queue."""

    queue: Queue


class Remotes(BaseModel):
    remotes: list[Listed]


class Echo(BaseModel):
    """What came of a C-ECHO."""

    answered: bool
    milliseconds: int | None
    error: str
    at: datetime | None


@router.get("/remotes")
def list_remotes(who: Administrator, archive: TheArchive) -> Remotes:
    """The DICOM nodes that the administrator's facilities call."""
    queues = sending.queues(archive)
    found = [r for r in remotes.list_remotes(archive) if r.kind == DICOM and may_administer(who, r.facility)]
    listed = []
    for one in found:
        queue = queues.get(one.name, sending.Queue({}, ""))
        listed.append(Listed(**_shown(one).model_dump(), queue=Queue(states=queue.states, error=queue.error)))
    return Remotes(remotes=listed)


@router.post("/remotes", status_code=201)
def add_remote(new: NewRemote, who: Administrator, archive: TheArchive) -> Remote:
    """Register a DICOM node under a new name."""
    check_facility(who, new.facility)
    fields = new.model_dump() | {"syntaxes": tuple(new.syntaxes)}
    tell(what=f"remote {new.name}: {new.ae_title} at {new.host}:{new.port}")
    return _shown(remotes.new_remote(archive, remotes.Remote(**fields)))


@router.patch("/remotes/{remote_id}")
def change_remote(remote_id: Key, change: RemoteChange, who: Administrator, archive: TheArchive) -> Remote:
    """Change the fields given."""
    _remote(archive, who, remote_id)
    fields: dict[str, Any] = change.model_dump(exclude_unset=True)
    if "facility" in fields:
        check_facility(who, fields["facility"])
    tell(what=told_fields(fields))
    if "syntaxes" in fields:
        fields["syntaxes"] = tuple(fields["syntaxes"])
    return _shown(remotes.change_remote(archive, remote_id, fields))


@router.delete("/remotes/{remote_id}", status_code=204)
def remove_remote(remote_id: Key, who: Administrator, archive: TheArchive) -> Response:
    """Forget a remote, its rules, and what waits for it."""
    remotes.remove_remote(archive, _remote(archive, who, remote_id).name)
    return Response(status_code=204)


@router.post("/remotes/{remote_id}/echo")
def echo(remote_id: Key, who: Administrator, archive: TheArchive) -> Echo:
    """Is it there (C-ECHO)? The exchange process asks it."""
    found = echoes.ask(archive, _remote(archive, who, remote_id).id)
    return Echo(answered=found.answered, milliseconds=found.milliseconds, error=found.error, at=found.at)


Fits = Annotated[str, Field(max_length=64)]


class RuleOptions(BaseModel):
    """What a rule fits; what is empty fits all."""

    model_config = ConfigDict(extra="forbid")
    modality: Fits = ""
    body_part: Fits = ""
    calling: Fits = Field(default="", description="AE title of the device that sends")
    called: Fits = Field(default="", description="AE title under which the device calls us")


class NewRule(RuleOptions):
    """What arrives at a facility and fits is sent to a remote."""

    remote: str = Field(max_length=NAME_CHARACTERS_MAX)
    facility: str = Field(max_length=16)


class Rule(NewRule):
    id: int


class Rules(BaseModel):
    routes: list[Rule]


@router.get("/routes")
def list_routes(who: Administrator, archive: TheArchive) -> Rules:
    """The rules of the administrator's facilities."""
    return Rules(routes=[_rule(r) for r in routing.list_routes(archive) if may_administer(who, r.facility)])


@router.post("/routes", status_code=201)
def add_route(new: NewRule, who: Administrator, archive: TheArchive) -> Rule:
    """Send on what arrives from now on and fits."""
    check_facility(who, new.facility)
    _named(archive, who, new.remote)
    number = routing.add_route(archive, Route(**new.model_dump()))
    return _rule(routing.find_route(archive, number))


@router.patch("/routes/{route_id}")
def change_route(route_id: Key, change: RuleOptions, who: Administrator, archive: TheArchive) -> Rule:
    """Change what a rule fits; what it queued stays queued."""
    _check_rule(archive, who, route_id)
    return _rule(routing.change_route(archive, route_id, change.model_dump(exclude_unset=True)))


@router.delete("/routes/{route_id}", status_code=204)
def remove_route(route_id: Key, who: Administrator, archive: TheArchive) -> Response:
    """Remove a rule; what it queued is sent still."""
    _check_rule(archive, who, route_id)
    routing.remove_route(archive, route_id)
    return Response(status_code=204)


class NewSend(BaseModel):
    """A study, or one series of it, to be sent."""

    model_config = ConfigDict(extra="forbid")
    remote: str = Field(max_length=NAME_CHARACTERS_MAX)
    study_uid: str = Field(max_length=64)
    series_uid: str = Field(default="", max_length=64)


class Queued(BaseModel):
    sends: list[int] = Field(description="Numbers of the rows, one for each series")


class Send(BaseModel):
    """A row of the queue: a series, or what one arrival brought of it."""

    id: int
    remote: str
    facility: str
    study_uid: str
    series_uid: str
    state: Literal["waiting", "running", "done", "failed"]
    total: int
    sent: int
    priority: int
    tries: int
    not_before: datetime = Field(description="When it is tried next; of one that runs, when it is given back")
    error: str = Field(description="Why it failed the last time")
    created_at: datetime
    updated_at: datetime


class Sends(BaseModel):
    sends: list[Send]
    next_before: int | None


@router.get("/sends")
def list_sends(
    who: Administrator,
    archive: TheArchive,
    remote: Annotated[str, Query(max_length=NAME_CHARACTERS_MAX)] = "",
    state: Annotated[str, Query(pattern="^(waiting|running|done|failed)?$")] = "",
    before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
) -> Sends:
    """The queue, the newest first, a page at a time; `next_before` leads to the next one."""
    found = sending.list_sends(archive, who, remote=remote, state=state, before=before, limit=limit + 1)
    more = found[limit - 1]["id"] if len(found) > limit else None
    return Sends(sends=[Send(**row) for row in found[:limit]], next_before=more)


@router.post("/sends", status_code=202)
def send(new: NewSend, who: Administrator, archive: TheArchive) -> Queued:
    """Queue a study or series for a remote; what was sent before is sent again."""
    _named(archive, who, new.remote)
    tell(studies=(new.study_uid,))
    return Queued(sends=sending.enqueue(archive, who, new.study_uid, new.remote, new.series_uid))


@router.post("/sends/{send_id}/retry", status_code=204)
def retry(send_id: Key, who: Administrator, archive: TheArchive) -> Response:
    """Try it at once, also what was given up or is done."""
    sending.retry(archive, who, send_id)
    return Response(status_code=204)


@router.delete("/sends/{send_id}", status_code=204)
def cancel(send_id: Key, who: Administrator, archive: TheArchive) -> Response:
    """Give it up; it stays in the list as failed. What is under way may still arrive."""
    sending.cancel(archive, who, send_id)
    return Response(status_code=204)


def _remote(archive: Archive, who: Principal, remote_id: int) -> remotes.Remote:
    """A remote of another's facility, or an Orthanc, answers as one that does not exist."""
    found = remotes.remotes_by_id(archive, {remote_id}).get(remote_id)
    if found is None or found.kind != DICOM or not may_administer(who, found.facility):
        raise NotFound("there is no such remote")
    tell(what=f"remote {found.name}", subjects=owned_by(found.facility))
    return found


def _named(archive: Archive, who: Principal, name: str) -> None:
    found = next((r for r in remotes.list_remotes(archive) if r.name == name and r.kind == DICOM), None)
    if found is None or not may_administer(who, found.facility):
        raise NotFound(f"there is no remote {name}")
    tell(what=f"remote {name}", subjects=owned_by(found.facility))


def _check_rule(archive: Archive, who: Principal, number: int) -> None:
    rule = routing.find_route(archive, number)
    if not may_administer(who, rule.facility):
        raise NotFound(f"there is no rule {number}")
    tell(what=f"rule to {rule.remote}", subjects=owned_by(rule.facility))


def _shown(remote: remotes.Remote) -> Remote:
    fields = {name: getattr(remote, name) for name in Remote.model_fields}
    return Remote(**fields | {"syntaxes": list(remote.syntaxes)})


def _rule(route: Route) -> Rule:
    return Rule(**{name: getattr(route, name) for name in Rule.model_fields})
