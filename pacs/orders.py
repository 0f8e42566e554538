"""HL7 v2 orders as worklist entries: ORM^O01 (2.3 to 2.5), OMG^O19 and OMI^O23 (2.5 on), by the mapping of IHE
Scheduled Workflow (RAD TF-2 4.4, appendix B)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from pacs.hl7message import OrderError, OrderMessage, Segment
from pacs.names import pn_json
from pacs.values import Json
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
    STEP_TEXT,
    STEPS,
    STUDY_UID,
    Order,
    element,
)  # fmt: skip

KINDS = frozenset({"ORM^O01", "OMG^O19", "OMI^O23"})
SCHEDULE = frozenset({"NW", "SN", "XO", "XX"})  # new, send number, change asked for or made (table 0119)
CANCEL = frozenset({"CA", "OC", "DC", "OD"})  # cancel or discontinue, asked for or done
ORDERS_MAX = 200  # in one message
LO_CHARACTERS_MAX = 64
_PRIORITIES = {"S": "STAT", "A": "HIGH", "R": "ROUTINE", "T": "MEDIUM"}  # table 0485 to PS3.3 C.4.11
_TIME = re.compile(r"(\d{8})(\d{2,6})?")
_NOTHING = Segment("", [])


@dataclass(frozen=True, slots=True)
class _Procedure:
    """The segments that one Requested Procedure is told by."""

    pid: Segment
    pv1: Segment
    orc: Segment
    obr: Segment = _NOTHING
    timing: Segment = _NOTHING
    study: Segment = _NOTHING
    steps: tuple[Segment, ...] = field(default=())


def orders_of(message: OrderMessage) -> list[Order]:
    """What a message asks for, in its order; raises OrderError, whose location names the field."""
    if message.kind not in KINDS:
        raise OrderError("AR", 200, "MSH^1^9", f"messages of type {message.kind} are not served")
    found = [order for procedure in _procedures(message.segments) for order in _orders(procedure)]
    if not found:
        raise OrderError("AE", 100, "ORC^1", "there is no order (ORC and OBR) in the message")
    if len(found) > ORDERS_MAX:
        raise OrderError("AE", 207, "ORC^1", f"a message holds at most {ORDERS_MAX} orders")
    return found


def _procedures(segments: list[Segment]) -> Iterator[_Procedure]:
    """Each OBR with the PID, PV1, ORC and TQ1 before it, and the IPC and ZDS after it. A ZDS that stands once, at the
    end, is for all (RAD TF-2 4.4.4.1.2.2)."""
    studies = [s for s in segments if s.name == "ZDS"]
    common = studies[0] if len(studies) == 1 else _NOTHING
    pid = pv1 = orc = timing = _NOTHING
    current: _Procedure | None = None
    for segment in segments:
        if segment.name in ("PID", "ORC", "OBR") and current is not None:
            yield current
            current = None
        if segment.name == "PID":
            pid, pv1, orc, timing = segment, _NOTHING, _NOTHING, _NOTHING
        elif segment.name == "PV1":
            pv1 = segment
        elif segment.name == "ORC":
            orc, timing = segment, _NOTHING
        elif segment.name == "OBR":
            current = _Procedure(pid, pv1, orc, segment, timing, common)
        elif segment.name == "TQ1":
            timing = segment
            current = replace(current, timing=segment) if current else None
        elif segment.name == "ZDS" and current is not None:
            current = replace(current, study=segment)
        elif segment.name == "IPC" and current is not None:
            current = replace(current, steps=(*current.steps, segment))
    if current is not None:
        yield current


def _orders(procedure: _Procedure) -> Iterator[Order]:
    control = procedure.orc.text(1)
    if control not in SCHEDULE | CANCEL:
        raise OrderError(
            "AE", 103, "ORC^1^1", f"the order control is one of {' '.join(sorted(SCHEDULE | CANCEL))}"
        )
    for step in procedure.steps or (_NOTHING,):
        if control in CANCEL:
            yield Order(_named(procedure, step), cancel=True)
        else:
            yield Order(_entry(procedure, step))


def _named(procedure: _Procedure, ipc: Segment) -> Json:
    """What names the step: the accession, and the step where it is given."""
    accession = _accession(procedure, ipc)
    if not accession:
        raise OrderError("AE", 101, "OBR^1^18", "the accession number is missing")
    step_id = ipc.text(4) or procedure.obr.text(20)
    step = {STEP_ID: element("SH", step_id)} if step_id else {}
    return {ACCESSION: element("SH", accession)} | ({STEPS: element("SQ", step)} if step else {})


def _accession(procedure: _Procedure, ipc: Segment) -> str:
    """IPC-1 or OBR-18, as IHE says; else the filler's, else the placer's order number, as many systems do."""
    obr, orc = procedure.obr, procedure.orc
    return ipc.text(1) or obr.text(18) or obr.text(3) or orc.text(3) or obr.text(2) or orc.text(2)


def _entry(procedure: _Procedure, ipc: Segment) -> Json:
    obr, orc, pv1 = procedure.obr, procedure.orc, procedure.pv1
    named = _named(procedure, ipc)
    entry = {
        **_patient(procedure.pid, pv1),
        ACCESSION: named[ACCESSION],
        PROCEDURE_ID: element("SH", ipc.text(2) or obr.text(19)),
        PROCEDURE_TEXT: _lo(obr.text(44, 2) or obr.text(4, 2) or obr.text(44, 1) or obr.text(4, 1)),
        "00321064": _code(obr, 44) or _code(obr, 4) or {"vr": "SQ"},  # Requested Procedure Code Sequence
        STUDY_UID: element("UI", ipc.text(3) or procedure.study.text(1)),
        "00080090": _person(pv1, 8),  # Referring Physician's Name
        "00321032": _person(obr, 16, orc, 12),  # Requesting Physician
        "00321033": _lo(orc.text(17, 2) or orc.text(13)),  # Requesting Service
        "00401002": _lo(obr.text(31, 2) or obr.text(31)),  # Reason for the Requested Procedure
        "00401003": element("SH", _priority(procedure)),
        "00402016": _lo(orc.text(2) or obr.text(2)),  # Placer, and Filler Order Number
        "00402017": _lo(orc.text(3) or obr.text(3)),
        STEPS: element("SQ", _step(procedure, ipc)),
    }
    return {tag: e for tag, e in entry.items() if "Value" in e}


def _patient(pid: Segment, pv1: Segment) -> Json:
    if not pid.text(3):
        raise OrderError("AE", 101, "PID^1^3", "the patient ID is missing")
    name = patient_name(pid)
    if not name:
        raise OrderError("AE", 101, "PID^1^5", "the patient name is missing")
    sex = pid.text(8).upper()
    return {
        PATIENT_NAME: element("PN", pn_json(name)),
        PATIENT_ID: _lo(pid.text(3)),
        "00100021": _lo(pid.text(3, 4)),  # Issuer of Patient ID
        "00100030": element("DA", day_of(pid.text(7))),
        "00100040": element("CS", sex if sex in ("M", "F", "O") else ""),
        "00101040": _lo(pid.text(11)),  # Patient's Address
        "00380010": _lo(pv1.text(19) or pid.text(18)),  # Admission ID
        "00380300": _lo(
            " ".join(filter(None, (pv1.text(3, n) for n in (1, 2, 3, 4))))
        ),  # Current Patient Location
    }


def patient_name(pid: Segment) -> str:
    """PID-5, each repetition a component group by its name representation code (XPN.8)."""
    groups = ["", "", ""]
    for repetition in range(pid.repetitions(5)):
        parts = [
            pid.text(5, n, repetition) for n in (1, 2, 3, 5, 4)
        ]  # a DICOM prefix stands before the suffix
        place = {"I": 1, "P": 2}.get(pid.text(5, 8, repetition).upper(), 0)
        groups[place] = groups[place] or "^".join(
            p.replace("^", " ").replace("=", " ") for p in parts
        ).rstrip("^")
    return "=".join(groups).rstrip("=")


def _person(*places: Any) -> Json:
    """The first XCN that is there: identifier, family, given, middle, suffix, prefix."""
    for segment, number in zip(places[::2], places[1::2], strict=True):
        parts = [segment.text(number, n) for n in (2, 3, 4, 6, 5)]
        name = "^".join(p.replace("^", " ").replace("=", " ") for p in parts).rstrip("^")
        if name:
            return element("PN", pn_json(name))
    return {"vr": "PN"}


def _step(procedure: _Procedure, ipc: Segment) -> Json:
    obr, orc = procedure.obr, procedure.orc
    modality = (ipc.text(5) or obr.text(24)).upper()
    if not modality:
        place = "IPC^1^5" if ipc.name else "OBR^1^24"
        raise OrderError("AE", 101, place, "the modality is missing")
    when = procedure.timing.text(7) or orc.text(7, 4) or obr.text(27, 4) or obr.text(36)
    step = {
        MODALITY: element("CS", modality),
        STATION_AE: element("AE", ipc.text(9) or orc.text(18)),
        "00400010": element("SH", ipc.text(7)),  # Scheduled Station Name
        "00400011": element("SH", ipc.text(8)),  # Scheduled Procedure Step Location
        START_DATE: element("DA", day_of(when)),
        START_TIME: element("TM", _clock(when)),
        STEP_ID: element("SH", ipc.text(4) or obr.text(20)),
        STEP_TEXT: _lo(ipc.text(6, 2) or obr.text(4, 5) or obr.text(4, 2) or obr.text(44, 2)),
        "00400008": _code(ipc, 6)
        or _code(obr, 4, first=4)
        or {"vr": "SQ"},  # Scheduled Protocol Code Sequence
    }
    return {tag: e for tag, e in step.items() if "Value" in e}


def _code(segment: Segment, number: int, first: int = 1) -> Json | None:
    """A code sequence of a CE or CWE; None unless code, meaning and scheme are all there (PS3.3 8)."""
    value, meaning, scheme = (segment.text(number, first + n) for n in range(3))
    if not (value and meaning and scheme) or len(value) > 16 or len(scheme) > 16:
        return None
    return element("SQ", {"00080100": element("SH", value), "00080102": element("SH", scheme),
                          "00080104": _lo(meaning)})  # fmt: skip


def _priority(procedure: _Procedure) -> str:
    obr = procedure.obr
    return _PRIORITIES.get((procedure.timing.text(9) or obr.text(27, 6) or obr.text(5))[:1].upper(), "")


def _lo(text: str) -> Json:
    return element("LO", text[:LO_CHARACTERS_MAX])


def day_of(written: str) -> str:
    found = _TIME.match(written)
    return found[1] if found else ""


def _clock(written: str) -> str:
    found = _TIME.match(written)
    return found[2] or "" if found else ""
