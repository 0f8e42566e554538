"""Who looked at a person's studies: by person, to whom it concerns, and through a share link without names."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from pydicom import dcmread

from pacs.identity.resident import check_character
from tests.support.ps318 import store
from tests.support.server import Server, eventually
from tests.support.signing import bearer, client_of, staff
from tests.support.studies import ct_study
from tests.support.watch import whole

FIRST17 = "33020319790715451"  # a district, a birth date, a number; nobody's
RESIDENT = FIRST17 + check_character(FIRST17)
SECONDS = 30
STAFF = {"adminA": "administrator", "auditorA": "auditor", "doctorA": "clinician"}


@pytest.fixture(scope="module")
def region(
    workspace: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, dict[str, str]]]:
    """One person at A and at B, somebody else at A; the studies by name."""
    server = Server(workspace / "looked").start()
    for code in ("A", "B"):
        server.client.post("/api/facilities", json={"code": code, "name": f"{code}医院"}).raise_for_status()
        for name, role in STAFF.items():
            staff(server, name[:-1] + code, code, role)
    staff(server, "auditor", None, "auditor")
    studies = {}
    for name, code, patient in (("a", "A", RESIDENT), ("b", "B", RESIDENT), ("other", "A", "P2")):
        dataset = dcmread(ct_study(tmp_path_factory.mktemp(name), slices=1, patient_id=patient).files[0])
        dataset.PatientBirthDate, dataset.PatientSex = "19790715", "M" if int(FIRST17[-1]) % 2 else "F"
        if name == "other":
            dataset.PatientName, dataset.PatientBirthDate = "Wu^Min", "19520103"
        ours = client_of(server, f"admin{code}")
        server._client, kept = ours, server.client
        try:
            assert store(server, [dataset]).status_code == 200
        finally:
            server._client = kept
            ours.close()
        studies[name] = str(dataset.StudyInstanceUID)
    server.wait_indexed(3)
    eventually(lambda: server.get("/api/persons")["persons"], SECONDS, "the two patients are one person")
    for name, who in (("a", "doctorA"), ("b", "doctorB"), ("other", "doctorA")):
        with client_of(server, who) as client:
            assert client.get(f"/api/studies/{studies[name]}").status_code == 200
    with client_of(server, "doctorA") as client:
        assert client.get(f"/api/studies/{studies['b']}").status_code == 404
    yield server, studies
    whole(server)
    server.remove()


def looked(server: Server, who: str, **asked: str) -> list[dict[str, str]]:
    with client_of(server, who) as client:
        answer = client.get("/api/audit/looked", params={"patient_id": RESIDENT} | asked)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, str]] = answer.json()["looks"]
    return [look for look in found if look["kind"] != "list"]


def test_a_person_is_told_of_all_hospitals(region: tuple[Server, dict[str, str]]) -> None:
    server, studies = region
    eventually(lambda: len(looked(server, "auditor", facility="A")) >= 2, SECONDS)
    for facility in ("A", "B"):
        found = looked(server, "auditor", facility=facility)
        assert {(one["who"], *one["studies"]) for one in found} == {
            ("doctorA", studies["a"]),
            ("doctorB", studies["b"]),
        }
        assert {one["role"] for one in found} == {"clinician"}
    assert all("who" not in one for one in looked(server, "auditor", facility="A", names="false"))


def test_a_hospital_is_told_of_its_own_patients_alone(region: tuple[Server, dict[str, str]]) -> None:
    server, studies = region
    for who in ("auditorA", "adminA"):
        assert [(one["who"], *one["studies"]) for one in looked(server, who)] == [("doctorA", studies["a"])]
        assert looked(server, who, facility="B") == []
        assert looked(server, who, patient_id="NOBODY") == []
    with client_of(server, "doctorA") as client:
        assert client.get("/api/audit/looked", params={"patient_id": RESIDENT}).status_code == 403
    with client_of(server, "auditor") as client:
        for asked in ({"patient_id": RESIDENT}, {"patient_id": "\0", "facility": "A"}, {"facility": "A"}):
            assert client.get("/api/audit/looked", params=asked).status_code == 400, asked


def test_it_is_handed_out_on_paper(region: tuple[Server, dict[str, str]]) -> None:
    server, _ = region
    asked = {"patient_id": RESIDENT, "language": "en", "days": "3"}
    with client_of(server, "auditorA") as client:
        page = client.get("/api/audit/looked", params=asked | {"form": "html"})
        rows = client.get("/api/audit/looked", params=asked | {"form": "csv"})
    assert page.headers["content-type"].startswith("text/html")
    assert "doctorA" in page.text
    assert "doctorA" in [row[5] for row in csv.reader(io.StringIO(rows.text))]
    told = server.run("audit", "who-looked", "--facility", "A", "--patient", RESIDENT, "--no-names").stdout
    assert "A医院" in told
    assert "临床医生" in told
    assert "doctorA" not in told
    assert "<table>" in server.run(
        "audit", "who-looked", "--facility", "A", "--patient", RESIDENT, "--form", "html"
    ).stdout  # fmt: skip


def test_a_patient_is_told_through_the_link(region: tuple[Server, dict[str, str]]) -> None:
    server, studies = region
    with client_of(server, "doctorA") as doctor:
        made = doctor.post("/api/share-links", json={"studies": [studies["a"]], "with_code": False}).json()
    secret = made["url"].partition("#link=")[2]
    token = httpx.post(f"{server.url}/api/auth/link", json={"secret": secret}).json()
    with httpx.Client(base_url=server.url, headers=bearer(token)) as holder:
        assert holder.get(f"/api/studies/{studies['a']}").status_code == 200

        def seen() -> set[tuple[str, str, str]]:
            looks = holder.get("/api/shared/looks").json()["looks"]
            assert all(one["studies"] == [studies["a"]] and "who" not in one for one in looks)
            return {(one["facility"], one["role"], one["kind"]) for one in looks}

        wanted = {("A", "clinician", "view"), ("A", "clinician", "grant"), ("", "link", "view")}
        eventually(lambda: wanted <= seen(), SECONDS)
        assert "doctor" not in holder.get("/api/shared/looks").text
    with client_of(server, "doctorA") as doctor:
        assert doctor.get("/api/shared/looks").status_code == 404


def test_commands_list_and_end_what_is_shared(region: tuple[Server, dict[str, str]]) -> None:
    server, studies = region
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    with client_of(server, "adminB") as admin:
        given = {"study_uid": studies["b"], "kind": "referral", "until": until, "to_facility": "A"}
        grant = admin.post("/api/grants", json=given).raise_for_status().json()["id"]
        said = {"patient_id": RESIDENT, "kind": "sensitive"}
        restriction = admin.post("/api/restrictions", json=said).raise_for_status().json()["id"]
        link = (
            admin.post("/api/share-links", json={"studies": [studies["b"]]}).raise_for_status().json()["id"]
        )
    with client_of(server, "doctorA") as doctor:
        words = {"study_uid": studies["b"], "reason": "polytrauma, unconscious"}
        assert doctor.post("/api/break-glass", json=words).status_code == 201
    for command, words_of in (
        ("grants", "referral"), ("restrictions", "sensitive"), ("emergencies", "polytrauma"), ("links", studies["b"]),
    ):  # fmt: skip
        assert words_of in server.run("sharing", command).stdout.replace("\n", ""), command
    for command, key in (("revoke", grant), ("lift", restriction), ("revoke-link", link)):
        assert "ended" in server.run("sharing", command, str(key)).stdout
        assert server.run("sharing", command, "4711", check=False).returncode == 1
    with client_of(server, "adminB") as admin:
        for path in ("/api/grants", "/api/restrictions", "/api/share-links"):
            row = admin.get(path).json()["rows"][0]
            assert row["ended_by"] == "command line", path
            assert datetime.fromisoformat(row["until"]) <= datetime.now(UTC)
