"""An entry of the audit trail as a DICOM audit message (PS3.15 A.5), and as the syslog message that carries it
(RFC 5424; PS3.15 A.6 asks for the message ID and the facility).

Names of patients are in no entry, so the name that the schema asks of each object is its identifier.
"""

from __future__ import annotations

import base64
from datetime import UTC
from xml.etree import ElementTree as ET

from pacs.audit import Action, Entry, Outcome
from pacs.auditcodes import OUTCOMES, Code, event_of

DCM, RFC3881 = "DCM", "RFC-3881"
SOURCE, DESTINATION = Code("110153", "Source Role ID"), Code("110152", "Destination Role ID")
STUDY, SOP_CLASS = Code("110180", "Study Instance UID"), Code("110181", "SOP Class UID")
PATIENT, URI = Code("2", "Patient Number"), Code("12", "URI")
PERSON, SYSTEM_OBJECT = "1", "2"  # ParticipantObjectTypeCode
PATIENT_ROLE, REPORT_ROLE, SECURITY_RESOURCE = "1", "3", "13"  # ParticipantObjectTypeCodeRole
SERVER = "4"  # Audit Source Type Code: application server process
IP_ADDRESS = "2"  # NetworkAccessPointTypeCode
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
SECURITY, WARNING, NOTICE = 10, 4, 5  # syslog's facility and severities
MESSAGE_ID, BOM = "DICOM+RFC3881", "\ufeff"
ARRIVES = frozenset({Action.STORE})  # what comes to us; all else leaves us
BOTH_SIDES = frozenset(
    {Action.QUERY, Action.EXPORT, Action.STORE}
)  # events that name who sent and who received


def audit_message(position: int, hash_: bytes, entry: Entry, source: str) -> str:
    """The XML; `source` is what this archive is called. The entry's place in our chain goes along, so that who keeps
    these messages can tell whether our trail was changed later."""
    message = ET.Element("AuditMessage")
    _event(message, entry)
    _participants(message, entry, source)
    told = ET.SubElement(message, "AuditSourceIdentification", AuditSourceID=source)
    ET.SubElement(told, "AuditSourceTypeCode", {"csd-code": SERVER})
    _objects(message, entry)
    ledger = _object(
        message, f"audit:{position}", SYSTEM_OBJECT, SECURITY_RESOURCE, URI, RFC3881, "Security Audit Log"
    )
    ET.SubElement(ledger, "ParticipantObjectDetail", type="hash", value=_base64(hash_.hex()))
    return ET.tostring(message, encoding="unicode")


def syslog_message(xml: str, entry: Entry, host: str, process: str) -> bytes:
    """As RFC 5424 6 writes it, framed by its length in bytes (RFC 5425 4.3)."""
    severity = NOTICE if entry.outcome is Outcome.SUCCESS else WARNING
    at = entry.at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    head = f"<{SECURITY * 8 + severity}>1 {at} {host or '-'} tongying {process or '-'} {MESSAGE_ID} - "
    said = (head + BOM + xml).encode()
    return str(len(said)).encode() + b" " + said


def _event(message: ET.Element, entry: Entry) -> None:
    event = event_of(entry)
    told = ET.SubElement(
        message, "EventIdentification", EventActionCode=event.action,
        EventDateTime=entry.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        EventOutcomeIndicator=OUTCOMES[entry.outcome],
    )  # fmt: skip
    _coded(told, "EventID", event.id)
    for code in event.types:
        _coded(told, "EventTypeCode", code)
    if entry.outcome is not Outcome.SUCCESS:
        ET.SubElement(told, "EventOutcomeDescription").text = _printable(f"{entry.outcome}: {entry.asked}")


def _participants(message: ET.Element, entry: Entry, source: str) -> None:
    """Who did it, and this archive."""
    both = entry.action in BOTH_SIDES
    theirs, ours = (SOURCE, DESTINATION) if entry.action is not Action.EXPORT else (DESTINATION, SOURCE)
    attributes = {"UserID": _printable(entry.who) or "unknown", "UserIsRequestor": "true"}
    if entry.ae_title:
        attributes["AlternativeUserID"] = _printable(f"AETITLES={entry.ae_title}")
    if entry.address:
        attributes |= {"NetworkAccessPointID": entry.address, "NetworkAccessPointTypeCode": IP_ADDRESS}
    who = ET.SubElement(message, "ActiveParticipant", attributes)
    us = ET.SubElement(message, "ActiveParticipant", UserID=source, UserIsRequestor="false",
                       AlternativeUserID=f"AETITLES={source}")  # fmt: skip
    if both:
        _coded(who, "RoleIDCode", theirs)
        _coded(us, "RoleIDCode", ours)


def _objects(message: ET.Element, entry: Entry) -> None:
    for uid in entry.studies:
        _object(message, uid, SYSTEM_OBJECT, REPORT_ROLE, STUDY, DCM)
    for subject in entry.subjects:
        if subject.patient_id:
            whose = "/".join(filter(None, (subject.facility, subject.issuer)))
            _object(message, f"{subject.patient_id}^^^{whose}", PERSON, PATIENT_ROLE, PATIENT, RFC3881)
    if entry.action is Action.QUERY:
        _object(message, STUDY_ROOT_FIND, SYSTEM_OBJECT, REPORT_ROLE, SOP_CLASS, DCM, query=entry.asked)


def _object(
    message: ET.Element, id_: str, kind: str, role: str, code: Code, system: str, name: str = "", query: str = "",
) -> ET.Element:  # fmt: skip
    told = ET.SubElement(
        message, "ParticipantObjectIdentification", ParticipantObjectID=_printable(id_),
        ParticipantObjectTypeCode=kind, ParticipantObjectTypeCodeRole=role,
    )  # fmt: skip
    _coded(told, "ParticipantObjectIDTypeCode", code, system)
    if query:
        ET.SubElement(told, "ParticipantObjectQuery").text = _base64(query)
    else:
        ET.SubElement(told, "ParticipantObjectName").text = _printable(name or id_)
    return told


def _coded(parent: ET.Element, name: str, code: Code, system: str = DCM) -> None:
    attributes = {"csd-code": code.value, "codeSystemName": system, "originalText": code.meaning}
    ET.SubElement(parent, name, attributes)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _printable(text: str) -> str:
    """Without control characters, which XML 1.0 does not have (2.2)."""
    return "".join(c if c.isprintable() or c == " " else "\N{REPLACEMENT CHARACTER}" for c in text)
