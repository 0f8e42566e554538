"""PS3.18 10.6: QIDO-RS."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.ps318 import ACCESSION, JSON, NAME, SLICES, XML, Held, multipart, parts

# PS3.18 tables 10.6.3-3, -4, -5, of what is known here.
STUDY = {
    "00080020", "00080030", "00080050", "00080056", "00080061", "00080090", "00081190", "00100010", "00100020",
    "00100030", "00100040", "0020000D", "00200010", "00201206", "00201208",
}  # fmt: skip
SERIES = {
    "00080060", "0008103E", "00081190", "0020000E", "00200011", "00201209", "00400244", "00400245",
}  # fmt: skip
INSTANCE = {"00080016", "00080018", "00080056", "00081190", "00200013", "00280010", "00280011", "00280100"}


def value(one: dict[str, Any], tag: str) -> Any:
    return one[tag]["Value"][0]


@pytest.mark.clause("10.6.1.1")
def test_resources(held: Held) -> None:
    study, series = held.ct.sent.StudyInstanceUID, held.ct.sent.SeriesInstanceUID
    for path, count in (
        ("studies", 4), ("series", 4), ("instances", SLICES + 3), (f"studies/{study}/series", 1),
        (f"studies/{study}/instances", SLICES), (f"studies/{study}/series/{series}/instances", SLICES),
    ):  # fmt: skip
        assert len(held.found(path, PatientID=held.patient)) == count, path
    assert held.found(f"studies/{study}/series", SeriesInstanceUID="1.2.3") == []
    assert held.found("studies/1.2.3/series") == held.found("studies/1.2.3/series/1.4/instances") == []


@pytest.mark.clause("10.6.1.2.3")
@pytest.mark.parametrize(
    ("level", "key", "wanted", "other"),
    [
        ("studies", "StudyDate", "20260101", "20260102"), ("studies", "StudyTime", "120000", "130000"),
        ("studies", "AccessionNumber", ACCESSION, "OTHER"), ("studies", "ModalitiesInStudy", "CT", "NM"),
        ("studies", "ReferringPhysicianName", "", "Nobody"), ("studies", "PatientName", NAME, "Nobody"),
        ("studies", "PatientID", "{patient}", "NOBODY"), ("studies", "StudyInstanceUID", "{study}", "1.2.3"),
        ("studies", "StudyID", "S318", "OTHER"), ("series", "Modality", "CT", "NM"),
        ("series", "SeriesInstanceUID", "{series}", "1.2.3"), ("series", "SeriesNumber", "{number}", "31800"),
        ("series", "PerformedProcedureStepStartDate", "20260102", "20260103"),
        ("series", "PerformedProcedureStepStartTime", "030405", "040506"),
        ("series", "RequestAttributesSequence.ScheduledProcedureStepID", "STEP", "NONE"),
        ("series", "RequestAttributesSequence.RequestedProcedureID", "REQUESTED", "NONE"),
        ("instances", "SOPClassUID", "{sop_class}", "1.2.3"), ("instances", "SOPInstanceUID", "{instance}", "1.2.3"),
        ("instances", "InstanceNumber", "1", "31800"),
    ],
)  # fmt: skip
def test_required_keys(held: Held, level: str, key: str, wanted: str, other: str) -> None:
    """PS3.18 table 10.6.1-5: each finds the CT, and another value does not."""
    ct = held.ct.sent
    wanted = wanted.format(
        patient=held.patient, study=ct.StudyInstanceUID, series=ct.SeriesInstanceUID, number=ct.SeriesNumber,
        sop_class=ct.SOPClassUID, instance=ct.SOPInstanceUID,
    )  # fmt: skip
    within = {"PatientID": held.patient, "StudyInstanceUID": str(ct.StudyInstanceUID)}
    found = held.found(level, **(within | {key: wanted}))
    assert {value(one, "0020000D") for one in found} == {ct.StudyInstanceUID}
    assert held.found(level, **(within | {key: other})) == []


@pytest.mark.clause("10.6.3.1")
def test_status_codes(held: Held) -> None:
    assert held.get("/dicom-web/studies", PatientID=held.patient).status_code == 200
    nothing = held.get("/dicom-web/studies", StudyInstanceUID="1.2.3")
    assert (nothing.status_code, nothing.headers["content-type"], nothing.json()) == (200, JSON, [])
    no_xml = held.get("/dicom-web/studies", multipart(XML), StudyInstanceUID="1.2.3")
    assert (no_xml.status_code, no_xml.content) == (204, b"")
    held.refused(held.get("/dicom-web/studies", StudyDate="2026-13-01"), 400)
    held.refused(held.get("/dicom-web/studies", "image/png"), 406)


@pytest.mark.clause("10.6.3.3.1")
def test_studies(held: Held) -> None:
    asked = {"PatientID": held.patient, "AccessionNumber": ACCESSION}
    (one,) = held.found("studies", **asked)
    assert one.keys() >= STUDY
    assert (value(one, "00201206"), value(one, "00201208"), one["00080061"]["Value"]) == (1, SLICES, ["CT"])
    assert value(one, "00080056") == "ONLINE"
    assert held.get(value(one, "00081190") + "/metadata").status_code == 200
    (more,) = held.found("studies", includefield="PatientAge,SeriesNumber,Rows", PatientWeight="", **asked)
    assert more.keys() - one.keys() == {"00101010", "00101030"}, "none of series and instances"
    ((_, xml),) = parts(held.get("/dicom-web/studies", multipart(XML), **asked))
    assert all(f'tag="{tag}"'.encode() in xml for tag in STUDY)


@pytest.mark.clause("10.6.3.3.2")
def test_series(held: Held) -> None:
    (one,) = held.found(f"studies/{held.ct.sent.StudyInstanceUID}/series")
    assert one.keys() >= SERIES
    (told,) = held.found(
        f"studies/{held.ct.sent.StudyInstanceUID}/series", includefield="RequestAttributesSequence"
    )
    assert told.keys() - one.keys() == {"00400275"}
    (step,) = told["00400275"]["Value"]
    assert (value(step, "00400009"), value(step, "00401001")) == ("STEP", "REQUESTED")
    assert value(one, "00201209") == SLICES
    assert value(one, "00081190") == held.ct.series
    (of_all,) = held.found("series", SeriesInstanceUID=held.ct.sent.SeriesInstanceUID)
    assert of_all.keys() >= SERIES | STUDY
    asked = {"SeriesInstanceUID": str(held.ct.sent.SeriesInstanceUID)}
    (more,) = held.found("series", includefield="ProtocolName,Rows", InstitutionName="", **asked)
    told_too = {"00080080", "00181030", "00400275"}  # the last since the metadata were read
    assert {"00080080"} <= more.keys() - of_all.keys() <= told_too, "none of instances"


@pytest.mark.clause("10.6.3.3.3")
def test_instances(held: Held) -> None:
    study, series = held.ct.sent.StudyInstanceUID, held.ct.sent.SeriesInstanceUID
    one, *_ = held.found(
        f"studies/{study}/series/{series}/instances", SOPInstanceUID=held.ct.sent.SOPInstanceUID
    )
    assert one.keys() >= INSTANCE
    assert value(one, "00081190") == held.ct.path
    (loop,) = held.found(f"studies/{held.us.sent.StudyInstanceUID}/instances")
    assert value(loop, "00280008") == 30
    (of_all,) = held.found("instances", SOPInstanceUID=held.ct.sent.SOPInstanceUID, includefield="KVP")
    assert of_all.keys() | {"0008103E"} >= INSTANCE | SERIES | STUDY | {"00400275"}
    assert "00180060" in of_all
