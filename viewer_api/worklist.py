"""The worklist of a facility, for its administrators: plain fields in and out, no tags."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from pacs.access import may_administer
from pacs.audit import Subject
from pacs.errors import BadAttributes, NotFound
from pacs.names import pn_json, pn_text
from pacs.values import Json, da, da_text, first, text, tm, tm_text, values
from pacs.worklist import (
    ACCESSION,
    MODALITY,
    PATIENT_ID,
    PATIENT_NAME,
    PROCEDURE_ID,
    PROCEDURE_TEXT,
    START_DATE,
    START_TIME,
    STATION_AE,
    STEP_ID,
    STEP_STATUS,
    STEP_TEXT,
    STEPS,
    STUDY_UID,
    element,
    step_of,
)  # fmt: skip
from storage import worklist
from storage.facilities import LOCAL
from storage.worklist import Entry
from viewer_api.administration import Administrator
from viewer_api.audited import tell
from viewer_api.auth import TheArchive

router = APIRouter(prefix="/api/worklist", tags=["worklist"])
PAGE_MAX = 500
DAYS_AHEAD = 30  # listed where no end is asked for
BIRTH_DATE, SEX, ISSUER, REFERRING, REQUESTING, PRIORITY = (
    "00100030", "00100040", "00100021", "00080090", "00321032", "00401003",
)  # fmt: skip
# Field → tag and VR; of the step, and of the entry.
_OF_STEP = {
    "modality": (MODALITY, "CS"), "start_date": (START_DATE, "DA"), "start_time": (START_TIME, "TM"),
    "step_description": (STEP_TEXT, "LO"), "step_id": (STEP_ID, "SH"),
}  # fmt: skip
_OF_ENTRY = {
    "accession": (ACCESSION, "SH"), "patient_id": (PATIENT_ID, "LO"), "issuer": (ISSUER, "LO"),
    "patient_name": (PATIENT_NAME, "PN"), "birth_date": (BIRTH_DATE, "DA"), "sex": (SEX, "CS"),
    "study_uid": (STUDY_UID, "UI"), "procedure_id": (PROCEDURE_ID, "SH"), "procedure": (PROCEDURE_TEXT, "LO"),
    "referring": (REFERRING, "PN"), "requesting": (REQUESTING, "PN"), "priority": (PRIORITY, "SH"),
}  # fmt: skip
Short = Annotated[str, Field(max_length=16)]
Long = Annotated[str, Field(max_length=64)]
Name = Annotated[str, Field(max_length=200, description="as DICOM writes it: Wang^XiaoMing=王^小明")]
Sex = Annotated[str, Field(pattern="^[MFO]?$")]
Station = Annotated[str, Field(min_length=1, max_length=16)]


class Changes(BaseModel):
    """What can be changed of an entry; fields that are not given stay as they are, empty ones are emptied."""

    model_config = ConfigDict(extra="forbid")

    patient_id: Long | None = None
    issuer: Long | None = None
    patient_name: Name | None = None
    birth_date: date | None = None
    sex: Sex | None = None
    modality: Annotated[str, Field(pattern="^[A-Z0-9_ ]{0,16}$")] | None = None
    stations: Annotated[list[Station], Field(max_length=20, description="AE titles")] | None = None
    start_date: date | None = None
    start_time: time | None = None
    step_description: Long | None = None
    procedure_id: Short | None = None
    procedure: Long | None = None
    study_uid: Long | None = None
    referring: Name | None = None
    requesting: Name | None = None
    priority: Short | None = None


class NewEntry(Changes):
    """A step to schedule; identifiers that are not given are made. The same accession and step again is a change."""

    facility: Annotated[str, Field(max_length=16)] = ""
    accession: Short | None = None
    step_id: Short | None = None


@router.get("")
def list_worklist(
    who: Administrator,
    archive: TheArchive,
    date_from: date | None = None,
    date_to: date | None = None,
    facility: Annotated[str, Query(max_length=16)] = "",
    status: Annotated[str, Query(pattern="^[A-Z]{0,16}$")] = "",
    after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
) -> dict[str, Any]:
    """Entries that start within these days (from today on, if not said), a page at a time; `next_after` leads to the
    next one."""
    begin = date_from or datetime.now(UTC).astimezone().date()
    days = (begin, date_to or min(begin, date.max - timedelta(days=DAYS_AHEAD)) + timedelta(days=DAYS_AHEAD))
    found = worklist.list_entries(
        archive, who, days=days, facility=facility, status=status, after=after, limit=limit + 1
    )
    more = len(found) > limit
    return {
        "entries": [entry_json(e) for e in found[:limit]],
        "next_after": found[limit - 1].id if more else None,
    }


@router.post("", status_code=201)
def schedule(new: NewEntry, who: Administrator, archive: TheArchive, response: Response) -> dict[str, Any]:
    """Schedule a step."""
    facility = new.facility or who.facility or LOCAL
    if not may_administer(who, facility):
        raise NotFound(f"there is no facility {facility}")
    pk = worklist.schedule(archive, facility, attributes_of(new))
    response.headers["Location"] = f"/api/worklist/{pk}"
    return entry_json(_told(worklist.find_entry(archive, who, pk)))


@router.get("/{entry_id}")
def read_entry(entry_id: int, who: Administrator, archive: TheArchive) -> dict[str, Any]:
    """One entry, with all its attributes in the DICOM JSON model."""
    found = _told(worklist.find_entry(archive, who, _key(entry_id)))
    return entry_json(found) | {"attributes": found.attributes}


@router.patch("/{entry_id}")
def change(entry_id: int, changes: Changes, who: Administrator, archive: TheArchive) -> dict[str, Any]:
    """Change some fields."""
    worklist.change(archive, who, _key(entry_id), attributes_of(changes))
    return entry_json(_told(worklist.find_entry(archive, who, entry_id)))


@router.delete("/{entry_id}", status_code=204)
def cancel(entry_id: int, who: Administrator, archive: TheArchive) -> None:
    """Cancel a step: devices are told of it no more. It stays in the list as CANCELED."""
    worklist.cancel(archive, who, _key(entry_id))
    _told(worklist.find_entry(archive, who, entry_id))


def _told(entry: Entry) -> Entry:
    a = entry.attributes
    about = Subject(entry.facility, text(a, ISSUER), text(a, PATIENT_ID))
    tell(what=f"accession {text(a, ACCESSION)}", subjects=(about,))
    return entry


def _key(entry_id: int) -> int:
    """Within what the database counts."""
    if not 0 < entry_id < 2**63:
        raise NotFound("there is no such worklist entry")
    return entry_id


def attributes_of(changes: Changes) -> Json:
    """The given fields as DICOM JSON; raises BadAttributes."""
    given = changes.model_dump(exclude_none=True)
    attributes = {tag: _element(vr, given[name]) for name, (tag, vr) in _OF_ENTRY.items() if name in given}
    step = {tag: _element(vr, given[name]) for name, (tag, vr) in _OF_STEP.items() if name in given}
    if "stations" in given:
        step[STATION_AE] = element("AE", *given["stations"])
    if any("\\" in v for v in given.values() if isinstance(v, str)):
        raise BadAttributes("a value holds no backslash: DICOM parts values with it")
    return attributes | ({STEPS: element("SQ", step)} if step else {})


def _element(vr: str, value: Any) -> Json:
    if isinstance(value, date):
        return element(vr, da_text(value))
    if isinstance(value, time):
        return element(vr, tm_text(value))
    return element(vr, pn_json(value) if vr == "PN" else value.strip())


def entry_json(entry: Entry) -> dict[str, Any]:
    """An entry as the list shows it."""
    step = step_of(entry.attributes)
    plain = {name: _plain(entry.attributes, tag, vr) for name, (tag, vr) in _OF_ENTRY.items()}
    plain |= {name: _plain(step, tag, vr) for name, (tag, vr) in _OF_STEP.items()}
    return {
        "id": entry.id,
        "facility": entry.facility,
        "status": text(step, STEP_STATUS) or entry.status,
        **plain,
        "stations": [str(v) for v in values(step, STATION_AE)],
        "created_at": entry.created_at.isoformat(),
        "updated_at": entry.updated_at.isoformat(),
    }


def _plain(attributes: Json, tag: str, vr: str) -> Any:
    written = text(attributes, tag)
    if vr == "DA":
        day = da(written)
        return day.isoformat() if day else None
    if vr == "TM":
        clock = tm(written)
        return clock.isoformat("seconds") if clock else None
    return pn_text(first(attributes, tag)) if vr == "PN" else written
