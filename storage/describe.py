"""From an instance's DICOM JSON to the rows of the index: patient, study and series as the data set names them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from pacs.errors import InvalidUID
from pacs.names import fold, name_tokens
from pacs.uids import clean_uid
from pacs.values import Json, da, integer, items, text, tm

Row = dict[str, Any]
# Code Value, Coding Scheme Designator and Version, Code Meaning, Long and URN Code Value (PS3.3 table 8.8-1).
CODE_TAGS = ("00080100", "00080102", "00080103", "00080104", "00080119", "00080120")
CODE_CHARACTERS_MAX = 1024
KEY_BYTES_MAX = 512  # of a text in a B-tree, whose rows PostgreSQL limits to 2,704 bytes


def uid(attributes: Json, tag: str, what: str) -> str:
    """A UID of the data set; raises InvalidUID that says which, without its value."""
    try:
        return clean_uid(text(attributes, tag))
    except InvalidUID:
        raise InvalidUID(f"{what} is missing or not a UID") from None


def key(written: str) -> str:
    """A text that is searched or told apart by: as it is, or where it is too long its beginning and its hash, so
    that two of them never become one."""
    encoded = written.encode()
    if len(encoded) <= KEY_BYTES_MAX:
        return written
    digest = hashlib.sha256(encoded).hexdigest()
    return f"{encoded[: KEY_BYTES_MAX - 100].decode(errors='ignore')}…{digest}"


def patient_row(a: Json, facility_id: int, study_uid: str) -> Row:
    patient_id, name = key(text(a, "00100020")), text(a, "00100010")
    birth = da(text(a, "00100030"))
    return {
        "facility_id": facility_id,
        "issuer": key(text(a, "00100021")),
        "patient_id": patient_id,
        "patient_name": name,
        "birth_date": birth,
        "sex": text(a, "00100040"),
        # No PatientID: the same name and birth date at one facility is taken for one patient; nameless
        # patients are never joined.
        "anonymous_name": ""
        if patient_id
        else key(f"{name}|{birth}" if name and birth else f"study {study_uid}"),
    }


def study_row(a: Json, facility_id: int, study_uid: str) -> Row:
    name = text(a, "00100010")
    return {
        "facility_id": facility_id,
        "study_uid": study_uid,
        "study_date": da(text(a, "00080020")),
        "study_time": tm(text(a, "00080030")),
        "accession": key(text(a, "00080050")),
        "study_id": text(a, "00200010"),
        "description": text(a, "00081030"),
        "referring": text(a, "00080090"),
        "patient_id": key(text(a, "00100020")),
        "patient_name": name,
        "birth_date": da(text(a, "00100030")),
        "sex": text(a, "00100040"),
        "name_folded": fold(name),
        "name_tokens": list(name_tokens(name)),
    }


def sop_class(a: Json) -> str:
    """Its SOP Class UID, perhaps empty."""
    return text(a, "00080016")


def regions(a: Json) -> set[str]:
    """The items of AnatomicRegionSequence, of the instance and of its frames (PS3.3 C.7.6.16.2.8): the codes alone,
    as JSON, one text for one code."""
    return {_code(item) for within in _anatomies(a) for item in items(within, "00082218")} - {""}


def _anatomies(a: Json) -> Iterator[Json]:
    yield a
    for groups in ("52009229", "52009230"):  # shared, and of each frame
        for group in items(a, groups):
            yield from items(group, "00209071")


def _code(item: Json) -> str:
    written = json.dumps({tag: item[tag] for tag in CODE_TAGS if text(item, tag)}, separators=(",", ":"))
    return written if 2 < len(written) <= CODE_CHARACTERS_MAX else ""


def series_row(a: Json, facility_id: int, series_uid: str) -> Row:
    return {
        "facility_id": facility_id,
        "series_uid": series_uid,
        "modality": text(a, "00080060").upper()[:16],
        "number": integer(a, "00200011"),
        "description": text(a, "0008103E"),
        "body_part": text(a, "00180015"),
        "laterality": text(a, "00200060"),
        "series_date": da(text(a, "00080021")),
        "series_time": tm(text(a, "00080031")),
        "step_date": da(text(a, "00400244")),
        "step_time": tm(text(a, "00400245")),
        "station": text(a, "00081010"),
        "manufacturer": text(a, "00080070"),
    }
