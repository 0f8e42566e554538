"""Modality Performed Procedure Steps: what may be created and set, and what a step says it made (PS3.4 F.7.2)."""

from __future__ import annotations

from typing import Any

from pacs.errors import BadAttributes, Final, MissingAttribute
from pacs.values import Json, text, values

IN_PROGRESS, COMPLETED, DISCONTINUED = "IN PROGRESS", "COMPLETED", "DISCONTINUED"
STATUSES = (IN_PROGRESS, COMPLETED, DISCONTINUED)
STATUS, SCHEDULED_STEPS, PERFORMED_SERIES = "00400252", "00400270", "00400340"
STUDY_UID, ACCESSION, SOP_INSTANCE = "0020000D", "00080050", "00081155"
_REFERENCES = ("00081140", "00400220")  # Referenced Image, and Non-Image Composite SOP Instance Sequence
INSTANCES_MAX = 100_000  # that one step may announce

# Type 1 of N-CREATE (table F.7.2-1).
_REQUIRED = {
    STATUS: "PerformedProcedureStepStatus", SCHEDULED_STEPS: "ScheduledStepAttributesSequence",
    "00400253": "PerformedProcedureStepID", "00400241": "PerformedStationAETitle",
    "00400244": "PerformedProcedureStepStartDate", "00400245": "PerformedProcedureStepStartTime",
    "00080060": "Modality",
}  # fmt: skip
# Not allowed in N-SET (ibid.): the patient, what was scheduled, where and when it began.
FIXED = frozenset((
    "00080060", "00081120", "00100010", "00100020", "00100021", "00100030", "00100040", "00200010", "00400241",
    "00400242", "00400243", "00400244", "00400245", "00400253", SCHEDULED_STEPS,
))  # fmt: skip


def begun(attributes: Json) -> Json:
    """The attributes of an N-CREATE; raises MissingAttribute, or BadAttributes for a status that is no beginning."""
    for tag, keyword in _REQUIRED.items():
        if not values(attributes, tag):
            raise MissingAttribute(f"{keyword} is missing")
    if not all(text(item, STUDY_UID) for item in scheduled_steps(attributes)):
        raise MissingAttribute("StudyInstanceUID of a scheduled step is missing")
    if text(attributes, STATUS) != IN_PROGRESS:
        raise BadAttributes(f"a step begins as {IN_PROGRESS}")
    clean: Json = _clean(attributes)
    return clean


def changed(known: Json, changes: Json) -> tuple[Json, list[str]]:
    """What an N-SET makes of a step, and the tags of what it may not set, which stay as they were. Raises Final after
    the end, and BadAttributes for an unknown status."""
    if text(known, STATUS) != IN_PROGRESS:
        raise Final("Performed Procedure Step Object may no longer be updated")
    if STATUS in changes and text(changes, STATUS) not in STATUSES:
        raise BadAttributes(f"the status of a step is one of {', '.join(STATUSES)}")
    clean: Json = _clean(changes)
    ignored = sorted(tag for tag in clean if tag in FIXED and clean[tag] != known.get(tag))
    return known | {tag: e for tag, e in clean.items() if tag not in FIXED}, ignored


def scheduled_steps(attributes: Json) -> list[Json]:
    """The items of the Scheduled Step Attributes Sequence."""
    return [item for item in values(attributes, SCHEDULED_STEPS) if isinstance(item, dict)]


def announced(attributes: Json) -> set[str]:
    """The SOP Instance UIDs of all that the step says it made, at most INSTANCES_MAX; raises BadAttributes."""
    found = {
        text(reference, SOP_INSTANCE)
        for series in values(attributes, PERFORMED_SERIES) if isinstance(series, dict)
        for tag in _REFERENCES
        for reference in values(series, tag) if isinstance(reference, dict)
    } - {""}  # fmt: skip
    if len(found) > INSTANCES_MAX:
        raise BadAttributes(f"a step announces at most {INSTANCES_MAX} instances")
    return found


def _clean(value: Any) -> Any:
    """Without NULs, which the database cannot hold. As deep as what `read_identifier` reads."""
    if isinstance(value, dict):
        return {key: _clean(v) for key, v in value.items() if key != "00080005"}
    if isinstance(value, list):
        return [_clean(v) for v in value]
    return value.replace("\0", "") if isinstance(value, str) else value
