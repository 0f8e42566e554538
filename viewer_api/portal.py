"""The portal's own API: who am I, the study list, and a study's manifest."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from datetime import date
from itertools import zip_longest
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from pacs import query as q
from pacs.attributes import Level
from pacs.names import pn_json
from pacs.transcode import RPCL
from storage import accounts
from storage.incidents import list_incidents, read_incident
from storage.location import Located, find_series, series_instances
from storage.paging import as_text, from_text, position_of
from storage.performed import summarise
from storage.progressive import first_picture_bytes
from storage.search import Found, search
from viewer_api.auth import TheArchive, Who
from viewer_api.pages import has_ohif

router = APIRouter(prefix="/api", tags=["portal"])
PAGE_MAX = 200
FIRST_SIDE = 64  # pixels of the longer side of a first picture, at least


@router.get("/me")
def me(who: Who, archive: TheArchive) -> dict[str, Any]:
    """Who is signed in."""
    user = accounts.find_user(archive, who.name)
    display = user.display_name if user else who.name
    return {"user": who.name, "display_name": display, "role": who.role.value, "facility": who.facility}


@router.get("/viewers")
def viewers(_who: Who, archive: TheArchive) -> dict[str, bool]:
    """Which viewers are installed beside our own."""
    return {"ohif": has_ohif(archive.settings)}


@router.get("/studies")
def studies(
    who: Who,
    archive: TheArchive,
    words: Annotated[str, Query(alias="q", max_length=200)] = "",
    patient_id: Annotated[str, Query(max_length=64)] = "",
    accession: Annotated[str, Query(max_length=64)] = "",
    modality: Annotated[list[str] | None, Query(max_length=32)] = None,
    date_from: date | None = None,
    date_to: date | None = None,
    cursor: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
) -> dict[str, Any]:
    """Studies that may be seen, newest first, a page at a time. `q` is the beginning of a name in any script,
    of pinyin or initials, of a patient ID or an accession number."""
    kinds = tuple(filter(None, modality or ()))
    matches: list[q.Match | None] = [
        q.match(q.attribute("PatientID"), patient_id),
        q.match(q.attribute("AccessionNumber"), accession),
        q.Equal(q.attribute("ModalitiesInStudy"), kinds) if kinds else None,
        q.Between(q.attribute("StudyDate"), date_from, date_to) if date_from or date_to else None,
    ]
    query = q.Query(
        Level.STUDY,
        tuple(m for m in matches if m),
        words=words.strip(),
        limit=limit + 1,
        after=from_text(cursor, Level.STUDY) if cursor else None,
    )
    found = search(archive, query, who)
    page = found[:limit]
    return {
        "studies": [study_json(row) for row in page],
        "next_cursor": as_text(position_of(page[-1], Level.STUDY)) if len(found) > limit else None,
    }


@router.get("/studies/{study_uid}")
def manifest(study_uid: str, who: Who, archive: TheArchive) -> dict[str, Any]:
    """What a viewer needs to lay a study out: its series, and their instances in display order."""
    found = find_series(archive, who, study_uid)
    mine = [row for row in found if row.study_pk == found[0].study_pk]
    others = {row.study_pk for row in found} - {found[0].study_pk}
    performed = summarise(archive, who, found[0].facility, study_uid)
    return {
        **study_json(found[0]),
        "series": [_series_json(row, series_instances(archive, row)) for row in mine],
        # The same Study Instance UID under another patient: never mixed into this one.
        "other_patients": len(others),
        # What its devices said they made, and how much of it is here; null if they said nothing.
        "performed": asdict(performed) if performed else None,
    }


def study_json(row: Found) -> dict[str, Any]:
    """A study as the list shows it."""
    names = pn_json(row.patient_name)
    return {
        "study_uid": row.study_uid,
        "patient_name": names.get("Alphabetic") or row.patient_name.strip("="),
        "patient_name_ideographic": names.get("Ideographic", ""),
        "patient_id": row.patient_id,
        "birth_date": row.birth_date.isoformat() if row.birth_date else None,
        "sex": row.sex,
        "study_date": row.study_date.isoformat() if row.study_date else None,
        "study_time": row.study_time.strftime("%H:%M:%S") if row.study_time else None,
        "description": row.study_description,
        "accession": row.accession,
        "modalities": row.modalities,
        "series_count": row.series_count,
        "instance_count": row.study_instance_count,
        "facility": {"code": row.facility, "name": row.facility_name, "name_en": row.facility_name_en},
        "thumbnail": f"/dicom-web/studies/{row.study_uid}/thumbnail",
        "received_at": row.received_at.isoformat(),
    }


def _series_json(row: Found, instances: list[Located]) -> dict[str, Any]:
    return {
        "series_uid": row.series_uid,
        "number": row.number,
        "modality": row.modality,
        "description": row.series_description,
        "body_part": row.body_part,
        "instance_count": row.instance_count,
        "frame_count": row.frame_count,
        "thumbnail": f"/dicom-web/studies/{row.study_uid}/series/{row.series_uid}/thumbnail?v={row.derived_count}",
        "viewable": row.has_pixels,
        "rendition": _rendition_json(instances),
        # How text was read otherwise than declared → in how many instances.
        "repairs": dict(Counter(note for i in instances for note in i.entry.notes)),
        "instances": [_instance_json(i) for i in instances],
    }


def _rendition_json(instances: list[Located]) -> dict[str, Any] | None:
    """Of a series whose frames all can be had in HTJ2K by byte ranges: after how many bytes each of them shows a first
    picture, and is whole at full size, at a half, a quarter …"""
    with_frames = [i for i in instances if i.entry.frames]
    found = [i.rendition.resolutions for i in with_frames if i.rendition]
    if not found or len(found) < len(with_frames) or not all(found):
        return None
    side = min(max(i.entry.rows, i.entry.columns) for i in with_frames)
    whole = [max(some) for some in zip_longest(*set(found), fillvalue=0)]
    first = first_picture_bytes(whole, side, FIRST_SIDE)
    return {"transfer_syntax": RPCL, "first_picture_bytes": first, "resolution_bytes": whole}


def _instance_json(located: Located) -> dict[str, Any]:
    e = located.entry
    return {
        "sop_uid": e.sop_instance,
        "sop_class": e.sop_class,
        "number": e.number,
        "frames": e.frame_count,
        "rows": e.rows,
        "columns": e.columns,
        "transfer_syntax": e.transfer_syntax,
    }


@router.get("/incidents")
def incidents(
    who: Who,
    archive: TheArchive,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: int | None = None,
) -> dict[str, Any]:
    """What an operator must look at, newest first: conflicting content and quarantined files."""
    return {"incidents": list_incidents(archive, who, limit, before)}


@router.get("/incidents/{incident_id}/instance")
def incident_instance(incident_id: int, who: Who, archive: TheArchive) -> Response:
    """The bytes that an incident is about, as they were received."""
    return Response(read_incident(archive, who, incident_id), media_type="application/dicom")
