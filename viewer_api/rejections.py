"""What is rejected, for administrators: reject, and the recycle bin (`storage.recycling`)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from pacs.audit import Subject
from pacs.rejection import NAMED_MAX, REASON_CHARACTERS_MAX
from pacs.uids import UID_LENGTH_MAX, clean_uid
from pacs.values import Json
from storage import recycling
from storage.intake import Intake
from storage.notes import read_note
from storage.recycling import Choice
from viewer_api.administration import Administrator
from viewer_api.audited import tell
from viewer_api.auth import TheArchive

router = APIRouter(prefix="/api/rejections", tags=["rejections"])
PAGE_MAX = 200
Uid = Annotated[str, Field(max_length=UID_LENGTH_MAX)]


class NewRejection(BaseModel):
    """A study, one of its series, or instances of it; and why: 113001 quality, 113037 patient safety, 113038 incorrect
    worklist entry, 113039 retention expired."""

    model_config = ConfigDict(extra="forbid")

    study_uid: Uid
    series_uid: Uid = ""
    sop_uids: Annotated[list[Uid], Field(max_length=NAMED_MAX)] = []
    code: Literal["113001", "113037", "113038", "113039"]
    reason: Annotated[str, Field(max_length=REASON_CHARACTERS_MAX)] = ""
    facility: Annotated[str, Field(max_length=16)] = ""


@router.post("", status_code=202)
def reject(
    new: NewRejection, request: Request, who: Administrator, archive: TheArchive, response: Response
) -> dict[str, Any]:
    """Reject what is shown now of these. A Rejection Note is stored, durable with this answer; within seconds it is
    indexed, and what it names is gone everywhere. It stands in the list then, under `note`."""
    choice = Choice(
        study_uid=clean_uid(new.study_uid),
        series_uid=clean_uid(new.series_uid) if new.series_uid else "",
        sop_instances=frozenset(map(clean_uid, new.sop_uids)),
        facility=new.facility,
        code=new.code,
        reason=new.reason.strip(),
    )
    tell(what=f"{new.code} {len(choice.sop_instances) or 'all'} instances", studies=(choice.study_uid,))
    intake: Intake = request.app.state.intake
    reception = intake.reception()
    try:
        peer = request.client.host if request.client else ""
        note, instances = recycling.reject(archive, reception, who, choice, peer)
    finally:
        reception.close()
    response.headers["Location"] = f"/api/rejections?note={note}"
    return {"note": note, "instances": instances}


@router.get("")
def list_rejections(
    who: Administrator,
    archive: TheArchive,
    state: Literal["", "active", "restored", "erased"] = "",
    note: Annotated[str, Query(max_length=UID_LENGTH_MAX)] = "",
    before: Annotated[int, Query(gt=0, lt=2**63)] | None = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
) -> dict[str, Any]:
    """What was rejected, newest first, a page at a time; `next_before` leads to the next one. `kept_until` is when it
    is erased by itself, null where it is not."""
    found = recycling.list_rejections(
        archive, who, state=state, note_uid=note, before=before, limit=limit + 1
    )
    more = len(found) > limit
    return {
        "rejections": [rejection_json(one) for one in found[:limit]],
        "next_before": found[limit - 1]["id"] if more else None,
    }


@router.get("/{rejection_id}")
def read_rejection(rejection_id: int, who: Administrator, archive: TheArchive) -> dict[str, Any]:
    """One of them."""
    return rejection_json(recycling.find_rejection(archive, who, rejection_id))


@router.get("/{rejection_id}/note")
def note(rejection_id: int, who: Administrator, archive: TheArchive) -> Response:
    """The Rejection Note as it was received or made: a Key Object Selection Document."""
    return Response(read_note(archive, who, rejection_id), media_type="application/dicom")


@router.post("/{rejection_id}/restore")
def restore(rejection_id: int, who: Administrator, archive: TheArchive) -> dict[str, Any]:
    """Take it back: within seconds all is there again, byte for byte."""
    return rejection_json(_told(recycling.restore(archive, who, rejection_id)))


@router.delete("/{rejection_id}")
def erase(rejection_id: int, who: Administrator, archive: TheArchive) -> dict[str, Any]:
    """Erase it now: it cannot be restored from here on, and its bytes leave the store within minutes."""
    return rejection_json(_told(recycling.erase(archive, who, rejection_id)))


def _told(one: Json) -> Json:
    """Whom it was about, since what is erased the index knows no more."""
    about = Subject(one["facility"], "", one["patient_id"])
    tell(what=f"note {one['note_uid']}", studies=tuple(one["study_uids"]), subjects=(about,))
    return one


def rejection_json(one: Json) -> dict[str, Any]:
    """Moments in ISO 8601."""
    return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in one.items()}
