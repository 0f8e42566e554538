"""Storage commitment asked by a real Orthanc and by a modality of pynetdicom; what is told is true (promise P5)."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, evt

from tests.support.dicom import describe, send_raw
from tests.support.orthanc import OrthancServer
from tests.support.pdu import CT, associated, made
from tests.support.server import Server, eventually, free_port
from tests.support.studies import Study, ct_study
from tests.support.watch import part, settled

PUSH_MODEL, PUSH_INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
NO_SUCH_INSTANCE, CLASS_CONFLICT, PROCESSING_FAILURE = 0x0112, 0x0119, 0x0110
MISSING_SECONDS = 3.0


@pytest.fixture(scope="module")
def archive(workspace: Path) -> Iterator[Server]:
    patience = {"TONGYING_COMMITMENT_PATIENCE_SECONDS": str(MISSING_SECONDS)}
    running = Server(workspace / "commitment", extra=patience).start()
    yield running
    running.remove()


@pytest.fixture(scope="module")
def study(archive: Server, tmp_path_factory: pytest.TempPathFactory) -> Study:
    sent = ct_study(tmp_path_factory.mktemp("committed"), slices=4)
    send_raw(archive.dicom_port, [describe(f) for f in sent.files])
    settled(archive)
    return sent


@pytest.fixture
def orthanc(tmp_path: Path, archive: Server) -> Iterator[OrthancServer]:
    running = OrthancServer(tmp_path / "orthanc").start()
    target = {"AET": "TONGYING", "Host": "127.0.0.1", "Port": archive.dicom_port}
    running.client.put("modalities/tongying", json=target).raise_for_status()
    archive.run("remote", "add", "asker", "ORTHANC", "127.0.0.1", str(running.dicom_port))
    yield running
    archive.run("remote", "remove", "asker")
    running.client.close()
    running.stop()


def references(study: Study) -> list[dict[str, str]]:
    sent = [describe(f) for f in study.files]
    return [{"SOPClassUID": one.sop_class, "SOPInstanceUID": one.sop_instance} for one in sent]


def ask(orthanc: OrthancServer, instances: list[dict[str, str]]) -> str:
    """The path of the transaction at the Orthanc."""
    asked = {"DicomInstances": instances}
    answer = (
        orthanc.client.post("modalities/tongying/storage-commitment", json=asked).raise_for_status().json()
    )
    return str(answer["Path"])


def report(orthanc: OrthancServer, path: str, seconds: float = 30) -> dict[str, Any]:
    def told() -> dict[str, Any] | None:
        found: dict[str, Any] = orthanc.client.get(path).raise_for_status().json()
        return found if found["Status"] != "Pending" else None

    found = eventually(told, seconds, "the report comes")
    assert isinstance(found, dict)
    return found


def test_an_orthanc_asks_and_is_told(archive: Server, study: Study, orthanc: OrthancServer) -> None:
    found = report(orthanc, ask(orthanc, references(study)))
    assert found["Status"] == "Success"
    assert len(found["Success"]) == len(study.files)


def test_what_is_not_there_is_told_as_missing(archive: Server, study: Study, orthanc: OrthancServer) -> None:
    stranger = {"SOPClassUID": CT, "SOPInstanceUID": generate_uid()}
    other_class = {**references(study)[1], "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}
    found = report(orthanc, ask(orthanc, [references(study)[0], stranger, other_class]))
    assert found["Status"] == "Failure"
    reasons = {f["SOPInstanceUID"]: f["FailureReason"] for f in found["Failures"]}
    assert reasons == {
        stranger["SOPInstanceUID"]: NO_SUCH_INSTANCE, other_class["SOPInstanceUID"]: CLASS_CONFLICT,
    }  # fmt: skip


def test_it_survives_a_kill_and_a_receiver_that_is_away(
    archive: Server, study: Study, orthanc: OrthancServer
) -> None:
    """The process that reports is killed before it could, and at first the asker cannot be reached."""
    archive.run("remote", "add", "asker", "ORTHANC", "127.0.0.1", str(free_port()))
    exchange = part(archive, "dicom_node.exchange")
    os.kill(exchange.pid, signal.SIGSTOP)  # so that nothing is told before
    path = ask(orthanc, references(study))
    os.kill(exchange.pid, signal.SIGKILL)
    eventually(lambda: "report_delayed" in archive.tail(20_000), 60, "nobody took the report")
    archive.run("remote", "add", "asker", "ORTHANC", "127.0.0.1", str(orthanc.dicom_port))
    assert report(orthanc, path, seconds=60)["Status"] == "Success"


def test_damaged_bytes_are_not_committed(archive: Server, orthanc: OrthancServer, tmp_path: Path) -> None:
    """One bit of the pack turns over after it was indexed."""
    damaged = ct_study(tmp_path / "damaged", slices=2)
    send_raw(archive.dicom_port, [describe(f) for f in damaged.files])
    settled(archive)
    wanted = describe(damaged.files[0])
    uid = wanted.sop_instance.encode()
    for pack in archive.data.glob("objects/packs/**/*.pack"):
        data = bytearray(pack.read_bytes())
        if (at := data.rfind(uid)) >= 0:
            data[at + 10_000] ^= 1  # amid its pixels
            pack.chmod(0o600)
            pack.write_bytes(data)
            break
    else:
        pytest.fail("the pack was not found")
    found = report(orthanc, ask(orthanc, references(damaged)))
    assert {f["SOPInstanceUID"]: f["FailureReason"] for f in found["Failures"]} == {
        wanted.sop_instance: PROCESSING_FAILURE
    }


def commitment_by_hand(
    archive: Server, instances: list[tuple[str, str]], calling: str
) -> list[tuple[int, Dataset]]:
    """A modality that waits for its report within the association: event types and reports."""
    told: list[tuple[int, Dataset]] = []

    def take(event: evt.Event) -> tuple[int, None]:
        told.append((event.event_type or 0, event.event_information))
        return 0x0000, None

    ae = AE(calling)
    ae.add_requested_context(PUSH_MODEL)
    association = ae.associate("127.0.0.1", archive.dicom_port, ae_title="TONGYING",
                               evt_handlers=[(evt.EVT_N_EVENT_REPORT, take)])  # fmt: skip
    assert association.is_established
    asked = Dataset()
    asked.TransactionUID = generate_uid()
    asked.ReferencedSOPSequence = []
    for sop_class, instance in instances:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
        asked.ReferencedSOPSequence.append(item)
    status, _ = association.send_n_action(asked, 1, PUSH_MODEL, PUSH_INSTANCE)
    assert status.Status == 0x0000
    eventually(lambda: told, 20, "the report comes within the association")
    association.release()
    return told


def test_within_the_association_where_the_asker_cannot_be_called(archive: Server, study: Study) -> None:
    instances = [(i["SOPClassUID"], i["SOPInstanceUID"]) for i in references(study)]
    ((event, told),) = commitment_by_hand(archive, instances, "HANDHELD")
    assert event == 1
    assert [i.ReferencedSOPInstanceUID for i in told.ReferencedSOPSequence] == [uid for _, uid in instances]


def test_asked_at_once_after_the_images(archive: Server) -> None:
    """They are not indexed yet: the answer waits for it, and does not call them missing."""
    one = made()
    with associated(archive.dicom_port) as caller:
        assert caller.store(one.instance, one.data) == 0
    began = time.monotonic()
    ((event, _),) = commitment_by_hand(archive, [(CT, one.instance)], "HASTY")
    assert event == 1
    assert time.monotonic() - began < 20
