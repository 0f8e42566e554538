"""The audit trail of a running server: what is done, by whichever door, is told before it is shown (promise P12)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from fhir.resources.R4B.bundle import Bundle
from pydicom import dcmread
from sqlalchemy import text

from pacs.access import Role
from storage import accounts
from storage.archive import Archive
from tests.support.dicom import dcmsend, describe, send_raw
from tests.support.peers import opened, storescp
from tests.support.server import PASSWORD, Server, eventually
from tests.support.signing import client_of
from tests.support.studies import Study, ct_study
from tests.support.watch import arguments, settled, whole

CANARY, CANARY_ID = "Kanarienvogel^Zitronengelb", "CANARY-7"


@dataclass(frozen=True)
class World:
    server: Server
    study: Study
    frame: str  # its address


@pytest.fixture(scope="module")
def world(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    running = Server(workspace / "audit").start()
    running.run("facility", "add", "OTHER", "Another hospital")
    study = ct_study(tmp_path_factory.mktemp("ct"), slices=4, name=CANARY, patient_id=CANARY_ID)
    assert set(send_raw(running.dicom_port, map(describe, study.files)).values()) == {0}
    settled(running)
    first = dcmread(study.files[0], stop_before_pixels=True)
    path = f"/dicom-web/studies/{study.uid}/series/{first.SeriesInstanceUID}/instances/{first.SOPInstanceUID}"
    yield World(running, study, f"{path}/frames/1")
    whole(running)
    assert CANARY.partition("^")[0] not in running.log.read_text(errors="replace")
    running.remove()


@pytest.fixture(scope="module")
def archive(world: World) -> Iterator[Archive]:
    with opened(world.server) as archive:
        for name, role, facility in (
            ("auditor", Role.AUDITOR, None),
            ("auditor-other", Role.AUDITOR, "OTHER"),
            ("auditor-local", Role.AUDITOR, "LOCAL"),
            ("doctor", Role.CLINICIAN, "OTHER"),
            ("admin-other", Role.ADMINISTRATOR, "OTHER"),
        ):
            accounts.add_user(archive, name, PASSWORD, role, facility=facility)
        yield archive


def entries(server: Server, **asked: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.get("/api/audit", **asked)["entries"]
    return found


def told(server: Server, what: str = "", **asked: Any) -> dict[str, Any]:
    """The newest entry that fits, and has this in what was asked."""
    found = eventually(
        lambda: [e for e in entries(server, **asked) if what in e.get("asked", "")],
        10,
        f"{asked} {what} is told",
    )
    entry: dict[str, Any] = found[0]
    return entry


def test_a_view_is_told_once(world: World) -> None:
    server, study = world.server, world.study
    for _ in range(5):
        assert server.client.get(world.frame).status_code == 200
    entry = told(server, "frames", study_uid=study.uid, action="view")
    assert (entry["who"], entry["role"], entry["purpose"]) == ("admin", "administrator", "treatment")
    assert (entry["service"], entry["outcome"], entry["address"]) == ("api", "success", "127.0.0.1")
    assert entry["studies"] == [study.uid]
    assert entry["subjects"] == [{"facility": "LOCAL", "issuer": "", "patient_id": CANARY_ID}]
    views = [e for e in entries(server, study_uid=study.uid, action="view") if "frames" in e["asked"]]
    assert 1 <= len(views) <= server_processes(server), "each process tells it once a minute"
    assert told(server, patient_id=CANARY_ID, owner="LOCAL", action="view")["who"] == "admin"
    assert entries(server, patient_id=CANARY_ID, owner="OTHER", action="view") == []


def server_processes(server: Server) -> int:
    assert server.process is not None
    parts = [p for p in psutil.Process(server.process.pid).children() if "viewer_api" in arguments(p)]
    return max(1, *(len(p.children()) for p in parts))


def test_what_a_route_does(world: World) -> None:
    server, uid = world.server, world.study.uid
    base = f"/dicom-web/studies/{uid}"
    for path, action in (
        (f"{base}/metadata", "view"), (f"{base}/thumbnail", "view"), (f"/api/studies/{uid}", "view"),
        (base, "export"), (f"{base}/series", "query"),
    ):  # fmt: skip
        assert server.client.get(path).status_code == 200
        assert told(server, study_uid=uid, action=action)["outcome"] == "success"
    answer = server.client.get(base, headers={"Accept": "application/zip"})
    assert answer.status_code == 200

    server.get("/dicom-web/studies", PatientName="Kanarien*", PatientID=CANARY_ID, StudyDate="20200101-")
    assert told(server, "PatientID=CANARY-7", action="query")["asked"] == (
        "GET /dicom-web/studies?PatientName&PatientID=CANARY-7&StudyDate=20200101-"
    )
    server.get("/api/studies", q="kanarien", modality="CT")
    assert "/api/studies?q&modality=CT" in told(server, "/api/studies?q", action="query")["asked"]


def test_what_may_not_be_seen_or_is_not_there(world: World, archive: Archive) -> None:
    """Both are told as what was asked for; whose study it is, the trail knows and the answer does not say."""
    server = world.server
    with client_of(server, "admin-other") as other:
        assert other.get(world.frame).status_code == 404
        assert other.get("/dicom-web/studies/1.2.3.4/metadata").status_code == 404
        assert other.get("/dicom-web/studies/Kanarienvogel/metadata").status_code == 404
        assert other.post("/api/facilities", json={"code": "MINE"}).status_code == 403
    entry = told(server, "frames", who="admin-other", outcome="absent", study_uid=world.study.uid)
    assert entry["subjects"][0]["patient_id"] == CANARY_ID
    assert told(server, who="admin-other", outcome="absent", study_uid="1.2.3.4")["subjects"] == []
    with client_of(server, "admin-other") as other, client_of(server, "auditor-local") as local:
        assert CANARY_ID not in other.get("/fhir/AuditEvent").text, "before they ask for it: that is told too"
        for asked in ({"study_uid": world.study.uid}, {"patient_id": CANARY_ID}):
            theirs = other.get("/api/audit", params={"outcome": "absent", **asked}).json()["entries"]
            assert [e["subjects"] for e in theirs] == [[]] * len(theirs), "they do not learn that it exists"
            assert bool(theirs) is ("study_uid" in asked)
            mine = local.get("/api/audit", params={"outcome": "absent", **asked}).json()["entries"]
            assert mine[0]["subjects"][0]["patient_id"] == CANARY_ID, "whose patient it is, is told who tried"
    assert told(server, "/api/facilities", who="admin-other", outcome="refused")["action"] == "change"
    httpx.get(server.url + world.frame)
    httpx.get(server.url + world.frame, headers={"Authorization": "Bearer forged"})
    assert told(server, "frames", outcome="refused", study_uid=world.study.uid).get("who", "") == ""


def test_sign_in(world: World, archive: Archive) -> None:
    server = world.server
    client_of(server, "auditor").close()
    assert told(server, action="sign-in", who="auditor")["outcome"] == "success"
    for name in ("auditor", "my-secret-passphrase"):
        form = {"username": name, "password": "wrong"}
        assert httpx.post(f"{server.url}/api/auth/token", data=form).status_code == 401
    assert told(server, action="sign-in", who="auditor", outcome="refused")
    eventually(lambda: len(entries(server, action="sign-in", outcome="refused")) >= 2, 10)
    assert "passphrase" not in json.dumps(entries(server, action="sign-in")), "it may have been a password"


def test_changes(world: World) -> None:
    server = world.server
    device = {"facility": "OTHER", "ae_title": "AUDITCT", "address": "10.9.9.9"}
    number = server.client.post("/api/devices", json=device).raise_for_status().json()["id"]
    entry = told(server, "AUDITCT", action="change")
    assert (entry["subjects"][0]["facility"], entry["who"]) == ("OTHER", "admin")
    server.client.patch(f"/api/devices/{number}", json={"emergency": True}).raise_for_status()
    assert "emergency: True" in told(server, f"PATCH /api/devices/{number}", action="change")["asked"]
    server.client.delete(f"/api/devices/{number}").raise_for_status()
    assert "AUDITCT" in told(server, f"DELETE /api/devices/{number}", action="change")["asked"]
    server.run("facility", "add", "TOLD", "Told")
    entry = told(server, "facility add TOLD")
    assert (entry["service"], entry["role"], entry["outcome"]) == ("command line", "operator", "success")
    assert server.run("facility", "add", "TOLD", check=False).returncode == 1
    assert told(server, "facility add TOLD", outcome="failed")


def test_rejected_and_restored(world: World, tmp_path: Path) -> None:
    server, study = world.server, ct_study(tmp_path, slices=2, patient_id="REJECTED-1")
    send_raw(server.dicom_port, map(describe, study.files))
    settled(server)
    server.client.post("/api/rejections", json={"study_uid": study.uid, "code": "113001"}).raise_for_status()
    assert told(server, action="reject", study_uid=study.uid)["subjects"][0]["patient_id"] == "REJECTED-1"
    number = eventually(lambda: server.get("/api/rejections", state="active")["rejections"], 20)[0]["id"]
    server.client.delete(f"/api/rejections/{number}").raise_for_status()
    entry = told(server, action="erase", study_uid=study.uid)
    assert "REJECTED-1" in {s["patient_id"] for s in entry["subjects"]}, "the index may not know it any more"


def dcmtk(server: Server, tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tool, "-aec", "TONGYING", *arguments, "127.0.0.1", str(server.dicom_port)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_the_node(world: World, tmp_path: Path) -> None:
    server, uid = world.server, world.study.uid
    key = ("-k", "0008,0052=STUDY", "-k")
    dcmtk(
        server,
        "findscu",
        "-S",
        "-aet",
        "FINDER",
        *key,
        f"StudyInstanceUID={uid}",
        "-k",
        f"PatientName={CANARY}",
    )
    entry = told(server, "FIND", action="query", who="FINDER")
    assert (entry["service"], entry["facility"], entry["studies"]) == ("dicom", "LOCAL", [uid])
    assert f"StudyInstanceUID={uid}" in entry["asked"]
    assert "PatientName" in entry["asked"]
    dcmtk(server, "getscu", "-S", "-aet", "GETTER", "-od", str(tmp_path), *key, f"StudyInstanceUID={uid}")
    entry = told(server, "4 instances", action="export", who="GETTER")
    assert (entry["studies"], entry["subjects"][0]["patient_id"]) == ([uid], CANARY_ID)
    dcmtk(server, "getscu", "-S", "-aet", "GETTER", "-od", str(tmp_path), *key, "StudyInstanceUID=1.2.3.5")
    assert told(server, action="export", who="GETTER", outcome="absent")["studies"] == ["1.2.3.5"]
    dcmtk(server, "movescu", "-S", "-aet", "MOVER", "-aem", "NOWHERE", *key, f"StudyInstanceUID={uid}")
    assert "to NOWHERE" in told(server, "MOVE", action="export", who="MOVER", outcome="success")["asked"]
    assert told(server, "A801", action="export", who="MOVER", outcome="failed")

    subprocess.run(["echoscu", "-aet", "STRANGER", "-aec", "ELSEWHERE", "127.0.0.1", str(server.dicom_port)],
                   capture_output=True, timeout=60, check=False)  # fmt: skip
    entry = told(server, "ELSEWHERE", action="associate", outcome="refused")
    assert (entry["who"], entry["address"]) == ("STRANGER", "127.0.0.1")


def test_what_comes(world: World, tmp_path: Path) -> None:
    """An association is told by how many it stored, and each study, once it is indexed, by sender."""
    server, study = world.server, ct_study(tmp_path, slices=3, patient_id="CAME-1")
    dcmsend(server.dicom_port, *study.files, calling="AUDITED")
    assert "3 instances stored" in told(server, "stored", action="store", who="AUDITED")["asked"]
    entry = told(server, action="store", study_uid=study.uid)
    assert (entry["service"], entry["who"], entry["subjects"][-1]["patient_id"]) == (
        "index",
        "AUDITED",
        "CAME-1",
    )
    body = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + study.files[0].read_bytes() + b"\r\n--x--"
    kind = 'multipart/related; type="application/dicom"; boundary=x'
    server.client.post("/dicom-web/studies", content=body, headers={"Content-Type": kind}).raise_for_status()
    assert "1 stored, 0 not" in told(server, "POST", action="store", study_uid=study.uid)["asked"]


def test_sent_on(world: World, tmp_path: Path) -> None:
    """Who queued it, and that it left, to whom."""
    server, uid = world.server, world.study.uid
    with storescp(tmp_path / "in") as receiver:
        server.run("remote", "add", "sink", "SINK", "127.0.0.1", str(receiver.port))
        server.client.post("/api/sends", json={"remote": "sink", "study_uid": uid}).raise_for_status()
        assert "remote sink" in told(server, "POST /api/sends", action="export", study_uid=uid)["asked"]
        entry = told(server, "sent to sink", action="export", study_uid=uid)
        assert (entry["service"], entry["ae_title"], entry["who"]) == ("exchange", "SINK", "sink")
        assert entry["subjects"][0]["patient_id"] == CANARY_ID
    assert told(server, "remote add sink")["service"] == "command line"


def test_who_may_read_it(world: World, archive: Archive) -> None:
    server = world.server
    server.client.get(world.frame)
    with client_of(server, "doctor") as doctor:
        for path in ("/api/audit", "/api/audit/state", "/fhir/AuditEvent", "/fhir/AuditEvent/1"):
            assert doctor.get(path).status_code == 403
    assert told(server, action="read-trail", who="doctor", outcome="refused")
    with client_of(server, "auditor-local") as local, client_of(server, "auditor-other") as other:
        found = local.get("/api/audit", params={"limit": 500}).json()["entries"]
        assert any(e["studies"] == [world.study.uid] for e in found)
        for entry in found:
            assert entry.get("facility") == "LOCAL" or "LOCAL" in {s["facility"] for s in entry["subjects"]}
        found = other.get("/api/audit", params={"limit": 500}).json()["entries"]
        assert found
        for entry in found:
            assert entry.get("facility") == "OTHER" or "OTHER" in {s["facility"] for s in entry["subjects"]}
        theirs = next(e["position"] for e in entries(server, study_uid=world.study.uid, who="admin", limit=1))
        assert other.get(f"/fhir/AuditEvent/{theirs}").status_code == 404
        assert local.get(f"/fhir/AuditEvent/{theirs}").status_code == 200
    for params in ({"limit": 0}, {"before": -1}, {"outcome": "x"}, {"since": "never"}, {"who": "\0"}):
        assert server.client.get("/api/audit", params=params).status_code == 400, params


def test_pages(world: World) -> None:
    server = world.server
    everything = [e["position"] for e in entries(server, limit=500)]
    got: list[int] = []
    before: int | None = None
    while len(got) < 40:
        page = server.get("/api/audit", limit=7, **({"before": before} if before else {}))
        got += [e["position"] for e in page["entries"]]
        before = page["next_before"]
        if before is None:
            break
    got = [p for p in got if p <= everything[0]]
    assert got == everything[: len(got)]
    assert len(got) > 20


def test_fhir(world: World) -> None:
    server, uid = world.server, world.study.uid
    server.client.get(world.frame)
    told(server, "frames", study_uid=uid, action="view")
    answer = server.client.get(
        "/fhir/AuditEvent", params={"patient": f"LOCAL|{CANARY_ID}", "date": "ge2020-01-01"}
    )
    assert answer.headers["content-type"] == "application/fhir+json"
    bundle = answer.json()
    Bundle.model_validate(bundle)
    event = next(e["resource"] for e in bundle["entry"] if e["resource"]["type"]["code"] == "110103")
    assert event["resourceType"] == "AuditEvent"
    assert event["recorded"].endswith("Z")
    assert event["agent"][0]["who"]["display"]
    what = {e["what"]["identifier"]["value"] for e in event["entity"] if "what" in e}
    assert {CANARY_ID, f"urn:oid:{uid}"} <= what
    assert CANARY.partition("^")[0] not in answer.text
    one = server.client.get(f"/fhir/AuditEvent/{event['id']}").json()
    assert one == event
    assert "entry" not in server.get("/fhir/AuditEvent", date="lt2020-01-01")
    assert "entry" not in server.get("/fhir/AuditEvent", patient="OTHER|nobody")
    assert server.client.get("/fhir/AuditEvent", params={"date": "xx2020"}).status_code == 400
    page = server.get("/fhir/AuditEvent", _count=2)
    following = next(link["url"] for link in page["link"] if link["relation"] == "next")
    ids = [int(e["resource"]["id"]) for e in page["entry"]]
    assert int(server.client.get(following).json()["entry"][0]["resource"]["id"]) < min(ids)


def test_killed_after_the_picture(world: World) -> None:
    """All processes of the API are killed at the moment the picture has come: the entry is there."""
    server = world.server
    assert server.process is not None
    path = world.frame.replace("frames/1", "rendered")
    with client_of(server, "admin") as viewer:
        viewer.headers["X-Forwarded-For"] = "10.20.30.40"  # whom the trail has not heard of within the minute
        answer = viewer.get(path)
        api = [p for p in psutil.Process(server.process.pid).children() if "viewer_api" in arguments(p)]
        for process in [q for p in api for q in (p, *p.children())]:
            os.kill(process.pid, signal.SIGKILL)
    assert answer.status_code == 200
    eventually(lambda: server._ready(), 30, "the API is back")
    server.client.close()
    server._client = None
    assert eventually(
        lambda: [e for e in entries(server, study_uid=world.study.uid, action="view")
                 if e["address"] == "10.20.30.40"], 20, "what was shown is told",
    )  # fmt: skip


def test_the_command_line(world: World, tmp_path: Path) -> None:
    server = world.server
    assert "The chain is whole." in server.run("audit", "verify").stdout
    listed = server.run("audit", "list", "--patient", CANARY_ID, "--facility", "LOCAL").stdout
    assert "view" in listed
    server.run("audit", "export", str(tmp_path / "trail.jsonl"))
    lines = [json.loads(line) for line in (tmp_path / "trail.jsonl").read_text().splitlines()]
    assert [line["position"] for line in lines] == list(range(len(lines), 0, -1))
    assert CANARY.partition("^")[0] not in (tmp_path / "trail.jsonl").read_text()
    server.run("audit", "export", str(tmp_path / "events.jsonl"), "--form", "fhir", "--who", "admin")
    assert '"resourceType": "AuditEvent"' in (tmp_path / "events.jsonl").read_text()
    assert server.run("audit", "export", str(tmp_path / "trail.jsonl"), check=False).returncode == 1


def test_check_finds_what_was_changed(world: World, archive: Archive) -> None:
    server = world.server
    with archive.database.begin() as connection:
        row = connection.execute(text("SELECT position, who FROM audit WHERE action = 'view' LIMIT 1")).one()
        connection.execute(text("ALTER TABLE audit DISABLE TRIGGER ALL"))
        change = text("UPDATE audit SET who = :who WHERE position = :position")
        connection.execute(change, {"who": "somebody else", "position": row.position})
    done = server.run("check", check=False)
    assert done.returncode == 1
    assert f"audit: entry {row.position} is not as it was written" in done.stderr
    assert f"entry {row.position} is not" in server.run("audit", "verify", check=False).stderr
    found = server.get("/api/audit/state")
    assert (found["sound"], len(found["findings"])) == (False, 1)
    with archive.database.begin() as connection:
        connection.execute(change, {"who": row.who, "position": row.position})
        connection.execute(text("ALTER TABLE audit ENABLE TRIGGER ALL"))
    found = server.get("/api/audit/state")
    assert (found["sound"], found["first"]) == (True, 1)
    eventually(lambda: server.get("/api/audit/state")["anchored"] >= row.position, 20, "it is anchored")
