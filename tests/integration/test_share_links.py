"""Share links by the API: made and shown once, exchanged, guessed at, taken back, and told to the audit trail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from tests.support.ps318 import store
from tests.support.server import Server, eventually
from tests.support.signing import bearer, client_of, staff
from tests.support.studies import ct_study, mr_study
from tests.support.watch import whole

SECONDS = 15


class Hospital:
    """A server with the hospitals A and B, who works there, and studies of two patients of A."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        for code in ("A", "B"):
            facility = {"code": code, "name": f"{code}医院", "name_en": f"{code} Hospital"}
            server.client.post("/api/facilities", json=facility).raise_for_status()
            staff(server, f"admin{code}", code)
        for name, role in (("doctor", "clinician"), ("other", "clinician"), ("tech", "technologist")):
            staff(server, name, "A", role)
        self.at = {n: client_of(server, n) for n in ("adminA", "adminB", "doctor", "other", "tech")}
        self.ct, self.mr = (
            self._stored(make(folder / name, slices=1, patient_id="P1").files[0])
            for name, make in (("ct", ct_study), ("mr", mr_study))
        )
        self.stranger = self._stored(ct_study(folder / "other", slices=1, patient_id="P2").files[0])
        server.wait_indexed(3)

    def _stored(self, path: Path) -> str:
        dataset = dcmread(path)
        ours = self.server
        ours._client, kept = self.at["adminA"], ours.client
        try:
            assert store(ours, [dataset]).status_code == 200
        finally:
            ours._client = kept
        return str(dataset.StudyInstanceUID)

    def link(self, who: str = "doctor", **more: Any) -> dict[str, Any]:
        answer = self.at[who].post("/api/share-links", json={"studies": [self.ct, self.mr]} | more)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def opened(self, secret: str, code: str = "") -> httpx.Response:
        return httpx.post(
            f"{self.server.url}/api/auth/link", json={"secret": secret, "code": code}, timeout=30
        )

    def holder(self, made: dict[str, Any]) -> httpx.Client:
        token = self.opened(secret_of(made), made["code"] or "").raise_for_status().json()
        return httpx.Client(base_url=self.server.url, headers=bearer(token), timeout=30)

    def trail(self, **search: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.server.get("/api/audit", **search)["entries"]
        return found


def secret_of(made: dict[str, Any]) -> str:
    return str(made["url"]).partition("#link=")[2].partition("&")[0]


@pytest.fixture(scope="module")
def hospital(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    server = Server(workspace / "links", extra={"TONGYING_LOCKOUT_FAILURES": "5"}).start()
    made = Hospital(server, tmp_path_factory.mktemp("links"))
    yield made
    whole(server)
    for client in made.at.values():
        client.close()
    server.remove()


def test_a_link_opens_its_studies_and_nothing_else(hospital: Hospital) -> None:
    made = hospital.link()
    assert made["url"].startswith(f"{hospital.server.url}/shared#link=")
    assert made["url"].endswith("&code=1")
    assert len(made["code"]) == 6
    assert made["qr"].startswith("<?xml")
    with hospital.holder(made) as holder:
        listed = {s["study_uid"] for s in holder.get("/api/studies").json()["studies"]}
        assert listed == {hospital.ct, hospital.mr}
        assert holder.get(f"/api/studies/{hospital.ct}").status_code == 200
        assert holder.get(f"/dicom-web/studies/{hospital.ct}").status_code == 200
        assert holder.get(f"/api/studies/{hospital.stranger}").status_code == 404
        shared = holder.get("/api/shared").json()
        assert (shared["facility"]["name_en"], set(shared["studies"])) == ("A Hospital", listed)
        assert shared["until"] == made["until"]
        for path in ("/api/me", "/api/share-links", "/api/persons", "/api/audit", "/fhir/AuditEvent"):
            assert holder.get(path).status_code == 403, path
        again = {"studies": [hospital.ct], "days": 90}
        assert holder.post("/api/share-links", json=again).status_code == 403
        assert holder.post("/dicom-web/studies", content=b"").status_code == 403


def test_the_secret_is_kept_and_told_nowhere(hospital: Hospital) -> None:
    made = hospital.link()
    with hospital.holder(made) as holder:
        assert holder.get("/api/shared").status_code == 200
    rows = hospital.at["doctor"].get("/api/share-links").json()["rows"]
    secret = secret_of(made)
    assert len(secret) == 43, "32 bytes"
    assert secret not in str(rows)
    assert made["code"] not in str(rows)
    assert secret not in hospital.server.log.read_text()
    assert secret not in str(eventually(lambda: hospital.trail(limit=50), SECONDS))
    journals = hospital.server.data / "audit"
    assert not any(secret.encode() in file.read_bytes() for file in journals.rglob("*") if file.is_file())


def test_each_step_is_told(hospital: Hospital) -> None:
    made = hospital.link(studies=[hospital.ct])
    assert hospital.opened(secret_of(made), "no").status_code == 401
    with hospital.holder(made) as holder:
        holder.get(f"/api/studies/{hospital.ct}").raise_for_status()
    name, address = f"link {made['id']}", f"/api/share-links/{made['id']}"
    assert hospital.at["doctor"].delete(address).status_code == 204
    # Each process of the API tells the trail by itself: what two of them tell comes in either order.
    eventually(lambda: len(hospital.trail(who=name)) == 2, SECONDS)
    told = hospital.trail(who=name)
    assert {(e["action"], e["role"]) for e in told} == {("view", "link"), ("sign-in", "link")}

    def of_doctor() -> list[dict[str, Any]]:
        told = hospital.trail(who="doctor", limit=10)
        return [e for e in told if name in e["asked"] or e["asked"].startswith(f"DELETE {address}")]

    eventually(lambda: {e["action"] for e in of_doctor()} == {"change", "grant"}, SECONDS)
    by_doctor = of_doctor()
    assert all(e["studies"] == [hospital.ct] for e in by_doctor)
    assert all(s["patient_id"] == "P1" for e in by_doctor for s in e["subjects"] if s["patient_id"])
    assert any(name in e["asked"] for e in by_doctor if e["action"] == "grant")
    assert hospital.trail(action="sign-in", outcome="refused", limit=5)[0]["asked"].startswith(
        "POST /api/auth/link"
    )


def test_who_makes_links_of_what(hospital: Hospital) -> None:
    ct, mr, stranger = ({"studies": [uid]} for uid in (hospital.ct, hospital.mr, hospital.stranger))
    asked = [
        ("tech", ct, 403), ("adminB", ct, 404), ("adminB", ct | {"facility": "A"}, 403),
        ("doctor", ct | {"days": 91}, 400),
        ("doctor", ct | {"days": 0}, 400), ("doctor", {"studies": []}, 400), ("doctor", {"studies": ["x"]}, 400),
        ("doctor", {"studies": [generate_uid()]}, 404), ("doctor", {"studies": [hospital.ct, generate_uid()]}, 404),
        ("doctor", {"studies": [hospital.ct, hospital.stranger]}, 409), ("doctor", ct | {"role": "administrator"}, 400),
        ("doctor", mr | {"days": 90}, 201), ("adminA", stranger, 201),
    ]  # fmt: skip
    for who, body, status in asked:
        answer = hospital.at[who].post("/api/share-links", json=body)
        assert answer.status_code == status, (who, body, answer.text)
    operator = hospital.server.client.post("/api/share-links", json=ct)
    assert operator.status_code == 403, "which facility?"
    assert hospital.server.client.post("/api/share-links", json=ct | {"facility": "A"}).status_code == 201


def test_links_are_listed_and_taken_back_by_their_owners(hospital: Hospital) -> None:
    made = hospital.link(studies=[hospital.mr])
    with hospital.holder(made) as holder:
        rows = {who: hospital.at[who].get("/api/share-links", params={"study_uid": hospital.mr}).json()["rows"]
                for who in ("doctor", "adminA", "other", "adminB", "tech")}  # fmt: skip
        assert [len(rows[who]) for who in ("other", "adminB", "tech")] == [0, 0, 0]
        assert rows["doctor"][0] == rows["adminA"][0]
        mine = rows["doctor"][0]
        assert (mine["id"], mine["patient_id"], mine["made_by"], mine["with_code"]) == (
            made["id"],
            "P1",
            "doctor",
            True,
        )
        assert mine["opened_at"] is not None
        for who in ("other", "adminB", "tech"):
            assert hospital.at[who].delete(f"/api/share-links/{made['id']}").status_code == 404
        path = f"/api/studies/{hospital.mr}"
        assert holder.get(path).status_code == 200
        assert hospital.at["adminA"].delete(f"/api/share-links/{made['id']}").status_code == 204
        assert holder.get(path).status_code in (401, 404), "at once"
        eventually(lambda: holder.get("/api/shared").status_code == 401, 15, "the session is over")
    assert hospital.opened(secret_of(made), made["code"]).status_code == 401


def test_codes_are_not_guessed(hospital: Hospital) -> None:
    """Five wrong ones close a link for a while, also to the right one; another link, and its holder, go on."""
    made, other = hospital.link(), hospital.link()
    answers = [hospital.opened(secret_of(made), f"{n:06}") for n in range(5)]
    assert {a.status_code for a in answers} == {401}
    closed = hospital.opened(secret_of(made), made["code"])
    assert (closed.status_code, int(closed.headers["retry-after"]) > 20) == (429, True)
    unknown = [hospital.opened("y" * 43) for _ in range(6)]
    assert [a.status_code for a in unknown] == [401] * 5 + [429], "as if it were one"
    assert unknown[0].content == answers[0].content
    assert hospital.opened(secret_of(other), other["code"]).status_code == 200


BAD = [
    "{}",
    '{"secret": 1}',
    '{"secret": "' + "x" * 101 + '"}',
    '{"secret": "\\u0000", "code": "\\ud800"}',
    '{"s": ""}',
]


@pytest.mark.parametrize("body", BAD)
def test_bad_secrets(hospital: Hospital, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = httpx.post(f"{hospital.server.url}/api/auth/link", content=body, headers=headers)
    assert answer.status_code in (400, 401), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
