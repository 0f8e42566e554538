"""Rejection as hospitals meet it (IHE IOCM): a note by C-STORE or by the API, and every way out shows nothing; the bin
gives all back, byte for byte, or erases it for good."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
import pytest
from pydicom import dcmread
from sqlalchemy import text

from pacs.access import Role
from storage.accounts import add_user, find_user
from storage.commitment import NO_SUCH_INSTANCE, Commitment, examine
from tests.support.dicom import NO_WAIT, dcmsend, describe, send_raw, storescu
from tests.support.notes import KEY_OBJECT_SELECTION, MEANINGS, Named, note, save
from tests.support.peers import opened
from tests.support.server import PASSWORD, Server, eventually
from tests.support.signing import client_of
from tests.support.studies import Study, ct_study
from tests.support.watch import arguments, knows_device, settled, sop_uids, whole


@pytest.fixture(scope="module")
def hospital(workspace: Path) -> Iterator[Server]:
    running = Server(workspace / "rejections").start()
    running.run("facility", "add", "OTHER", "Another hospital")
    running.run("device", "add", "OTHERCT", "127.0.0.0/8", "--facility", "OTHER")
    knows_device(running, "OTHERCT")
    yield running
    whole(running)
    running.remove()


def sent(server: Server, folder: Path, *, slices: int = 4, calling: str = "") -> Study:
    study = ct_study(folder, slices=slices)
    if calling:
        dcmsend(server.dicom_port, *study.files, calling=calling)
    else:
        send_raw(server.dicom_port, map(describe, study.files))
    settled(server)
    return study


def names(study: Study, *which: int) -> list[Named]:
    """Of some of its files, or of all."""
    files = [study.files[n] for n in which] if which else study.files
    return [
        (str(d.StudyInstanceUID), str(d.SeriesInstanceUID), str(d.SOPClassUID), str(d.SOPInstanceUID))
        for d in (dcmread(f, stop_before_pixels=True) for f in files)
    ]


def reject_by_note(server: Server, folder: Path, named: list[Named], *, calling: str = "STORESCU") -> None:
    folder.mkdir(exist_ok=True)
    path = save(note(named), folder / "note.dcm")
    done = storescu(server.dicom_port, "-aet", calling, "-R", path)
    assert done.returncode == 0, done.stderr
    settled(server)


def found(server: Server, study: Study, model: str = "STUDY") -> int:
    """How many answers DCMTK's findscu is given."""
    keys = ["-k", f"0008,0052={model}", "-k", f"StudyInstanceUID={study.uid}"]
    done = subprocess.run(
        ["findscu", "-S", "-v", "-aec", "TONGYING", *keys, "127.0.0.1", str(server.dicom_port)],
        env=NO_WAIT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return (done.stdout + done.stderr).count("Pending")


def got(server: Server, study: Study, folder: Path) -> list[str]:
    """Digests of the data sets that DCMTK's getscu brings."""
    folder.mkdir()
    keys = ["-k", "0008,0052=STUDY", "-k", f"StudyInstanceUID={study.uid}"]
    subprocess.run(
        ["getscu", "--bit-preserving", "-S", "-od", str(folder), "-aec", "TONGYING", *keys, "127.0.0.1",
         str(server.dicom_port)],
        env=NO_WAIT, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    return sorted(describe(p).sha256 for p in folder.iterdir())


def digests(study: Study) -> list[str]:
    return sorted(describe(f).sha256 for f in study.files)


def bin_of(server: Server, study: Study) -> list[dict[str, object]]:
    told = server.get("/api/rejections", limit=200)["rejections"]
    return [one for one in told if study.uid in one["study_uids"]]


def signed_in(server: Server, facility: str) -> httpx.Client:
    """As an administrator of one facility."""
    name = f"admin-{facility}"
    with opened(server) as archive:
        if find_user(archive, name) is None:
            add_user(archive, name, PASSWORD, Role.ADMINISTRATOR, facility=facility)
    return client_of(server, name)


def test_a_note_by_c_store_and_every_way_out(hospital: Server, tmp_path: Path) -> None:
    study = sent(hospital, tmp_path / "ct")
    named = names(study)
    (series,) = {n[1] for n in named}
    root = f"/dicom-web/studies/{study.uid}"
    before = got(hospital, study, tmp_path / "before")
    assert before == digests(study)
    reject_by_note(hospital, tmp_path / "note", named)
    assert found(hospital, study) == 0
    assert found(hospital, study, "SERIES") == 0
    assert got(hospital, study, tmp_path / "after") == []
    for level in ("studies", "series", "instances"):
        assert hospital.get(f"/dicom-web/{level}", StudyInstanceUID=study.uid) == []
    for path in (root, f"{root}/metadata", f"{root}/thumbnail", f"{root}/rendered", f"/api/studies/{study.uid}",
                 f"{root}/series/{series}/instances/{named[0][3]}"):  # fmt: skip
        assert hospital.client.get(path).status_code == 404, path
    assert hospital.get("/api/studies", patient_id=study.patient_id)["studies"] == []
    send_raw(hospital.dicom_port, map(describe, study.files))
    settled(hospital)
    assert found(hospital, study) == 0, "sent again while it is rejected, it stays away"
    (one,) = bin_of(hospital, study)
    assert (one["instances"], one["author"], one["state"]) == (4, "STORESCU", "active")
    committed = commitment(
        hospital, [(named[0][2], named[0][3]), (KEY_OBJECT_SELECTION, str(one["note_uid"]))]
    )
    assert committed == ([str(one["note_uid"])], [(named[0][3], NO_SUCH_INSTANCE)])
    hospital.client.post(f"/api/rejections/{one['id']}/restore").raise_for_status()
    eventually(lambda: len(sop_uids(hospital, study.uid)) == 4, 30, "all is back")
    assert got(hospital, study, tmp_path / "back") == before
    assert hospital.client.post(f"/api/rejections/{one['id']}/restore").status_code == 409
    assert hospital.client.delete(f"/api/rejections/{one['id']}").status_code == 409


def commitment(server: Server, items: list[tuple[str, str]]) -> tuple[list[str], list[tuple[str, int]]]:
    with opened(server) as archive:
        asked = Commitment(0, 1, "LOCAL", "1.2.3", "ASKER", "TONGYING", tuple(items), 0, datetime.now(UTC))
        verdict = examine(archive, asked)
    return [uid for _, uid in verdict.committed], [(item[1], reason) for item, reason in verdict.failed]


def test_by_the_api_a_real_note_is_made(hospital: Server, tmp_path: Path) -> None:
    study = sent(hospital, tmp_path / "ct")
    gone = [n[3] for n in names(study, 0, 2)]
    body = {"study_uid": study.uid, "sop_uids": gone, "code": "113037", "reason": "wrong side 左右"}
    answer = hospital.client.post("/api/rejections", json=body)
    assert (answer.status_code, answer.json()["instances"]) == (202, 2)
    uid = answer.json()["note"]
    eventually(lambda: len(sop_uids(hospital, study.uid)) == 2, 30, "two are gone")
    (one,) = hospital.get("/api/rejections", note=uid)["rejections"]
    assert (one["code"], one["reason"], one["author"]) == ("113037", "wrong side 左右", "admin")
    assert one["kept_until"] > one["rejected_at"]
    path = tmp_path / "note.dcm"
    path.write_bytes(hospital.client.get(f"/api/rejections/{one['id']}/note").content)
    dumped = subprocess.run(["dcmdump", str(path)], capture_output=True, text=True, check=True)
    assert not dumped.stderr
    report = subprocess.run(["dsrdump", "+Pu", "-v", str(path)], capture_output=True, text=True, check=True)
    assert "Key Object Selection" in report.stdout
    assert MEANINGS["113037"] in report.stdout
    complaints = [line for line in report.stderr.splitlines() if line.startswith(("E:", "W:"))]
    assert not [line for line in complaints if "support" not in line], "but for what dsrdump cannot do itself"
    dataset = dcmread(path)
    assert (dataset.PatientID, dataset.StudyInstanceUID) == (study.patient_id, study.uid)
    (evidence,) = dataset.CurrentRequestedProcedureEvidenceSequence
    (series,) = evidence.ReferencedSeriesSequence
    assert {str(r.ReferencedSOPInstanceUID) for r in series.ReferencedSOPSequence} == set(gone)


def test_a_note_by_stow(hospital: Server, tmp_path: Path) -> None:
    study = sent(hospital, tmp_path / "ct", slices=2)
    path = save(note(names(study, 1), code="113039"), tmp_path / "note.dcm")
    kind = {"Content-Type": "application/dicom"}
    hospital.client.post("/dicom-web/studies", content=path.read_bytes(), headers=kind).raise_for_status()
    eventually(lambda: len(sop_uids(hospital, study.uid)) == 1, 30, "one is gone")


def test_what_cannot_be_asked(hospital: Server, tmp_path: Path) -> None:
    study = sent(hospital, tmp_path / "ct", slices=1)
    fine = {"study_uid": study.uid, "code": "113001"}
    for change, status in (
        ({"study_uid": "9.9.9"}, 404),
        ({"study_uid": "no uid"}, 400),
        ({"series_uid": "9.9"}, 404),
        ({"sop_uids": ["9.9"]}, 404),
        ({"code": "113000"}, 400),
        ({"facility": "OTHER"}, 404),
        ({"reason": "x" * 501}, 400),
        ({"more": 1}, 400),
    ):
        answer = hospital.client.post("/api/rejections", json=fine | change)
        assert answer.status_code == status, (change, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
    for path in ("/api/rejections/999999", f"/api/rejections/{2**70}", "/api/rejections/0/note"):
        assert hospital.client.get(path).status_code == 404
    assert httpx.get(f"{hospital.url}/api/rejections").status_code == 401
    assert len(sop_uids(hospital, study.uid)) == 1


def test_facilities_are_walls(hospital: Server, tmp_path: Path) -> None:
    mine, theirs = sent(hospital, tmp_path / "mine"), sent(hospital, tmp_path / "theirs", calling="OTHERCT")
    reject_by_note(hospital, tmp_path / "note", names(mine), calling="OTHERCT")
    assert len(sop_uids(hospital, mine.uid)) == 4
    with signed_in(hospital, "OTHER") as other:
        refused = other.post("/api/rejections", json={"study_uid": mine.uid, "code": "113001"})
        assert refused.status_code == 404
        own = {"study_uid": theirs.uid, "code": "113001"}
        uid = other.post("/api/rejections", json=own).raise_for_status().json()["note"]
        eventually(lambda: sop_uids(hospital, theirs.uid) == [], 30, "theirs is gone")
        (one,) = other.get("/api/rejections", params={"note": uid}).json()["rejections"]
        assert one["facility"] == "OTHER"
    with signed_in(hospital, "LOCAL") as local:
        assert uid not in {r["note_uid"] for r in local.get("/api/rejections").json()["rejections"]}
        for answer in (
            local.post(f"/api/rejections/{one['id']}/restore"),
            local.delete(f"/api/rejections/{one['id']}"),
            local.get(f"/api/rejections/{one['id']}/note"),
        ):
            assert answer.status_code == 404


def test_pages(hospital: Server, tmp_path: Path) -> None:
    study = sent(hospital, tmp_path / "ct")
    for number in range(3):
        reject_by_note(hospital, tmp_path / f"note{number}", names(study, number))
    seen: list[int] = []
    before: dict[str, int] = {}
    while True:
        page = hospital.get("/api/rejections", limit=1, **before)
        seen += [one["id"] for one in page["rejections"]]
        if page["next_before"] is None:
            break
        before = {"before": page["next_before"]}
    assert seen == sorted(set(seen), reverse=True)
    assert len(seen) >= 3


def test_by_the_command_line(hospital: Server, tmp_path: Path) -> None:
    study = sent(hospital, tmp_path / "ct")
    hospital.run("reject", study.uid, "--code", "113038", "--reason", "another patient's order")
    eventually(lambda: sop_uids(hospital, study.uid) == [], 30, "it is gone")
    (line,) = [x for x in hospital.run("rejected", "list").stdout.splitlines() if study.uid in x]
    assert "another patient's order" in line
    assert "4 instances" in line
    hospital.run("rejected", "restore", line.split("\t")[0])
    eventually(lambda: len(sop_uids(hospital, study.uid)) == 4, 30, "it is back")
    for command, said in (
        (("rejected", "restore", line.split("\t")[0]), "restored already"),
        (("rejected", "erase", "999999", "--yes"), "no such rejection"),
        (("reject", "9.9.9"), "no such study"),
        (("reject", study.uid, "--code", "1"), "the code is one of"),
    ):
        done = hospital.run(*command, check=False)
        assert (done.returncode, said in " ".join(done.stderr.split())) == (1, True), (command, done.stderr)


def test_a_note_that_names_nothing_is_told(hospital: Server, tmp_path: Path) -> None:
    study = sent(hospital, tmp_path / "ct", slices=1)
    reject_by_note(hospital, tmp_path / "note", [])
    assert describe(study.files[0]).sop_instance in sop_uids(hospital, study.uid)
    (incident,) = hospital.get("/api/incidents")["incidents"]
    assert (incident["kind"], incident["reason"]) == (
        "rejection", "a rejection note whose evidence names no instance",
    )  # fmt: skip


def test_erased_while_the_workers_are_killed(hospital: Server, tmp_path: Path) -> None:
    study, other = ct_study(tmp_path / "ct", slices=6), ct_study(tmp_path / "other", slices=6)
    pairs = zip(study.files, other.files, strict=True)  # they share their packs
    send_raw(hospital.dicom_port, [describe(f) for pair in pairs for f in pair])
    settled(hospital)
    kept = digests(other)
    assert all(stored(hospital, uid_element(f)) for f in study.files)
    reject_by_note(hospital, tmp_path / "note", names(study))
    (one,) = bin_of(hospital, study)
    assert (
        hospital.client.delete(f"/api/rejections/{one['id']}").raise_for_status().json()["state"] == "erased"
    )
    for number in range(3):
        for process in workers(hospital):
            os.kill(process.pid, signal.SIGKILL)
        assert got(hospital, other, tmp_path / f"kept{number}") == kept
    eventually(lambda: bin_of(hospital, study)[0]["instances"] == 0, 60, "it is taken out of its packs")
    whole(hospital)
    with opened(hospital) as archive, archive.database.begin() as connection:
        connection.execute(text("UPDATE superseded SET since = now() - interval '1 hour'"))
    eventually(
        lambda: not any(stored(hospital, uid_element(f)) for f in study.files), 30, "its bytes are gone"
    )
    assert got(hospital, other, tmp_path / "others") == kept
    whole(hospital)
    send_raw(hospital.dicom_port, [describe(study.files[0])])
    settled(hospital)
    assert sop_uids(hospital, study.uid) == [describe(study.files[0]).sop_instance], "sent again it is new"


def uid_element(file: Path) -> bytes:
    """Its SOP Instance UID as its data set holds it: a note that names it does not hold this."""
    uid = describe(file).sop_instance.encode()
    padded = uid + b"\0" * (len(uid) % 2)
    return b"\x08\x00\x18\x00UI" + len(padded).to_bytes(2, "little") + padded


def stored(server: Server, data: bytes) -> bool:
    for pack in (server.data / "objects").rglob("*.pack"):
        with contextlib.suppress(FileNotFoundError):  # it was removed since
            if data in pack.read_bytes():
                return True
    return False


def workers(server: Server) -> list[psutil.Process]:
    assert server.process is not None
    found = []
    for child in psutil.Process(server.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):  # one that was killed, and not yet waited for
            if "worker.app" in arguments(child):
                found.append(child)
    return found
