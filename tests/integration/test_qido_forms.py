"""QIDO-RS, what its parameters may be (PS3.18 8.3.4): sequences by path, any attribute of instances, fuzzy names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from tests.support.dicom import dcmsend
from tests.support.server import Server
from tests.support.watch import settled

CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture(scope="module")
def study(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two series of a patient with a name in three scripts, each asked for by a step of its own."""
    folder, study = tmp_path_factory.mktemp("qido"), generate_uid()
    for number in (1, 2):
        step = Dataset()
        step.ScheduledProcedureStepID = f"STEP{number}"
        one = Dataset()
        one.SpecificCharacterSet = "ISO_IR 192"
        one.PatientName, one.PatientID = "Müller^Jürgen=欧阳^娜娜", study[-20:]
        one.StudyInstanceUID, one.SeriesInstanceUID, one.SOPInstanceUID = (
            study,
            generate_uid(),
            generate_uid(),
        )
        one.SOPClassUID, one.Modality, one.SeriesNumber = CT, "CT", number
        one.KVP, one.ConvolutionKernel = 80 + number, f"B{number}0s"
        one.RequestAttributesSequence = [step]
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    dcmsend(server.dicom_port, Path(folder))
    settled(server)
    return str(study)


def numbers(found: list[dict[str, Any]]) -> list[int]:
    return sorted(one["00200011"]["Value"][0] for one in found)


@pytest.mark.parametrize(
    ("level", "asked", "wanted"),
    [
        ("series", {"RequestAttributesSequence.ScheduledProcedureStepID": "STEP2"}, [2]),
        ("series", {"00400275.00400009": "STEP*"}, [1, 2]),
        ("series", {"RequestAttributesSequence.ScheduledProcedureStepID": "NONE"}, []),
        ("instances", {"KVP": "82"}, [2]),
        ("instances", {"00180060": "81"}, [1]),
        ("instances", {"ConvolutionKernel": "B?0s"}, [1, 2]),
        ("instances", {"RequestAttributesSequence.ScheduledProcedureStepID": "STEP1"}, [1]),
    ],
)
def test_matching(server: Server, study: str, level: str, asked: dict[str, str], wanted: list[int]) -> None:
    found = server.get(f"/dicom-web/studies/{study}/{level}", includefield="SeriesNumber", **asked)
    assert numbers(found) == wanted


def test_a_sequence_is_told_if_it_is_asked_for(server: Server, study: str) -> None:
    found = server.get(
        f"/dicom-web/studies/{study}/series", includefield="RequestAttributesSequence", SeriesNumber="2"
    )
    (step,) = found[0]["00400275"]["Value"]
    assert step["00400009"]["Value"] == ["STEP2"]


@pytest.mark.parametrize("name", ["muller", "Jur", "欧阳", "娜娜", "ouyang", "oynn", "nana", "Mü ju"])
def test_fuzzy_names(server: Server, study: str, name: str) -> None:
    asked = {"PatientID": study[-20:], "PatientName": name}
    assert len(server.get("/dicom-web/studies", fuzzymatching="true", **asked)) == 1
    assert len(server.get("/dicom-web/instances", fuzzymatching="true", **asked)) == 2


def test_fuzzy_is_asked_for(server: Server, study: str) -> None:
    asked = {"PatientID": study[-20:]}
    assert server.get("/dicom-web/studies", PatientName="ouyang", **asked) == []
    assert server.get("/dicom-web/studies", PatientName="ouyang", fuzzymatching="false", **asked) == []
    assert server.get("/dicom-web/studies", PatientName="wang", fuzzymatching="true", **asked) == []


@pytest.mark.parametrize(
    "asked",
    [
        {"NoSuchAttribute": "1"}, {"KVP.Rows": "1"}, {"RequestAttributesSequence": "1"}, {"12345678": "1"},
        {"includefield": "NoSuchAttribute"}, {"includefield": "Rows.Columns"}, {"RequestAttributesSequence.": "1"},
        {".".join(["RequestAttributesSequence"] * 9): "1"},
    ],
)  # fmt: skip
def test_what_cannot_be_asked(server: Server, study: str, asked: dict[str, str]) -> None:
    answer = server.client.get(f"/dicom-web/studies/{study}/instances", params=asked)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_what_is_of_instances_is_not_matched_above_them(server: Server) -> None:
    answer = server.client.get("/dicom-web/studies", params={"KVP": "80"})
    assert answer.status_code == 400
    assert "(0018,0060) cannot be matched at the study level" in answer.json()["detail"]
