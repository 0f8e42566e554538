"""How our actions are coded for others: event ID, type and action code (PS3.15 A.5.3, PS3.16 CID 400 and 401), which
FHIR's AuditEvent takes over."""

from __future__ import annotations

from dataclasses import dataclass

from pacs.audit import Action, Entry, Outcome

DCM = "http://dicom.nema.org/resources/ontology/DCM"


@dataclass(frozen=True, slots=True)
class Code:
    """A code of the DICOM Controlled Terminology."""

    value: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Event:
    """An event ID, its types, and C, R, U, D or E: create, read, update, delete, execute."""

    id: Code
    action: str
    types: tuple[Code, ...] = ()


ACCESSED = Code("110103", "DICOM Instances Accessed")
ALERT = Code("110113", "Security Alert")
EVENTS = {
    Action.SIGN_IN: Event(Code("110114", "User Authentication"), "E", (Code("110122", "Login"),)),
    Action.ASSOCIATE: Event(ALERT, "E", (Code("110126", "Node Authentication"),)),
    Action.QUERY: Event(Code("110112", "Query"), "E"),
    Action.VIEW: Event(ACCESSED, "R"),
    Action.EXPORT: Event(Code("110104", "DICOM Instances Transferred"), "R"),
    Action.STORE: Event(Code("110104", "DICOM Instances Transferred"), "C"),
    Action.REJECT: Event(ACCESSED, "D"),
    Action.RESTORE: Event(ACCESSED, "U"),
    Action.ERASE: Event(Code("110105", "DICOM Study Deleted"), "D"),
    Action.GRANT: Event(ALERT, "E", (Code("110135", "Object Security Attributes Changed"),)),
    Action.CHANGE: Event(ALERT, "E", (Code("110129", "Security Configuration"),)),
    Action.READ_TRAIL: Event(Code("110101", "Audit Log Used"), "R"),
    Action.ALERT: Event(ALERT, "E", (Code("110132", "Use of Restricted Function"),)),
}
# EventOutcomeIndicator: success, minor failure, serious failure (PS3.15 A.5.2).
OUTCOMES = {Outcome.SUCCESS: "0", Outcome.ABSENT: "4", Outcome.FAILED: "4", Outcome.REFUSED: "8"}
ORDER = Code("110109", "Order Record")


def event_of(entry: Entry) -> Event:
    """A change that is about a patient (an order, a performed step) is of their order; all others are of the
    configuration."""
    about_patient = any(s.patient_id for s in entry.subjects) or entry.studies
    if entry.action is Action.CHANGE and about_patient:
        return Event(ORDER, "U")
    return EVENTS[entry.action]
