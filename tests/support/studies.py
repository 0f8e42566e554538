"""Small studies for the tests, made of real files with identifiers of their own."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from tests.support.files import package_file


@dataclass(frozen=True, slots=True)
class Study:
    """A study on disk: its UID and its files, in display order."""

    uid: str
    patient_id: str
    files: list[Path]


def ct_study(folder: Path, *, slices: int = 12, name: str = "Whole^Way", patient_id: str = "") -> Study:
    """A CT of real pixels; each slice is turned by a quarter, so that no two neighbours look alike."""
    return _stack(folder, "CT_small.dcm", slices, name, patient_id)


def mr_study(folder: Path, *, slices: int = 6, name: str = "Whole^Way", patient_id: str = "") -> Study:
    """An MR, likewise."""
    return _stack(folder, "MR_small.dcm", slices, name, patient_id)


def ultrasound_study(
    folder: Path, *, frame_time_ms: float = 100, name: str = "Whole^Way", patient_id: str = ""
) -> Study:
    """A colour loop of 30 frames in JPEG baseline, recorded at 1000 / `frame_time_ms` frames a second."""
    dataset = _read("examples_ybr_color.dcm")
    study, patient = _identify(dataset, name, patient_id), dataset.PatientID
    dataset.FrameTime = frame_time_ms
    dataset.pop("CineRate", None)
    dataset.pop("RecommendedDisplayFrameRate", None)
    return Study(study, patient, [_save(dataset, folder, 0)])


def _stack(folder: Path, template: str, slices: int, name: str, patient_id: str) -> Study:
    dataset = _read(template)
    study = _identify(dataset, name, patient_id)
    pixels = dataset.pixel_array.copy()
    files = []
    for number in range(slices):
        dataset.PixelData = np.ascontiguousarray(np.rot90(pixels, number)).tobytes()
        dataset.InstanceNumber = number + 1
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.ImagePositionPatient = [0, 0, 5.0 * number]
        dataset.SliceLocation = 5.0 * number
        files.append(_save(dataset, folder, number))
    return Study(study, dataset.PatientID, files)


def _read(template: str) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dcmread(package_file(template))


def _identify(dataset: Dataset, name: str, patient_id: str) -> str:
    study = generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, generate_uid()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName, dataset.PatientID = name, patient_id or f"T{study[-12:]}"
    dataset.StudyDate, dataset.StudyTime = "20260101", "120000"
    return str(study)


def _save(dataset: Dataset, folder: Path, number: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    path = folder / f"{dataset.Modality}-{number:04}.dcm"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(path)
    return path
