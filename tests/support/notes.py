"""Rejection Notes as another system would make them: by pydicom, not by our own writer."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

KEY_OBJECT_SELECTION = "1.2.840.10008.5.1.4.1.1.88.59"
MEANINGS = {
    "113001": "Rejected for Quality Reasons", "113037": "Rejected for Patient Safety Reasons",
    "113038": "Incorrect Modality Worklist Entry", "113039": "Data Retention Policy Expired",
}  # fmt: skip
Named = tuple[str, str, str, str]
"""Study, Series, SOP Class and SOP Instance UID."""


def note(named: Iterable[Named], *, code: str = "113001", reason: str = "", uid: str = "",
         patient: str = "P1", name: str = "Name^Patient") -> Dataset:  # fmt: skip
    """A note that names these."""
    dataset = Dataset()
    several = list(named)
    dataset.SOPClassUID, dataset.SOPInstanceUID = KEY_OBJECT_SELECTION, uid or generate_uid()
    dataset.StudyInstanceUID = several[0][0] if several else "1.2.9"
    dataset.SeriesInstanceUID = generate_uid()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientID, dataset.PatientName, dataset.Modality = patient, name, "KO"
    dataset.PatientBirthDate, dataset.PatientSex = "", ""
    dataset.StudyDate = dataset.ContentDate = "20260101"
    dataset.StudyTime = dataset.ContentTime = "120000"
    dataset.SeriesNumber, dataset.InstanceNumber = 9, 1
    dataset.ValueType, dataset.ContinuityOfContent = "CONTAINER", "SEPARATE"
    dataset.ConceptNameCodeSequence = Sequence([coded(code, MEANINGS.get(code, "Of Interest"))])
    dataset.CurrentRequestedProcedureEvidenceSequence = Sequence(_evidence(several))
    dataset.ContentSequence = Sequence([_described(reason)] if reason else [])
    return dataset


def coded(code: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "DCM", meaning
    return item


def save(dataset: Dataset, path: Path) -> Path:
    """As a Part 10 file."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    return path


def _evidence(named: list[Named]) -> list[Dataset]:
    studies: dict[str, dict[str, list[Dataset]]] = {}
    for study, series, sop_class, sop_instance in named:
        one = Dataset()
        one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID = sop_class, sop_instance
        studies.setdefault(study, {}).setdefault(series, []).append(one)
    return [_study(uid, of) for uid, of in studies.items()]


def _study(uid: str, of: dict[str, list[Dataset]]) -> Dataset:
    study = Dataset()
    study.StudyInstanceUID = uid
    study.ReferencedSeriesSequence = Sequence(_series(series, some) for series, some in of.items())
    return study


def _series(uid: str, some: list[Dataset]) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID, series.ReferencedSOPSequence = uid, Sequence(some)
    return series


def _described(reason: str) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "TEXT"
    item.ConceptNameCodeSequence = Sequence([coded("113012", "Key Object Description")])
    item.TextValue = reason
    return item
