"""Who looked: for auditors and administrators, who tell it to a patient; and for the holder of a share link."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response

from pacs.audit import Subject
from pacs.errors import BadQuery
from pacs.looks import Look, Looked, as_csv, as_page
from storage.audit import looked
from storage.audit.looked import DAYS, DAYS_MAX
from viewer_api.audited import tell
from viewer_api.auth import TheArchive, Who
from viewer_api.share_links import NO_LINK, link_of

router = APIRouter(prefix="/api", tags=["audit"])
MEDIA: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {}, "text/html": {}}}}


@router.get("/audit/looked", responses=MEDIA)
def who_looked(
    who: Who,
    archive: TheArchive,
    patient_id: Annotated[str, Query(min_length=1, max_length=64)],
    facility: Annotated[
        str, Query(max_length=16, description="That knows the patient by this ID; the own one, if not said")
    ] = "",
    issuer: Annotated[str, Query(max_length=64)] = "",
    days: Annotated[int, Query(ge=1, le=DAYS_MAX)] = DAYS,
    form: Literal["json", "csv", "html"] = "json",
    language: Literal["zh", "en"] = "zh",
    names: bool = True,
) -> Response:
    """Who looked at a patient's studies, took copies or opened them, by day, the last first; also where other
    facilities know the same person, as far as one may read of them. As JSON, CSV, or a page to print; with names of
    users or without."""
    owner = facility or who.facility
    if not owner or "\0" in patient_id + issuer + owner:
        raise BadQuery("say which facility knows the patient")
    patient = Subject(owner, issuer, patient_id)
    tell(what="who looked", subjects=(patient,))
    found = looked.of_patient(archive, who, patient, days)
    if form == "html":
        return Response(as_page(found, language, names=names), media_type="text/html")
    if form == "csv":
        headers = {"Content-Disposition": 'attachment; filename="who-looked.csv"'}
        return Response(as_csv(found, language, names=names), media_type="text/csv", headers=headers)
    patients = [_patient_json(s) for s in found.subjects]
    looks = [look_json(look, found) | _named(look, names=names) for look in found.looks]
    return JSONResponse({"patients": patients, "looks": looks, "whole": found.whole})


@router.get("/shared/looks", responses=NO_LINK)
def looks_of_link(who: Who, archive: TheArchive) -> dict[str, Any]:
    """Who looked at the studies of one's link: where, in which role, when and why, without names."""
    found = looked.of_link(archive, link_of(who, archive))
    return {"looks": [look_json(look, found) for look in found.looks], "whole": found.whole}


def look_json(look: Look, found: Looked) -> dict[str, Any]:
    name, english = found.names.get(look.facility, (look.facility, ""))
    return {
        "first": look.first.isoformat(), "last": look.last.isoformat(), "times": look.times,
        "facility": look.facility, "facility_name": name, "facility_name_en": english, "role": look.role,
        "kind": look.kind.value, "purpose": look.purpose, "studies": list(look.studies),
    }  # fmt: skip


def _named(look: Look, *, names: bool) -> dict[str, Any]:
    of = {"patients": [_patient_json(s) for s in look.subjects]}
    return of | {"who": look.who} if names else of


def _patient_json(subject: Subject) -> dict[str, str]:
    return {"facility": subject.facility, "issuer": subject.issuer, "patient_id": subject.patient_id}
