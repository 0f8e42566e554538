"""A worklist entry: one scheduled procedure step as DICOM JSON, the whole answer to a Modality Worklist query
(PS3.4 K.6.1.2, PS3.3 C.4.10 to C.4.15)."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pacs.encoded import write_dataset
from pacs.errors import BadAttributes, InvalidUID
from pacs.uids import clean_uid, new_uid
from pacs.values import Json, da, da_text, text, tm, tm_text, values

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
BYTES_MAX = 64 * 1024  # of one entry, encoded
STEPS = "00400100"  # Scheduled Procedure Step Sequence
ACCESSION, PATIENT_NAME, PATIENT_ID = "00080050", "00100010", "00100020"
STUDY_UID, PROCEDURE_ID, PROCEDURE_TEXT = "0020000D", "00401001", "00321060"
STATION_AE, MODALITY, START_DATE, START_TIME = "00400001", "00080060", "00400002", "00400003"
STEP_TEXT, STEP_ID, STEP_STATUS = "00400007", "00400009", "00400020"
# Type 1 in every answer (table K.6-1) and nothing that we could make up.
_REQUIRED = ((PATIENT_NAME, "PatientName"), (PATIENT_ID, "PatientID"))
_REQUIRED_OF_STEP = ((MODALITY, "Modality"),)


@dataclass(frozen=True, slots=True)
class Order:
    """What an order asks for: that a step is scheduled or changed, or cancelled. To cancel, Accession Number and
    Scheduled Procedure Step ID are enough; without the latter all steps of the accession are meant."""

    attributes: Json
    cancel: bool = False


def element(vr: str, *found: Any) -> Json:
    """An element of DICOM JSON; without values if they are empty."""
    kept = [v for v in found if v not in ("", None, {})]
    return {"vr": vr, "Value": kept} if kept else {"vr": vr}


def step_of(attributes: Json) -> Json:
    """The item of the Scheduled Procedure Step Sequence; empty if there is none."""
    items = values(attributes, STEPS)
    return items[0] if items and isinstance(items[0], dict) else {}


def complete(attributes: Json, known: Json, now: datetime) -> Json:
    """The entry with what every answer needs: identifiers that are missing are taken from `known` (an earlier state of
    it, or another step of the same accession) or made, a step without a date starts `now`.

    Raises BadAttributes for what is missing, or cannot be written as a data set.
    """
    _readable(attributes)
    step = dict(step_of(attributes))
    _require(attributes, _REQUIRED)
    _require(step, _REQUIRED_OF_STEP)
    done = {tag: e for tag, e in attributes.items() if tag != "00080005"}
    done[ACCESSION] = element("SH", text(done, ACCESSION) or text(known, ACCESSION) or _made_up())
    done[PROCEDURE_ID] = element(
        "SH", text(done, PROCEDURE_ID) or text(known, PROCEDURE_ID) or text(done, ACCESSION)
    )
    done[STUDY_UID] = element("UI", _study_uid(done, known))
    step[STEP_ID] = element("SH", text(step, STEP_ID) or text(done, PROCEDURE_ID))
    step[START_DATE], step[START_TIME] = _start(step, now)
    done[STEPS] = {"vr": "SQ", "Value": [dict(sorted(step.items()))]}
    return dict(sorted(done.items()))


def _require(attributes: Json, required: tuple[tuple[str, str], ...]) -> None:
    for tag, keyword in required:
        if not text(attributes, tag):
            raise BadAttributes(f"{keyword} is missing")


def _readable(attributes: Json) -> None:
    """It can be written as a data set, and kept as JSON; raises BadAttributes."""
    try:
        size = len(write_dataset(attributes, EXPLICIT_LITTLE))
        clean = "\\u0000" not in json.dumps(attributes)
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError, struct.error):
        raise BadAttributes("these attributes are no data set in the DICOM JSON model") from None
    if size > BYTES_MAX or not clean:
        raise BadAttributes(f"a worklist entry has at most {BYTES_MAX} bytes, and no NUL")


def _study_uid(attributes: Json, known: Json) -> str:
    try:
        return clean_uid(text(attributes, STUDY_UID) or text(known, STUDY_UID) or new_uid())
    except InvalidUID as error:
        raise BadAttributes(f"StudyInstanceUID: {error}") from None


def _start(step: Json, now: datetime) -> tuple[Json, Json]:
    day, clock = text(step, START_DATE), text(step, START_TIME)
    if (day and da(day) is None) or (clock and tm(clock) is None):
        raise BadAttributes("the step's start is no date and time such as 20260131 and 0930")
    if not day:
        return element("DA", now.strftime("%Y%m%d")), element("TM", now.strftime("%H%M%S"))
    return element("DA", da_text(da(day))), element("TM", tm_text(tm(clock)) or "000000")


def _made_up() -> str:
    """An accession number of 16 characters (VR SH)."""
    return "T" + str(int(new_uid().removeprefix("2.25.")) % 10**15).zfill(15)
