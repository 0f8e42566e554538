"""The audit trail for auditors, and for administrators of the facilities concerned: a list, its state, and FHIR."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from pacs.audit import to_json
from pacs.auditevent import audit_event
from pacs.errors import BadQuery
from storage.audit import trail
from storage.index.ledger import Line, Search
from viewer_api.audited import tell
from viewer_api.auth import TheArchive, Who

router = APIRouter(tags=["audit"])
PAGE_MAX = 500
FHIR = "application/fhir+json"


class FhirJson(JSONResponse):
    """FHIR R4 3.1.0.1.9."""

    media_type = FHIR


Text = Annotated[str, Query(max_length=200)]
Before = Annotated[int | None, Query(gt=0, lt=2**63)]


@router.get("/api/audit")
def list_entries(
    who: Who,
    archive: TheArchive,
    by: Annotated[str, Query(alias="who", max_length=200)] = "",
    patient_id: Text = "",
    issuer: Text = "",
    owner: Annotated[str, Query(max_length=16)] = "",
    study_uid: Annotated[str, Query(max_length=64)] = "",
    action: Annotated[list[str] | None, Query(max_length=20)] = None,
    outcome: Literal["", "success", "refused", "absent", "failed"] = "",
    since: date | None = None,
    until: date | None = None,
    before: Before = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
) -> dict[str, Any]:
    """What happened, newest first, a page at a time; `next_before` leads to the next one. `patient_id` with `owner`,
    the facility that knows the patient under it, tells who looked at them. Days are the server's, `until` included."""
    search = Search(
        who=_plain(by), patient_id=_plain(patient_id), issuer=_plain(issuer), owner=_plain(owner),
        study_uid=_plain(study_uid), actions=tuple(map(_plain, action or ())), outcome=outcome,
        since=_midnight(since), until=_midnight(until + timedelta(days=1) if until else None), before=before,
    )  # fmt: skip
    found = trail.find(archive, who, search, limit + 1)
    more = len(found) > limit
    return {
        "entries": [entry_json(line) for line in found[:limit]],
        "next_before": found[limit - 1].position if more else None,
    }


@router.get("/api/audit/state")
def state(who: Who, archive: TheArchive) -> dict[str, Any]:
    """Whether the last entries hold each other, and how far the trail is anchored outside of the database."""
    found = trail.state(archive, who)
    return {
        "first": found.first,
        "last": found.last,
        "anchored": found.anchored,
        "anchored_at": found.anchored_at or None,
        "sound": found.sound,
        "findings": found.findings,
    }


@router.get("/fhir/AuditEvent", response_class=FhirJson)
def search_events(
    request: Request,
    who: Who,
    archive: TheArchive,
    patient: Annotated[str, Query(max_length=200, description="facility|ID, or an ID alone")] = "",
    agent: Annotated[str, Query(max_length=200, description="Name of a user, or AE title")] = "",
    entity: Annotated[
        str, Query(max_length=80, description="Study Instance UID, as urn:oid:… or plain")
    ] = "",
    dates: Annotated[
        list[str] | None, Query(alias="date", max_length=4, description="ge2026-01-01, lt…")
    ] = None,
    count: Annotated[int, Query(alias="_count", ge=1, le=PAGE_MAX)] = 100,
    before: Annotated[int | None, Query(alias="_before", gt=0, lt=2**63)] = None,
) -> Response:
    """Search of AuditEvent (FHIR R4): newest first, a page at a time."""
    owner, _, patient_id = patient.rpartition("|")
    since, until = _period(dates or [])
    search = Search(
        who=_plain(agent), owner=_plain(owner), patient_id=_plain(patient_id), since=since, until=until,
        study_uid=_plain(entity.removeprefix("urn:oid:")), before=before,
    )  # fmt: skip
    tell(what=f"patient {patient}" if patient else "")
    found = trail.find(archive, who, search, count + 1)
    page, more = found[:count], len(found) > count
    here = str(request.url.replace(query=""))
    links = [{"relation": "self", "url": str(request.url)}]
    if more:
        kept = [(k, v) for k, v in request.query_params.multi_items() if k != "_before"]
        following = urlencode([*kept, ("_before", str(page[-1].position))])
        links.append({"relation": "next", "url": f"{here}?{following}"})
    observer = archive.settings.ae_title
    entries = [
        {
            "fullUrl": f"{here}/{line.position}",
            "resource": audit_event(line.position, line.entry, observer),
            "search": {"mode": "match"},
        }
        for line in page
    ]
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "link": links}
    return FhirJson(bundle | ({"entry": entries} if entries else {}))


@router.get("/fhir/AuditEvent/{position}", response_class=FhirJson)
def read_event(position: int, who: Who, archive: TheArchive) -> Response:
    """One AuditEvent, by the entry's position."""
    line = trail.read(archive, who, min(max(position, 0), 2**62))
    return FhirJson(audit_event(line.position, line.entry, archive.settings.ae_title))


def entry_json(line: Line) -> dict[str, Any]:
    """An entry as the list shows it."""
    told = to_json(line.entry)
    subjects = [
        {"facility": s.facility, "issuer": s.issuer, "patient_id": s.patient_id} for s in line.entry.subjects
    ]
    return {"position": line.position, **told, "studies": list(line.entry.studies), "subjects": subjects}


def _plain(text: str) -> str:
    """Raises BadQuery for what the database cannot hold."""
    if "\0" in text:
        raise BadQuery("a NUL is in no entry")
    return text


def _midnight(day: date | None) -> datetime | None:
    return datetime.combine(day, time()).astimezone() if day else None


def _period(dates: list[str]) -> tuple[datetime | None, datetime | None]:
    """From and until, of `date` parameters with their prefixes (FHIR R4 3.1.1.4.5); raises BadQuery."""
    since: datetime | None = None
    until: datetime | None = None
    for text in dates:
        prefix = text[:2] if text[:2].isalpha() else "eq"
        begin, end = _instant(text.removeprefix(prefix) if text[:2].isalpha() else text)
        if prefix not in ("eq", "ge", "gt", "le", "lt"):
            raise BadQuery("a date begins with eq, ge, gt, le or lt, or with none")
        if prefix in ("eq", "ge", "gt"):
            since = end if prefix == "gt" else begin
        if prefix in ("eq", "le", "lt"):
            until = begin if prefix == "lt" else end
    return since, until


def _instant(text: str) -> tuple[datetime, datetime]:
    """What a date or a moment covers."""
    try:
        if len(text) == len("2026-01-01"):
            begin = datetime.combine(date.fromisoformat(text), time(), UTC)
            return begin, begin + timedelta(days=1)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise BadQuery("a date is 2026-01-01 or 2026-01-01T12:00:00+08:00") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment, moment + timedelta(seconds=1)
