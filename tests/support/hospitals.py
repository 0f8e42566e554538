"""A region of three hospitals with a study of every kind: own, shared, kept, granted, opened in an emergency, taken
back; who works there, and who holds a share link. Who may see what of it stands in `SEEN`."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from pydicom import dcmread
from pydicom.uid import generate_uid

from storage.standings import REMEMBERED_SECONDS
from tests.support.ps318 import store
from tests.support.server import Server, eventually
from tests.support.signing import bearer, client_of, staff
from tests.support.studies import ct_study

OWNER = {"own": "A", "shared": "OPEN", "objected": "OPEN", "embargoed": "OPEN", "sensitive": "OPEN", "modality": "OPEN",
         "foreign": "CLOSED", "granted": "CLOSED", "expired": "CLOSED", "revoked": "CLOSED", "glass": "CLOSED",
         "other user": "CLOSED", "own embargoed": "A"}  # fmt: skip
SEEN = {
    "clinician": {"own", "shared", "granted", "glass"},
    "radiologist": {"own", "own embargoed", "shared", "granted"},
    "technologist": {"own", "own embargoed"},
    "auditor": set(),
}  # fmt: skip
# Share links by the study that they name, of what is embargoed too, and what their holders see.
LINKED = {"link to own": "own", "link to objected": "objected", "link to embargoed": "own embargoed"}
SEEN_BY_LINK: dict[str, set[str]] = {
    "link to own": {"own"},
    "link to objected": {"objected"},
    "link to embargoed": set(),
}
NONE = "none"


@dataclass
class Held:
    """A study: its UIDs, and whose it is."""

    study: str
    series: str
    sop: str
    patient: str = ""


@dataclass
class Region:
    """A server with three hospitals, and who works there."""

    server: Server
    studies: dict[str, Held] = field(default_factory=dict)
    clients: dict[str, httpx.Client] = field(default_factory=dict)


def staffed(server: Server) -> None:
    admin = server.client
    for code in ("A", "OPEN", "CLOSED"):
        admin.post("/api/facilities", json={"code": code}).raise_for_status()
        staff(server, f"admin{code}", code)
    for role in SEEN:
        staff(server, role, "A", role)
    staff(server, "another", "A", "clinician")
    server.run("facility", "share", "OPEN", "region", "--modality", "CT")
    policy = {"scope": "region", "modalities": ["CT"], "sensitive_body_parts": []}
    assert admin.get("/api/facilities/OPEN/sharing").json() == policy
    server.run("device", "add", "PACSA", "127.0.0.1", "--facility", "A")
    server.run("remote", "add", "pacsa", "PACSA", "127.0.0.1", "1", "--facility", "A")


def filled_region(made: Region, folder: Path) -> None:
    server = made.server
    staffed(server)
    for name in ("adminA", "adminOPEN", "adminCLOSED", "another", *SEEN):
        made.clients[name] = client_of(server, name)
    for case, code in OWNER.items():
        made.studies[case] = stored(
            made, folder / case.replace(" ", "-"), code, "MR" if case == "modality" else ""
        )
    server.wait_indexed(len(OWNER))
    eventually(lambda: all(s["thumbnail"] for s in server.get("/api/studies")["studies"]))
    closed(made)
    for name, case in LINKED.items():
        made.clients[name] = link_holder(made, case)
    made.studies[NONE] = Held(generate_uid(), generate_uid(), generate_uid())
    time.sleep(2 * REMEMBERED_SECONDS + 0.5)  # a grant expires, and what is remembered is forgotten


def stored(region: Region, folder: Path, code: str, modality: str) -> Held:
    """A study of a facility, sent by its administrator."""
    dataset = dcmread(ct_study(folder, slices=1).files[0])
    if modality:
        dataset.Modality = modality
    answer = store(region.server, [dataset], client=region.clients[f"admin{code}"])
    assert answer.status_code == 200, answer.text
    return Held(
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID, dataset.PatientID
    )


def closed(region: Region) -> None:
    """Grants, restrictions and a broken glass, each by the API."""
    at, studies, now = region.clients, region.studies, datetime.now(UTC)
    soon, later = (now + timedelta(seconds=2)).isoformat(), (now + timedelta(days=1)).isoformat()
    for case, kind, who in (
        ("objected", "objection", "adminOPEN"), ("embargoed", "embargo", "adminOPEN"),
        ("sensitive", "sensitive", "adminOPEN"), ("own embargoed", "embargo", "adminA"),
    ):  # fmt: skip
        said = {"study_uid": studies[case].study, "kind": kind, "until": later if kind == "embargo" else None}
        at[who].post("/api/restrictions", json=said).raise_for_status()
    for case, until, to in (
        ("granted", later, {"to_facility": "A"}), ("expired", soon, {"to_facility": "A"}),
        ("revoked", later, {"to_user": "clinician"}), ("other user", later, {"to_user": "another"}),
    ):  # fmt: skip
        given = {"study_uid": studies[case].study, "kind": "referral", "until": until, **to}
        key = at["adminCLOSED"].post("/api/grants", json=given).raise_for_status().json()["id"]
        if case == "revoked":
            assert region.clients["adminCLOSED"].delete(f"/api/grants/{key}").status_code == 204
    words = {"study_uid": studies["glass"].study, "reason": "polytrauma, unconscious"}
    opened = at["clinician"].post("/api/break-glass", json=words)
    assert (opened.status_code, opened.json()["studies"]) == (201, [studies["glass"].study])


def new_link(region: Region, case: str, **more: Any) -> dict[str, Any]:
    """A share link without a code, by the administrator of the owner."""
    body = {"studies": [region.studies[case].study], "with_code": False} | more
    answer = region.clients[f"admin{OWNER[case]}"].post("/api/share-links", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def link_holder(region: Region, case: str) -> httpx.Client:
    secret = new_link(region, case)["url"].partition("#link=")[2]
    token = (
        httpx.post(f"{region.server.url}/api/auth/link", json={"secret": secret}).raise_for_status().json()
    )
    return httpx.Client(base_url=region.server.url, headers=bearer(token), timeout=60)
