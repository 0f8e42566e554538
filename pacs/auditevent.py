"""An entry of the audit trail as a FHIR AuditEvent (R4, 4.0.1)."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from pacs.audit import Entry, Outcome
from pacs.auditcodes import DCM, OUTCOMES, Code, event_of
from pacs.values import Json

OBJECT_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
OBJECT_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
SOURCE_TYPE = "http://terminology.hl7.org/CodeSystem/security-source-type"
PURPOSE = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
PURPOSES = {"treatment": "TREAT", "emergency": "ETREAT", "quality": "HQUALIMP", "teaching": "HRESCH"}
ADDRESS = "2"  # of agent.network: an IP address
WORDS = {
    Outcome.SUCCESS: "",
    Outcome.ABSENT: "not found",
    Outcome.FAILED: "failed",
    Outcome.REFUSED: "refused",
}


def audit_event(position: int, entry: Entry, observer: str) -> Json:
    """The resource; `observer` is what this archive is called."""
    event = event_of(entry)
    told: Json = {
        "resourceType": "AuditEvent",
        "id": str(position),
        "type": _coding(event.id),
        "subtype": [_coding(code) for code in event.types],
        "action": event.action,
        "recorded": entry.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "outcome": OUTCOMES[entry.outcome],
        "outcomeDesc": WORDS[entry.outcome],
        "purposeOfEvent": _purpose(entry.purpose),
        "agent": [_agent(entry)],
        "source": {"observer": {"display": observer}, "type": [{"system": SOURCE_TYPE, "code": "4"}]},
        "entity": [*_patients(entry), *_studies(entry), *_asked(entry)],
    }
    return {name: value for name, value in told.items() if value not in ("", [])}


def _coding(code: Code) -> Json:
    return {"system": DCM, "code": code.value, "display": code.meaning}


def _purpose(purpose: str) -> list[Json]:
    if not purpose:
        return []
    coding = [{"system": PURPOSE, "code": PURPOSES[purpose]}] if purpose in PURPOSES else []
    return [{"text": purpose} | ({"coding": coding} if coding else {})]


def _agent(entry: Entry) -> Json:
    agent: Json = {"requestor": True, "who": {"display": entry.who or "unknown"}}
    if entry.who:
        agent["who"]["identifier"] = {"value": entry.who}
    if entry.facility:
        agent["who"]["identifier"] = {"system": f"facility:{entry.facility}", "value": entry.who}
    if entry.role:
        agent["role"] = [{"text": entry.role}]
    if entry.ae_title:
        agent["altId"] = entry.ae_title
    if entry.address:
        agent["network"] = {"address": entry.address, "type": ADDRESS}
    return agent


def _patients(entry: Entry) -> list[Json]:
    return [
        {
            "what": {"identifier": {"system": subject_system(s.facility, s.issuer), "value": s.patient_id}},
            "type": {"system": OBJECT_TYPE, "code": "1", "display": "Person"},
            "role": {"system": OBJECT_ROLE, "code": "1", "display": "Patient"},
        }
        for s in entry.subjects
        if s.patient_id
    ]


def subject_system(facility: str, issuer: str) -> str:
    """Whose patient IDs these are."""
    return f"facility:{facility}" + (f"/{issuer}" if issuer else "")


def _studies(entry: Entry) -> list[Json]:
    return [
        {
            "what": {"identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}},
            "type": {"system": OBJECT_TYPE, "code": "2", "display": "System Object"},
            "role": {"system": OBJECT_ROLE, "code": "3", "display": "Report"},
        }
        for uid in entry.studies
    ]


def _asked(entry: Entry) -> list[Json]:
    if not entry.asked:
        return []
    kind: Any = {"system": OBJECT_TYPE, "code": "2", "display": "System Object"}
    return [{"type": kind, "description": entry.asked}]
