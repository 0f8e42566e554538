"""The DICOMDIR of a DICOM File-set (PS3.3 Annex F, PS3.10 8): which files there are, by patient, study and series."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from struct import pack
from typing import Any

from pacs.encoded import part10_header, write_dataset
from pacs.encoded.dictionary import public_vr, tag_of
from pacs.transcode import EXPLICIT_LITTLE
from pacs.uids import new_uid
from pacs.values import Json, text

MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"
RECORDS, FIRST, LAST = "00041220", "00041200", "00041202"
NEXT, LOWER = "00041400", "00041420"
IN_USE = 0xFFFF
_CONTENT = (
    "InstanceNumber",
    "ContentDate",
    "ContentTime",
    "ContentLabel",
    "ContentDescription",
    "ContentCreatorName",
)
# What a record tells (PS3.3 F.5); what an instance lacks stands there empty, for nothing is made up.
KEYS: dict[str, tuple[str, ...]] = {
    "PATIENT": ("PatientName", "PatientID"),
    "STUDY": ("StudyDate", "StudyTime", "AccessionNumber", "StudyDescription", "StudyInstanceUID", "StudyID"),
    "SERIES": ("Modality", "SeriesInstanceUID", "SeriesNumber"),
    "IMAGE": ("InstanceNumber",),
    "SR DOCUMENT": ("InstanceNumber", "CompletionFlag", "VerificationFlag", "ContentDate", "ContentTime",
                    "ConceptNameCodeSequence"),
    "KEY OBJECT DOC": ("InstanceNumber", "ContentDate", "ContentTime", "ConceptNameCodeSequence"),
    "PRESENTATION": ("PresentationCreationDate", "PresentationCreationTime", "InstanceNumber", "ContentLabel",
                     "ContentDescription", "ContentCreatorName", "ReferencedSeriesSequence"),
    "WAVEFORM": ("InstanceNumber", "ContentDate", "ContentTime"),
    "ENCAP DOC": ("ContentDate", "ContentTime", "InstanceNumber", "DocumentTitle", "HL7InstanceIdentifier",
                  "ConceptNameCodeSequence", "MIMETypeOfEncapsulatedDocument"),
    "RT DOSE": ("InstanceNumber", "DoseSummationType"),
    "RT STRUCTURE SET": ("InstanceNumber", "StructureSetLabel", "StructureSetDate", "StructureSetTime"),
    "RT PLAN": ("InstanceNumber", "RTPlanLabel", "RTPlanDate", "RTPlanTime"),
    "RT TREAT RECORD": ("InstanceNumber", "TreatmentDate", "TreatmentTime"),
    "SPECTROSCOPY": ("ImageType", "ContentDate", "ContentTime", "InstanceNumber", "NumberOfFrames", "Rows",
                     "Columns", "DataPointRows", "DataPointColumns"),
    "RAW DATA": ("ContentDate", "ContentTime", "InstanceNumber"),
    "REGISTRATION": ("ContentDate", "ContentTime", *_CONTENT),
    "FIDUCIAL": ("ContentDate", "ContentTime", *_CONTENT),
    "VALUE MAP": ("ContentDate", "ContentTime", *_CONTENT),
    "STEREOMETRIC": (),
    "SURFACE": ("ContentDate", "ContentTime", *_CONTENT),
}  # fmt: skip
# SOP Classes under 1.2.840.10008.5.1.4.1.1, whole or all that begin so, the first that fits; else IMAGE.
STORAGE = "1.2.840.10008.5.1.4.1.1."
TYPES = (
    ("88.59", "KEY OBJECT DOC"), ("88.", "SR DOCUMENT"), ("11.", "PRESENTATION"), ("9.", "WAVEFORM"),
    ("104.", "ENCAP DOC"), ("481.2", "RT DOSE"), ("481.3", "RT STRUCTURE SET"), ("481.5", "RT PLAN"),
    ("481.8", "RT PLAN"), ("481.4", "RT TREAT RECORD"), ("481.6", "RT TREAT RECORD"), ("481.7", "RT TREAT RECORD"),
    ("481.9", "RT TREAT RECORD"), ("4.2", "SPECTROSCOPY"), ("66.1", "REGISTRATION"), ("66.2", "FIDUCIAL"),
    ("66.3", "REGISTRATION"), ("66.5", "SURFACE"), ("66", "RAW DATA"), ("67", "VALUE MAP"),
    ("77.1.5.3", "STEREOMETRIC"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Member:
    """An instance of the File-set: its DICOM JSON and the transfer syntax of its file."""

    attributes: Json
    transfer_syntax: str


@dataclass(slots=True)
class _Record:
    """A directory record, its part of file names, those below it, and where it stands in the file."""

    attributes: Json
    name: str = ""
    below: dict[str, _Record] = field(default_factory=dict)
    offset: int = 0

    def add(self, key: str, prefix: str, attributes: Json) -> _Record:
        """The record below with this key, made if there is none."""
        if key not in self.below:
            self.below[key] = _Record(attributes, f"{prefix}{len(self.below):06d}")
        return self.below[key]


def dicomdir(members: Iterable[Member]) -> tuple[bytes, list[str]]:
    """The DICOMDIR, and the name of each member's file in the File-set, in the order given (PS3.10 8.2)."""
    root, names = _Record({}), []
    for member in members:
        at, path = root, []
        for kind, prefix, tag in (
            ("PATIENT", "PT", "00100020"),
            ("STUDY", "ST", "0020000D"),
            ("SERIES", "SE", "0020000E"),
        ):
            at = at.add(text(member.attributes, tag), prefix, _record(kind, member.attributes))
            path.append(at.name)
        path.append(f"IM{len(at.below):06d}")
        at.add(text(member.attributes, "00080018"), "IM", _leaf(member, path))
        names.append("/".join(path))
    return _written(root), names


def _record(kind: str, attributes: Json) -> Json:
    told: Json = {
        NEXT: _ul(0), LOWER: _ul(0), "00041410": {"vr": "US", "Value": [IN_USE]},
        "00041430": {"vr": "CS", "Value": [kind]},
    }  # fmt: skip
    for keyword in KEYS[kind]:
        number = tag_of(keyword)
        assert number is not None, keyword
        tag = f"{number:08X}"
        told[tag] = attributes.get(tag) or {"vr": (public_vr(number) or "UN")[:2]}
    return told


def _leaf(member: Member, path: list[str]) -> Json:
    sop_class = text(member.attributes, "00080016")
    told = _record(type_of(sop_class), member.attributes)
    told["00041500"] = {"vr": "CS", "Value": path}
    told["00041510"] = {"vr": "UI", "Value": [sop_class]}
    told["00041511"] = {"vr": "UI", "Value": [text(member.attributes, "00080018")]}
    told["00041512"] = {"vr": "UI", "Value": [member.transfer_syntax]}
    return told


def type_of(sop_class: str) -> str:
    """The Directory Record Type of an instance (PS3.3 F.4)."""
    if not sop_class.startswith(STORAGE):
        return "IMAGE"
    rest = sop_class.removeprefix(STORAGE)
    return next(
        (kind for begin, kind in TYPES if rest == begin or (begin[-1] == "." and rest.startswith(begin))),
        "IMAGE",
    )


def _written(root: _Record) -> bytes:
    """Twice: offsets have a fixed length, so where all stands is known when it was written with zeros."""
    head = part10_header(MEDIA_STORAGE_DIRECTORY, new_uid(), EXPLICIT_LITTLE, source_ae="")
    head += _elements({"00041130": {"vr": "CS"}})
    fixed = {FIRST: _ul(0), LAST: _ul(0), "00041212": {"vr": "US", "Value": [0]}}
    at = len(head) + len(_elements(fixed)) + 12  # the header of the sequence, which has a long length
    for record in _depth_first(root):
        record.offset = at
        at += len(_item(record.attributes))
    patients = list(root.below.values())
    fixed |= {FIRST: _ul(patients[0].offset), LAST: _ul(patients[-1].offset)}
    _link(root)
    items = b"".join(_item(record.attributes) for record in _depth_first(root))
    return head + _elements(fixed) + pack("<HH2sHI", 4, 0x1220, b"SQ", 0, len(items)) + items


def _depth_first(record: _Record) -> Iterator[_Record]:
    for one in record.below.values():
        yield one
        yield from _depth_first(one)


def _link(record: _Record) -> None:
    following = 0
    for one in reversed(record.below.values()):
        one.attributes[NEXT] = _ul(following)
        one.attributes[LOWER] = _ul(next(iter(one.below.values())).offset if one.below else 0)
        following = one.offset
        _link(one)


def _item(attributes: Json) -> bytes:
    encoded = _elements(attributes)
    return pack("<HHI", 0xFFFE, 0xE000, len(encoded)) + encoded


def _elements(attributes: Json) -> bytes:
    return write_dataset(attributes, EXPLICIT_LITTLE)


def _ul(value: int) -> dict[str, Any]:
    return {"vr": "UL", "Value": [value]}
