"""Rejection Notes (IHE RAD TF-2 4.66, Imaging Object Change Management), read and written.

A note is a Key Object Selection Document (PS3.3 A.35.4) whose title says why instances are withdrawn, and whose
evidence names them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from pacs.encoded import write_dataset
from pacs.encoded.syntax import EXPLICIT_LITTLE
from pacs.errors import BadAttributes, InvalidUID
from pacs.uids import clean_uid, new_uid
from pacs.values import Json, first, items, text

KEY_OBJECT_SELECTION = "1.2.840.10008.5.1.4.1.1.88.59"
TITLES = {  # PS3.16 CID 7010
    "113001": "Rejected for Quality Reasons",
    "113037": "Rejected for Patient Safety Reasons",
    "113038": "Incorrect Modality Worklist Entry",
    "113039": "Data Retention Policy Expired",
}
NAMED_MAX = 20_000  # instances of one note
REASON_CHARACTERS_MAX = 500
TITLE, EVIDENCE, CONTENT, SERIES, REFERENCED = "0040A043", "0040A375", "0040A730", "00081115", "00081199"
STUDY_UID, SERIES_UID, SOP_CLASS, SOP_INSTANCE = "0020000D", "0020000E", "00081150", "00081155"
CODE, SCHEME, MEANING, TEXT_VALUE, DESCRIPTION = "00080100", "00080102", "00080104", "0040A160", "113012"
# What a note has in common with the study whose instances it names (PS3.3 C.7.1.1, C.7.2.1).
COMMON = ("00080020", "00080030", "00080050", "00080090", "00100010", "00100020", "00100021", "00100030", "00100040",
          "00200010", STUDY_UID)  # fmt: skip
Named = frozenset[tuple[str, str]]
"""Instances, each by its Study and its SOP Instance UID: one that lies in another study is not meant."""


@dataclass(frozen=True, slots=True)
class Note:
    """What a Rejection Note says."""

    uid: str  # its own SOP Instance UID
    code: str  # of TITLES
    reason: str  # in its author's words, perhaps empty
    patient_id: str
    patient_name: str
    named: Named


@dataclass(frozen=True, slots=True)
class Reference:
    """An instance that a note is to name."""

    series_uid: str
    sop_class: str
    sop_instance: str
    is_image: bool


def read_note(sop_class: str, sop_instance: str, a: Json) -> Note | None:
    """The note that an instance is, None for all others; raises BadAttributes for one that cannot be followed."""
    title = _title(a) if sop_class == KEY_OBJECT_SELECTION else ""
    if not title:
        return None
    named: set[tuple[str, str]] = set()
    for one in _references(a):
        named.add(one)
        if len(named) > NAMED_MAX:
            raise BadAttributes(f"a rejection note that names more than {NAMED_MAX} instances")
    if not named:
        raise BadAttributes("a rejection note whose evidence names no instance")
    return Note(
        uid=sop_instance,
        code=title,
        reason=_reason(a),
        patient_id=text(a, "00100020"),
        patient_name=text(a, "00100010"),
        named=frozenset(named),
    )


def _title(a: Json) -> str:
    for item in items(a, TITLE)[:1]:
        if text(item, SCHEME) == "DCM" and text(item, CODE) in TITLES:
            return text(item, CODE)
    return ""


def _references(a: Json) -> Iterator[tuple[str, str]]:
    """The evidence: a hierarchy of studies, series and instances (PS3.3 C.17.2.1)."""
    try:
        for study in items(a, EVIDENCE):
            for series in items(study, SERIES):
                for one in items(series, REFERENCED):
                    yield clean_uid(text(study, STUDY_UID)), clean_uid(text(one, SOP_INSTANCE))
    except InvalidUID:
        raise BadAttributes("a rejection note that names something which is no UID") from None


def _reason(a: Json) -> str:
    """Its Key Object Description (PS3.16 TID 2010)."""
    for item in items(a, CONTENT):
        concept: Json = first(item, TITLE) or {}
        if text(concept, CODE) == DESCRIPTION:
            return text(item, TEXT_VALUE)[:REASON_CHARACTERS_MAX]
    return ""


def write_note(
    common: Json, references: Iterable[Reference], code: str, reason: str, now: datetime
) -> tuple[str, bytes]:
    """A new note's SOP Instance UID, and its data set in Explicit VR Little Endian. `common`: attributes of an instance
    of the study that the references are in."""
    uid, named = new_uid(), list(references)
    study = text(common, STUDY_UID)
    a: Json = {tag: common.get(tag, {"vr": vr}) for tag, vr in zip(COMMON, _VRS, strict=True)}
    a |= {
        "00080016": _element("UI", KEY_OBJECT_SELECTION),
        "00080018": _element("UI", uid),
        "00080023": _element("DA", f"{now:%Y%m%d}"),
        "00080033": _element("TM", f"{now:%H%M%S}"),
        "00080060": _element("CS", "KO"),
        "00080070": _element("LO", "Tongying"),
        "0008103E": _element("LO", TITLES[code]),
        "00081111": {"vr": "SQ"},
        "0020000E": _element("UI", new_uid()),
        "00200011": _element("IS", 1),
        "00200013": _element("IS", 1),
        "0040A040": _element("CS", "CONTAINER"),
        TITLE: _coded(code, TITLES[code]),
        "0040A050": _element("CS", "SEPARATE"),
        EVIDENCE: _element("SQ", {STUDY_UID: _element("UI", study), SERIES: _by_series(named)}),
        "0040A504": _element("SQ", {"00080105": _element("CS", "DCMR"), "0040DB00": _element("CS", "2010")}),
        CONTENT: _element("SQ", *_described(reason), *map(_content, named)),
    }
    return uid, write_dataset(a, EXPLICIT_LITTLE)


_VRS = ("DA", "TM", "SH", "PN", "PN", "LO", "LO", "DA", "CS", "SH", "UI")  # of COMMON


def _element(vr: str, *values: object) -> Json:
    return {"vr": vr, "Value": list(values)}


def _coded(code: str, meaning: str) -> Json:
    return _element(
        "SQ", {CODE: _element("SH", code), SCHEME: _element("SH", "DCM"), MEANING: _element("LO", meaning)}
    )


def _by_series(named: list[Reference]) -> Json:
    found: dict[str, list[Json]] = {}
    for one in named:
        found.setdefault(one.series_uid, []).append(_reference(one))
    return _element(
        "SQ",
        *(
            {SERIES_UID: _element("UI", uid), REFERENCED: _element("SQ", *some)}
            for uid, some in found.items()
        ),
    )


def _reference(one: Reference) -> Json:
    return {SOP_CLASS: _element("UI", one.sop_class), SOP_INSTANCE: _element("UI", one.sop_instance)}


def _content(one: Reference) -> Json:
    return {
        "0040A010": _element("CS", "CONTAINS"),
        "0040A040": _element("CS", "IMAGE" if one.is_image else "COMPOSITE"),
        REFERENCED: _element("SQ", _reference(one)),
    }


def _described(reason: str) -> list[Json]:
    if not reason:
        return []
    return [
        {
            "0040A010": _element("CS", "CONTAINS"),
            "0040A040": _element("CS", "TEXT"),
            TITLE: _coded(DESCRIPTION, "Key Object Description"),
            TEXT_VALUE: _element("UT", reason),
        }
    ]
