"""What the conformance tests of PS3.18 ask of: a server that holds a CT, a loop of ultrasound, and an instance with
values of every kind."""

from __future__ import annotations

import io
import struct
import warnings
from dataclasses import dataclass
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import httpx
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from tests.support.server import Server
from tests.support.studies import ct_study, ultrasound_study
from tests.support.watch import settled

DICOM, OCTETS, JSON, XML = (
    "application/dicom",
    "application/octet-stream",
    "application/dicom+json",
    "application/dicom+xml",
)
PROBLEM, EXPLICIT, ROOT = "application/problem+json", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4."
SLICES, NAME, ACCESSION = 3, "Müller^Jürgen=欧阳^娜娜", "ACC0318"
ENHANCED_SR, PDF = "1.2.840.10008.5.1.4.1.1.88.22", "1.2.840.10008.5.1.4.1.1.104.1"


def multipart(media_type: str, syntax: str = "") -> str:
    return f'multipart/related; type="{media_type}"' + (f"; transfer-syntax={syntax}" if syntax else "")


def parts(answer: httpx.Response) -> list[tuple[Any, bytes]]:
    """Headers and content of each."""
    assert answer.status_code == 200, answer.text[:500]
    assert answer.headers["content-type"].startswith("multipart/related;")
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + answer.content)
    return [(p, bytes(p.get_payload(decode=True))) for p in message.walk() if not p.is_multipart()]


@dataclass(frozen=True, slots=True)
class Instance:
    """Where one is, and what was sent."""

    sent: Any

    @property
    def study(self) -> str:
        return f"/dicom-web/studies/{self.sent.StudyInstanceUID}"

    @property
    def series(self) -> str:
        return f"{self.study}/series/{self.sent.SeriesInstanceUID}"

    @property
    def path(self) -> str:
        return f"{self.series}/instances/{self.sent.SOPInstanceUID}"


@dataclass(frozen=True, slots=True)
class Held:
    """The server, and one instance of each kind."""

    server: Server
    patient: str
    ct: Instance
    us: Instance
    odd: Instance
    pdf: Instance

    def get(self, path: str, accept: str = "", **params: str) -> httpx.Response:
        return self.server.client.get(path, params=params, headers={"Accept": accept} if accept else {})

    def found(self, resource: str, **params: str) -> list[dict[str, Any]]:
        answer = self.get(f"/dicom-web/{resource}", **params)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()
        return found

    def refused(self, answer: httpx.Response, status: int) -> str:
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == PROBLEM
        return str(answer.json().get("detail", ""))


def held(server: Server, folder: Path) -> Held:
    """Store what the tests ask for."""
    patient = f"PS318-{generate_uid()[-12:]}"
    ct = ct_study(folder / "ct", slices=SLICES, name=NAME, patient_id=patient)
    us = ultrasound_study(folder / "us", name="Loop^Of", patient_id=patient)
    sent: list[Any] = [dcmread(file) for study in (ct, us) for file in study.files]
    for one in sent[:SLICES]:
        one.AccessionNumber, one.StudyID = ACCESSION, "S318"
        one.PerformedProcedureStepStartDate, one.PerformedProcedureStepStartTime = "20260102", "030405"
        step = Dataset()
        step.ScheduledProcedureStepID, step.RequestedProcedureID = "STEP", "REQUESTED"
        one.RequestAttributesSequence = [step]
    sent += [_odd(patient), _pdf(patient)]
    store(server, sent)
    settled(server)
    return Held(server, patient, *(Instance(sent[n]) for n in (0, SLICES, SLICES + 1, SLICES + 2)))


def store(
    server: Server, sent: list[Any], path: str = "", *, client: httpx.Client | None = None
) -> httpx.Response:
    """By STOW-RS; by somebody else than the administrator with a `client`."""
    files = [part10(one) for one in sent]
    content = b"".join(f"--frontier\r\nContent-Type: {DICOM}\r\n\r\n".encode() + f + b"\r\n" for f in files)
    kind = f"{multipart(DICOM)}; boundary=frontier"
    return (client or server.client).post(
        f"/dicom-web/studies{path}", content=content + b"--frontier--\r\n", headers={"Content-Type": kind}
    )


def part10(dataset: Any) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def _made(patient: str, sop_class: str, modality: str) -> Any:
    one: Any = Dataset()
    one.SpecificCharacterSet, one.PatientName, one.PatientID = "ISO_IR 192", NAME, patient
    one.SOPClassUID, one.Modality = sop_class, modality
    one.StudyInstanceUID, one.SeriesInstanceUID, one.SOPInstanceUID = (generate_uid() for _ in range(3))
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.file_meta.MediaStorageSOPClassUID, one.file_meta.MediaStorageSOPInstanceUID = (
        sop_class,
        one.SOPInstanceUID,
    )
    return one


def _odd(patient: str) -> Any:
    """Values of every kind (PS3.18 F.2.3)."""
    one = _made(patient, ENHANCED_SR, "SR")
    one.ImageType = ["ORIGINAL", "", "AXIAL"]
    one.InstanceNumber, one.PatientWeight = "318", "70.5"
    one.AccessionNumber = ""
    one.FrameIncrementPointer = 0x00181063  # AT
    one.Rows, one.TagAngleSecondAxis = 512, -7  # US, SS
    one.add_new(0x00186020, "SL", -70000)
    one.add_new(0x00720074, "FD", [0.5, -2.0])
    one.add_new(0x00720076, "FL", 0.25)
    one.add_new(0x00082112, "SQ", [Dataset(), _item("1.2.3")])
    one.add_new(0x00090010, "LO", "OURS")
    one.add_new(0x00091001, "OB", b"\x00\x01\xfe\xff")
    one.add_new(0x00660016, "OF", struct.pack("<3000f", *range(3000)))
    return one


def _item(uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPInstanceUID = uid
    return item


def _pdf(patient: str) -> Any:
    one = _made(patient, PDF, "DOC")
    one.MIMETypeOfEncapsulatedDocument, one.EncapsulatedDocument = "application/pdf", b"%PDF-1.4 of ours"
    return one
