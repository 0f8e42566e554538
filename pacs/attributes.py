"""The attribute table: each DICOM attribute that the archive knows by name, declared once.

From it derive the index's columns, the QIDO parameters and returned keys, the C-FIND keys, the OpenAPI
description, the conformance statement and the filter that keeps patient data out of logs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache


class Level(StrEnum):
    """The levels of the query/retrieve information model (PS3.4 C.6)."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute. `column` is where the index keeps it; without one it lives in the metadata only."""

    tag: str  # eight hexadecimal digits, as in DICOM JSON
    keyword: str
    vr: str
    level: Level
    column: str | None = None
    phi: bool = False
    computed: bool = False  # not from the data set: counts, availability


def _a(
    tag: str,
    keyword: str,
    vr: str,
    level: Level,
    column: str | None = None,
    *,
    phi: bool = False,
    computed: bool = False,
) -> Attribute:
    return Attribute(tag, keyword, vr, level, column, phi, computed)


P, S, E, I = Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE  # noqa: E741

ATTRIBUTES: tuple[Attribute, ...] = (
    _a("00100010", "PatientName", "PN", P, "patient_name", phi=True),
    _a("00100020", "PatientID", "LO", P, "patient_id", phi=True),
    _a("00100021", "IssuerOfPatientID", "LO", P, "issuer"),
    _a("00100030", "PatientBirthDate", "DA", P, "birth_date", phi=True),
    _a("00100040", "PatientSex", "CS", P, "sex", phi=True),
    _a("00201200", "NumberOfPatientRelatedStudies", "IS", P, computed=True),
    _a("00201202", "NumberOfPatientRelatedSeries", "IS", P, computed=True),
    _a("00201204", "NumberOfPatientRelatedInstances", "IS", P, computed=True),
    _a("00081120", "ReferencedPatientSequence", "SQ", P),
    _a("00100024", "IssuerOfPatientIDQualifiersSequence", "SQ", P),
    _a("00100032", "PatientBirthTime", "TM", P, phi=True),
    _a("00101000", "OtherPatientIDs", "LO", P, phi=True),
    _a("00101001", "OtherPatientNames", "PN", P, phi=True),
    _a("00101002", "OtherPatientIDsSequence", "SQ", P, phi=True),
    _a("00102160", "EthnicGroup", "SH", P, phi=True),
    _a("00104000", "PatientComments", "LT", P, phi=True),
    _a("0020000D", "StudyInstanceUID", "UI", S, "study_uid"),
    _a("00080020", "StudyDate", "DA", S, "study_date"),
    _a("00080030", "StudyTime", "TM", S, "study_time"),
    _a("00080050", "AccessionNumber", "SH", S, "accession"),
    _a("00200010", "StudyID", "SH", S, "study_id"),
    _a("00081030", "StudyDescription", "LO", S, "description"),
    _a("00080090", "ReferringPhysicianName", "PN", S, "referring", phi=True),
    _a("00080061", "ModalitiesInStudy", "CS", S, "modalities", computed=True),
    _a("00080062", "SOPClassesInStudy", "UI", S, "sop_classes", computed=True),
    _a("00080063", "AnatomicRegionsInStudyCodeSequence", "SQ", S, "regions", computed=True),
    _a("00201206", "NumberOfStudyRelatedSeries", "IS", S, "series_count", computed=True),
    _a("00201208", "NumberOfStudyRelatedInstances", "IS", S, "instance_count", computed=True),
    _a("00080051", "IssuerOfAccessionNumberSequence", "SQ", S),
    _a("00081032", "ProcedureCodeSequence", "SQ", S),
    _a("00081048", "PhysiciansOfRecord", "PN", S, phi=True),
    _a("00081060", "NameOfPhysiciansReadingStudy", "PN", S, phi=True),
    _a("00081080", "AdmittingDiagnosesDescription", "LO", S, phi=True),
    _a("00081110", "ReferencedStudySequence", "SQ", S),
    _a("00101010", "PatientAge", "AS", S, phi=True),
    _a("00101020", "PatientSize", "DS", S, phi=True),
    _a("00101030", "PatientWeight", "DS", S, phi=True),
    _a("00102180", "Occupation", "SH", S, phi=True),
    _a("001021B0", "AdditionalPatientHistory", "LT", S, phi=True),
    _a("00321032", "RequestingPhysician", "PN", S, phi=True),
    _a("00321060", "RequestedProcedureDescription", "LO", S),
    _a("00380010", "AdmissionID", "LO", S, phi=True),
    _a("0020000E", "SeriesInstanceUID", "UI", E, "series_uid"),
    _a("00080060", "Modality", "CS", E, "modality"),
    _a("00200011", "SeriesNumber", "IS", E, "number"),
    _a("0008103E", "SeriesDescription", "LO", E, "description"),
    _a("00180015", "BodyPartExamined", "CS", E, "body_part"),
    _a("00200060", "Laterality", "CS", E, "laterality"),
    _a("00080021", "SeriesDate", "DA", E, "series_date"),
    _a("00080031", "SeriesTime", "TM", E, "series_time"),
    _a("00400244", "PerformedProcedureStepStartDate", "DA", E, "step_date"),
    _a("00400245", "PerformedProcedureStepStartTime", "TM", E, "step_time"),
    _a("00081010", "StationName", "SH", E, "station"),
    _a("00080070", "Manufacturer", "LO", E, "manufacturer"),
    _a("00201209", "NumberOfSeriesRelatedInstances", "IS", E, "instance_count", computed=True),
    _a("00080080", "InstitutionName", "LO", E),
    _a("00081040", "InstitutionalDepartmentName", "LO", E),
    _a("00081050", "PerformingPhysicianName", "PN", E, phi=True),
    _a("00081070", "OperatorsName", "PN", E, phi=True),
    _a("00081090", "ManufacturerModelName", "LO", E),
    _a("00181000", "DeviceSerialNumber", "LO", E),
    _a("00181020", "SoftwareVersions", "LO", E),
    _a("00181030", "ProtocolName", "LO", E),
    _a("00185100", "PatientPosition", "CS", E),
    _a("00200052", "FrameOfReferenceUID", "UI", E),
    _a("00400253", "PerformedProcedureStepID", "SH", E),
    _a("00400254", "PerformedProcedureStepDescription", "LO", E),
    _a("00400275", "RequestAttributesSequence", "SQ", E),
    _a("00080018", "SOPInstanceUID", "UI", I),
    _a("00080016", "SOPClassUID", "UI", I),
    _a("00200013", "InstanceNumber", "IS", I),
    _a("00280010", "Rows", "US", I),
    _a("00280011", "Columns", "US", I),
    _a("00280100", "BitsAllocated", "US", I),
    _a("00280008", "NumberOfFrames", "IS", I),
)  # fmt: skip

BY_KEYWORD = {a.keyword: a for a in ATTRIBUTES}
BY_TAG = {a.tag: a for a in ATTRIBUTES}
PHI_KEYWORDS = frozenset(name for a in ATTRIBUTES if a.phi for name in (a.keyword, a.column) if name) | {
    "PatientAddress",
    "PatientTelephoneNumbers",
    "OtherPatientIDs",
}


ORDER = tuple(Level)


@cache
def above(level: Level) -> tuple[Level, ...]:
    """This level and those above it: what a query at this level may ask for."""
    return ORDER[: ORDER.index(level) + 1]


@cache
def at(*levels: Level) -> tuple[Attribute, ...]:
    """The attributes of these levels, in table order."""
    return tuple(a for a in ATTRIBUTES if a.level in levels)
