"""The images that are sent: CT slices of a real file, written once, stamped with new UIDs before each round.

UIDs have one length, so a stamp is four small writes into the file.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from tests.support.files import SHARED, package_file

UID_CHARACTERS = 44
_LOW, _HIGH = 10**38, 2**127  # so that the number has 39 digits, as PS3.5 B.2 makes a UID of it


def new_uid() -> UID:
    """2.25. and 39 digits."""
    return UID(f"2.25.{random.randrange(_LOW, _HIGH)}")


@dataclass(slots=True)
class Image:
    """A file, and where its UIDs stand."""

    path: Path
    instance_at: tuple[int, ...]
    study_at: int
    series_at: int
    uid: str = ""

    def stamp(self, study: str, series: str) -> None:
        """Make it a new instance of that series."""
        self.uid = new_uid()
        with self.path.open("r+b") as file:
            for offset in self.instance_at:
                file.seek(offset)
                file.write(self.uid.encode())
            for offset, uid in ((self.study_at, study), (self.series_at, series)):
                file.seek(offset)
                file.write(uid.encode())


@dataclass(slots=True)
class Study:
    """A folder whose images are one study of one series."""

    folder: Path
    images: list[Image] = field(default_factory=list)
    study_uid: str = ""
    series_uid: str = ""

    def stamp(self) -> Study:
        """New UIDs for all."""
        self.study_uid, self.series_uid = new_uid(), new_uid()
        for image in self.images:
            image.stamp(self.study_uid, self.series_uid)
        return self

    @property
    def bytes(self) -> int:
        return sum(image.path.stat().st_size for image in self.images)


def make_study(folder: Path, images: int, side: int, patient: str) -> Study:
    """Write a study of `images` slices of `side` × `side` 16-bit pixels, Explicit VR Little Endian."""
    folder.mkdir(parents=True, exist_ok=True)
    study = Study(folder)
    template = _template(side)
    template.PatientID, template.PatientName = patient, f"Bench^{patient}"
    pixels = np.frombuffer(template.PixelData, dtype=np.uint16).reshape(side, side)
    for number in range(images):
        turned = np.roll(pixels, number * 3, axis=0)  # each slice differs, with a real one's texture
        study.images.append(_write(folder / f"{number:05d}.dcm", template, turned, number))
    return study.stamp()


def _template(side: int) -> Dataset:
    source = SHARED / "ct-head-philips" / "0060.dcm"
    dataset = dcmread(source if source.exists() else package_file("CT_small.dcm"))
    pixels = np.frombuffer(dataset.PixelData, dtype=np.uint16).reshape(dataset.Rows, dataset.Columns)
    scale = max(1, -(-side // min(pixels.shape)))
    pixels = np.kron(pixels, np.ones((scale, scale), dtype=np.uint16))[:side, :side]
    dataset.PixelData = pixels.tobytes()
    dataset.Rows, dataset.Columns = side, side
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    return dataset


def _write(path: Path, dataset: Dataset, pixels: np.ndarray[tuple[int, int], np.dtype[np.uint16]],
           number: int) -> Image:  # fmt: skip
    instance, study, series = new_uid(), new_uid(), new_uid()
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = instance
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.InstanceNumber = number + 1
    dataset.ImagePositionPatient = [0, 0, number * 1.25]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelData = pixels.tobytes()
    dcmwrite(path, dataset, enforce_file_format=True)
    data = path.read_bytes()
    return Image(path, _places(data, instance), _places(data, study)[0], _places(data, series)[0], instance)


def _places(data: bytes, uid: str) -> tuple[int, ...]:
    found, at = [], data.find(uid.encode())
    while at >= 0:
        found.append(at)
        at = data.find(uid.encode(), at + 1)
    return tuple(found)
