"""The worklist as hospitals use it: entries by the API, DCMTK's findscu asks for them, a modality performs them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.association import Association

from tests.support.dicom import describe, send_raw
from tests.support.server import Server, eventually
from tests.support.studies import ct_study

MPPS = "1.2.840.10008.3.1.2.3.3"
DAY = "2026-07-05"


def entry(**changed: Any) -> dict[str, Any]:
    patient = f"W{generate_uid()[-12:]}"
    return {"patient_id": patient, "patient_name": "Wang^XiaoMing=王^小明", "modality": "CT", "stations": ["CT_1"],
            "start_date": DAY, "start_time": "10:00:00", "sex": "M", "birth_date": "1980-02-03",
            "procedure": "头部平扫", "step_description": "CT Head"} | changed  # fmt: skip


def post(server: Server, **changed: Any) -> Any:
    return server.client.post("/api/worklist", json=entry(**changed)).raise_for_status().json()


def findscu(server: Server, folder: Path, *keys: str, called: str = "TONGYING") -> tuple[str, list[Dataset]]:
    """What DCMTK's findscu -W says, and the answers it was given."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob("rsp*.dcm"):
        old.unlink()
    done = subprocess.run(
        ["findscu", "-v", "-W", "-aet", "CT_1", "-aec", called, "-X", "-od", str(folder), "127.0.0.1",
         str(server.dicom_port), *(word for key in keys for word in ("-k", key))],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr, [dcmread(f, force=True) for f in sorted(folder.glob("rsp*.dcm"))]


STEP = "ScheduledProcedureStepSequence[0]"


def test_findscu_asks_for_a_day(server: Server, tmp_path: Path) -> None:
    made = post(server)
    said, (answer,) = findscu(
        server, tmp_path, f"PatientID={made['patient_id']}", "PatientName", "StudyInstanceUID", "AccessionNumber",
        "RequestedProcedureID", "RequestedProcedureDescription", "PatientSex", "PatientBirthDate", "PatientWeight",
        f"{STEP}.ScheduledProcedureStepStartDate=20260705", f"{STEP}.ScheduledStationAETitle=CT_1",
        f"{STEP}.Modality=CT", f"{STEP}.ScheduledProcedureStepID", f"{STEP}.ScheduledProcedureStepStatus",
    )  # fmt: skip
    assert "Success" in said
    assert answer.SpecificCharacterSet == "ISO_IR 192"
    assert str(answer.PatientName) == "Wang^XiaoMing=王^小明"
    assert (answer.PatientSex, answer.PatientBirthDate, answer.PatientWeight) == ("M", "19800203", None)
    assert answer.RequestedProcedureDescription == "头部平扫"
    assert answer.StudyInstanceUID == made["study_uid"]
    assert answer.AccessionNumber == made["accession"]
    step = answer.ScheduledProcedureStepSequence[0]
    assert (step.Modality, step.ScheduledStationAETitle) == ("CT", "CT_1")
    assert step.ScheduledProcedureStepStatus == "SCHEDULED"
    assert step.ScheduledProcedureStepID == made["step_id"]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([f"{STEP}.ScheduledProcedureStepStartDate=20260704-20260706"], True),
        ([f"{STEP}.ScheduledProcedureStepStartDate=20260706-"], False),
        ([f"{STEP}.Modality=MR"], False),
        (["PatientName=王*", f"{STEP}.ScheduledProcedureStepStartDate=20260705"], True),
        (["PatientName=WANG*", f"{STEP}.ScheduledProcedureStepStartDate=20260705"], True),
        (["PatientName=Li*", f"{STEP}.ScheduledProcedureStepStartDate=20260705"], False),
    ],
)
def test_findscu_by_other_keys(server: Server, tmp_path: Path, keys: list[str], expected: bool) -> None:
    made = post(server)
    charset = "SpecificCharacterSet=ISO_IR 192"
    said, answers = findscu(server, tmp_path, charset, f"PatientID={made['patient_id']}", *keys)
    assert "Success" in said
    assert len(answers) == int(expected)


def test_answers_in_gb18030(server: Server, tmp_path: Path) -> None:
    made = post(server)
    dump = tmp_path / "query.dump"
    dump.write_bytes(
        b"(0008,0005) CS [GB18030]\n(0010,0010) PN [" + "王*".encode("gb18030") + b"]\n(0010,0020) LO ["
        + made["patient_id"].encode() + b"]\n(0040,0100) SQ\n(fffe,e000) -\n(0040,0002) DA [20260705]\n"
        b"(fffe,e00d) -\n(fffe,e0dd) -\n"
    )  # fmt: skip
    query = tmp_path / "query.dcm"
    subprocess.run(["dump2dcm", str(dump), str(query)], check=True, timeout=30)
    subprocess.run(["findscu", "-W", "-aec", "TONGYING", "-X", "-od", str(tmp_path), "127.0.0.1",
                    str(server.dicom_port), str(query)], check=True, timeout=60)  # fmt: skip
    answer = (tmp_path / "rsp0001.dcm").read_bytes()
    assert "王^小明".encode("gb18030") in answer
    assert b"GB18030" in answer


def test_a_query_that_cannot_be_read_is_told(server: Server, tmp_path: Path) -> None:
    said, answers = findscu(server, tmp_path, f"{STEP}.ScheduledProcedureStepStartDate=someday")
    assert "0xa900" in said.lower() or "IdentifierDoesNotMatch" in said or "DataSetDoesNotMatch" in said, said
    assert answers == []


# --- The API --------------------------------------------------------------------------------------------------------


def test_change_and_cancel(server: Server, tmp_path: Path) -> None:
    made = post(server)
    path = f"/api/worklist/{made['id']}"
    changed = server.client.patch(path, json={"start_time": "11:30:00", "stations": ["CT_2", "CT_3"]}).json()
    assert (changed["start_time"], changed["stations"]) == ("11:30:00", ["CT_2", "CT_3"])
    assert {k: changed[k] for k in ("study_uid", "patient_name", "accession")} == {
        k: made[k] for k in ("study_uid", "patient_name", "accession")
    }
    asked = (f"PatientID={made['patient_id']}", f"{STEP}.ScheduledProcedureStepStartDate=20260705")
    assert len(findscu(server, tmp_path, *asked, f"{STEP}.ScheduledStationAETitle=CT_3")[1]) == 1
    assert len(findscu(server, tmp_path, *asked, f"{STEP}.ScheduledStationAETitle=CT_1")[1]) == 0
    assert server.client.delete(path).status_code == 204
    assert findscu(server, tmp_path, *asked)[1] == []
    assert server.get(path)["status"] == "CANCELED"
    assert server.client.patch(path, json={"sex": "F"}).status_code == 409
    assert "00400100" in server.get(path)["attributes"]


def test_the_list_goes_on(server: Server) -> None:
    made = [post(server, start_date="2031-01-01")["id"] for _ in range(3)]
    seen: list[int] = []
    after: int | None = 0
    while after is not None:
        page = server.get("/api/worklist", date_from="2031-01-01", date_to="2031-01-01", after=after, limit=2)
        seen += [e["id"] for e in page["entries"]]
        after = page["next_after"]
    assert seen == made


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"patient_id": ""}, 422), ({"patient_name": ""}, 422), ({"modality": ""}, 422), ({"modality": "ct"}, 400),
        ({"study_uid": "none"}, 422), ({"patient_id": "a\\b"}, 422), ({"start_date": "someday"}, 400),
        ({"unknown": 1}, 400), ({"facility": "NOBODY"}, 404), ({"patient_name": "a\0b"}, 422),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(server: Server, changed: dict[str, Any], status: int) -> None:
    answer = server.client.post("/api/worklist", json=entry(**changed))
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_unknown_entries(server: Server) -> None:
    for number in ("999999999", "0", str(2**70)):
        assert server.client.get(f"/api/worklist/{number}").status_code == 404
        assert server.client.patch(f"/api/worklist/{number}", json={}).status_code == 404
        assert server.client.delete(f"/api/worklist/{number}").status_code == 404
    assert server.client.get("/api/worklist", headers={"Authorization": ""}).status_code == 401


def test_it_is_described(server: Server) -> None:
    paths = server.get("/api/openapi.json")["paths"]
    assert set(paths["/api/worklist"]) == {"get", "post"}
    assert set(paths["/api/worklist/{entry_id}"]) == {"get", "patch", "delete"}


# --- Performed procedure steps --------------------------------------------------------------------------------------


@contextmanager
def modality(server: Server) -> Iterator[Association]:
    ae = AE("CT_1")
    ae.dimse_timeout = 10
    ae.add_requested_context(MPPS)
    association = ae.associate("127.0.0.1", server.dicom_port, ae_title="TONGYING")
    assert association.is_established
    yield association
    association.release()


def begun(study_uid: str, accession: str = "", step_id: str = "") -> Dataset:
    dataset, scheduled = Dataset(), Dataset()
    scheduled.StudyInstanceUID, scheduled.AccessionNumber = study_uid, accession
    scheduled.ScheduledProcedureStepID = step_id
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ScheduledStepAttributesSequence = Sequence([scheduled])
    dataset.PatientName, dataset.PatientID = "Wang^XiaoMing=王^小明", "P1"
    dataset.PerformedProcedureStepID, dataset.PerformedStationAETitle = "1", "CT_1"
    dataset.PerformedProcedureStepStartDate, dataset.PerformedProcedureStepStartTime = "20260705", "101500"
    dataset.PerformedProcedureStepStatus, dataset.Modality = "IN PROGRESS", "CT"
    dataset.PerformedSeriesSequence = Sequence()
    return dataset


def done(instances: list[tuple[str, str]], status: str = "COMPLETED") -> Dataset:
    dataset, series = Dataset(), Dataset()
    series.SeriesInstanceUID = generate_uid()
    series.ReferencedImageSequence = Sequence()
    for sop_class, uid in instances:
        reference = Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = sop_class, uid
        series.ReferencedImageSequence.append(reference)
    dataset.PerformedSeriesSequence = Sequence([series])
    dataset.PerformedProcedureStepStatus = status
    dataset.PerformedProcedureStepEndDate, dataset.PerformedProcedureStepEndTime = "20260705", "103000"
    return dataset


def test_a_study_from_order_to_completeness(server: Server, tmp_path: Path) -> None:
    study = ct_study(tmp_path / "study", slices=4)
    sent = [describe(f) for f in study.files]
    made = post(server, study_uid=study.uid)
    with modality(server) as scu:
        uid = generate_uid()
        status, _ = scu.send_n_create(begun(study.uid, made["accession"], made["step_id"]), MPPS, uid)
        assert status.Status == 0
        assert server.get(f"/api/worklist/{made['id']}")["status"] == "STARTED"
        assert set(send_raw(server.dicom_port, sent[:3]).values()) == {0}
        status, _ = scu.send_n_set(done([(s.sop_class, s.sop_instance) for s in sent]), MPPS, uid)
        assert status.Status == 0
    assert server.get(f"/api/worklist/{made['id']}")["status"] == "COMPLETED"
    path = f"/api/studies/{study.uid}"
    eventually(lambda: server.client.get(path).status_code == 200, what="the study is shown")
    expected = {"status": "COMPLETED", "announced": 4, "present": 3}
    eventually(lambda: server.get(path)["performed"] == expected, what="one is missing")
    send_raw(server.dicom_port, sent[3:])
    eventually(lambda: server.get(path)["performed"]["present"] == 4, what="the study is complete")


def test_a_study_without_steps_says_nothing(server: Server, tmp_path: Path) -> None:
    study = ct_study(tmp_path, slices=1)
    send_raw(server.dicom_port, [describe(f) for f in study.files])
    path = f"/api/studies/{study.uid}"
    eventually(lambda: server.client.get(path).status_code == 200, what="the study is shown")
    assert server.get(path)["performed"] is None


def test_states_of_a_step(server: Server) -> None:
    uid, study = generate_uid(), generate_uid()
    with modality(server) as scu:
        assert scu.send_n_set(done([]), MPPS, uid)[0].Status == 0x0112  # unknown
        assert scu.send_n_create(done([]), MPPS, uid)[0].Status == 0x0120  # what it needs is missing
        wrong = begun(study)
        wrong.PerformedProcedureStepStatus = "COMPLETED"
        assert scu.send_n_create(wrong, MPPS, uid)[0].Status == 0x0106
        assert scu.send_n_create(begun(study), MPPS, uid)[0].Status == 0x0000
        assert scu.send_n_create(begun(study), MPPS, uid)[0].Status == 0x0111  # duplicate
        other = Dataset()
        other.PatientID = "P2"
        assert scu.send_n_set(other, MPPS, uid)[0].Status == 0x0107  # a warning: it stays
        assert scu.send_n_set(done([], "DISCONTINUED"), MPPS, uid)[0].Status == 0x0000
        refused, _ = scu.send_n_set(done([]), MPPS, uid)
        assert (refused.Status, refused.ErrorID) == (0x0110, 0xA710)
        assert "no longer be updated" in refused.ErrorComment


def test_a_step_without_a_uid_is_given_one(server: Server) -> None:
    answered: list[str] = []

    def note(event: evt.Event) -> None:
        answered.append(str(event.message.command_set.AffectedSOPInstanceUID))

    with modality(server) as scu:
        scu.bind(evt.EVT_DIMSE_RECV, note)
        assert scu.send_n_create(begun(generate_uid()), MPPS)[0].Status == 0x0000
        assert answered[0].startswith("2.25.")
        assert scu.send_n_set(done([]), MPPS, answered[0])[0].Status == 0x0000
