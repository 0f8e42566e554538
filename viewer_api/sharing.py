"""Sharing: what a facility shares, grants, what keeps studies closed, and emergencies (`storage.sharing`)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from pacs.access import Principal
from pacs.audit import Subject
from pacs.errors import BadQuery, Forbidden
from pacs.sharing import Kind, Policy, Scope
from pacs.uids import UID_LENGTH_MAX, clean_uid
from storage import sharing
from storage.index.subjects import Named
from storage.sharing import REASON_CHARACTERS_MAX, VALUES_MAX
from viewer_api.administration import Administrator, check_facility
from viewer_api.audited import owned_by, tell, told_fields
from viewer_api.auth import TheArchive, Who

router = APIRouter(prefix="/api", tags=["sharing"])
PAGE_MAX = 200
Code = Annotated[str, Field(max_length=16)]
Key = Annotated[int, Field(gt=0, lt=2**63)]
Values = Annotated[list[Code], Field(max_length=VALUES_MAX)]
Words = Annotated[str, Field(max_length=REASON_CHARACTERS_MAX)]
Before = Annotated[int, Query(gt=0, lt=2**63)] | None
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]


class SharingPolicy(BaseModel):
    """`modalities`: no others leave the facility, all if there are none; studies with a series of one of the
    `sensitive_body_parts` (BodyPartExamined) never do without a grant that says so."""

    model_config = ConfigDict(extra="forbid")
    scope: Literal["none", "registered", "region"]
    modalities: Values = []
    sensitive_body_parts: Values = []


class _About(BaseModel):
    """A study of a facility, or one of its patients by ID and issuer."""

    model_config = ConfigDict(extra="forbid")
    study_uid: Annotated[str, Field(max_length=UID_LENGTH_MAX)] = ""
    patient_id: Annotated[str, Field(max_length=64)] = ""
    issuer: Annotated[str, Field(max_length=64)] = ""

    def named(self) -> Named:
        if bool(self.study_uid) == bool(self.patient_id):
            raise BadQuery("name a study or a patient")
        if self.study_uid:
            return Named(study_uid=clean_uid(self.study_uid))
        return Named(patient_id=self.patient_id, issuer=self.issuer)


class NewGrant(_About):
    """To a facility, a department of it, or a user; until a moment (ISO 8601)."""

    facility: Code = Field(default="", description="That owns it; the own one, if not said")
    kind: Literal["referral", "consultation", "grant", "quality"]
    until: AwareDatetime
    to_facility: Code = ""
    to_department: Code = ""
    to_user: Annotated[str, Field(max_length=64)] = ""
    sensitive: bool = Field(default=False, description="Also what is marked as sensitive")
    reason: Words = ""


class NewRestriction(_About):
    """`absolute` is an objection that an emergency does not pass."""

    facility: Code = ""
    kind: Literal["objection", "absolute", "sensitive", "embargo"]
    until: AwareDatetime | None = None
    everywhere: bool = Field(
        default=False, description="Also for the same person's studies of other facilities"
    )
    reason: Words = ""


class Emergency(_About):
    """A patient is one of the own facility."""

    reason: Words


class Opened(BaseModel):
    studies: list[str]
    until: datetime


class Made(BaseModel):
    id: int


class Page(BaseModel):
    rows: list[dict[str, Any]]
    next_before: int | None


@router.get("/facilities/{code}/sharing")
def read_policy(code: str, who: Administrator, archive: TheArchive) -> SharingPolicy:
    """What the facility shares."""
    check_facility(who, code)
    policy = sharing.find_policy(archive, code)
    return SharingPolicy(scope=policy.scope.value, modalities=sorted(policy.modalities),
                         sensitive_body_parts=sorted(policy.sensitive_body_parts))  # fmt: skip


@router.put("/facilities/{code}/sharing", status_code=204)
def set_policy(code: str, new: SharingPolicy, who: Administrator, archive: TheArchive) -> Response:
    """Set what the facility shares, as a whole. Within a second it holds."""
    check_facility(who, code)
    tell(what=told_fields(new.model_dump()), subjects=owned_by(code))
    policy = Policy(Scope(new.scope), frozenset(new.modalities), frozenset(new.sensitive_body_parts))
    sharing.set_policy(archive, who, code, policy)
    return Response(status_code=204)


@router.post("/grants", status_code=201)
def make_grant(new: NewGrant, who: Who, archive: TheArchive) -> Made:
    """Open a study, or all of a patient's at the facility, to somebody elsewhere."""
    facility = owner(who, new.facility)
    _tell(
        new,
        facility,
        f"{new.kind} to {new.to_facility} {new.to_department} {new.to_user} until {new.until.isoformat()}",
    )
    key = sharing.grant(
        archive, who, facility, new.named(), kind=Kind(new.kind), until=new.until,
        to_facility=new.to_facility, to_department=new.to_department, to_user=new.to_user, sensitive=new.sensitive,
        reason=new.reason,
    )  # fmt: skip
    return Made(id=key)


@router.get("/grants")
def list_grants(who: Who, archive: TheArchive, before: Before = None, limit: Limit = 100) -> Page:
    """What was opened, by oneself or at the facility that one looks after, the newest first."""
    return as_page(sharing.list_grants(archive, who, before=before, limit=limit + 1), limit)


@router.delete("/grants/{grant_id}", status_code=204)
def revoke(grant_id: Key, who: Who, archive: TheArchive) -> Response:
    """Take it back."""
    sharing.revoke(archive, who, grant_id)
    return Response(status_code=204)


@router.post("/restrictions", status_code=201)
def restrict(new: NewRestriction, who: Administrator, archive: TheArchive) -> Made:
    """Note an objection, mark as sensitive, or put under embargo."""
    facility = owner(who, new.facility)
    check_facility(who, facility)
    _tell(new, facility, new.kind)
    key = sharing.restrict(archive, who, facility, new.named(), kind=new.kind, until=new.until,
                           everywhere=new.everywhere, reason=new.reason)  # fmt: skip
    return Made(id=key)


@router.get("/restrictions")
def list_restrictions(
    who: Administrator, archive: TheArchive, before: Before = None, limit: Limit = 100
) -> Page:
    """What keeps studies closed, the newest first."""
    return as_page(sharing.list_restrictions(archive, who, before=before, limit=limit + 1), limit)


@router.delete("/restrictions/{restriction_id}", status_code=204)
def lift(restriction_id: Key, who: Administrator, archive: TheArchive) -> Response:
    """End it."""
    sharing.lift(archive, who, restriction_id)
    return Response(status_code=204)


@router.post("/break-glass", status_code=201)
def break_glass(new: Emergency, who: Who, archive: TheArchive) -> Opened:
    """Open all there is of a patient to oneself, for some hours, in an emergency. Its owners are alerted."""
    _tell(new, who.facility or "", "")
    opened = Opened(**sharing.break_glass(archive, who, new.named(), new.reason))
    tell(what=f"until {opened.until.isoformat()}", studies=tuple(opened.studies))
    return opened


@router.get("/break-glass")
def list_alerts(who: Who, archive: TheArchive, before: Before = None, limit: Limit = 100) -> Page:
    """Emergencies, for administrators and auditors of the owners, the newest first; for others there are none."""
    return as_page(sharing.list_alerts(archive, who, before=before, limit=limit + 1), limit)


@router.post("/break-glass/{grant_id}/note", status_code=204)
def note_alert(grant_id: Key, who: Who, archive: TheArchive) -> Response:
    """Take note of it."""
    sharing.note_alert(archive, who, grant_id)
    return Response(status_code=204)


def _tell(about: _About, facility: str, what: str) -> None:
    """Reasons stay in their rows: people write names into them."""
    patient = (Subject(facility, about.issuer, about.patient_id),) if about.patient_id else owned_by(facility)
    tell(what=what, studies=(about.study_uid,), subjects=patient)


def owner(who: Principal, said: str) -> str:
    """The facility that was said, else the own one; raises Forbidden where there is none."""
    facility = said or who.facility
    if not facility:
        raise Forbidden("say which facility owns it")
    return facility


def as_page(rows: list[dict[str, Any]], limit: int) -> Page:
    """Of one row more than fit, whether there are more."""
    more = rows[limit - 1]["id"] if len(rows) > limit else None
    return Page(rows=rows[:limit], next_before=more)
