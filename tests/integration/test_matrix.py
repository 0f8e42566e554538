"""Every door × every kind of study: what may be seen is seen, all else answers byte for byte as what does not exist.

The doors are not listed by hand: they are the routes of the application's own OpenAPI document that take a study, the
searches with a study's UID, and the services of the DICOM node.
"""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt

from storage.standings import REMEMBERED_SECONDS
from tests.support.hospitals import (
    LINKED,
    NONE,
    OWNER,
    SEEN,
    SEEN_BY_LINK,
    Held,
    Region,
    filled_region,
    link_holder,
    new_link,
)
from tests.support.server import PASSWORD, Server, eventually

TURNS, TRIES = 60, 3
GONE = {"date", "server"}  # headers that may differ
FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{n}" for n in (1, 2, 3))
CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture(scope="module")
def region(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Region]:
    server = Server(workspace / "matrix").start()
    made = Region(server)
    try:
        filled_region(made, tmp_path_factory.mktemp("matrix"))
        yield made
    finally:
        for client in made.clients.values():
            client.close()
        server.remove()


def doors(server: Server) -> list[tuple[str, str]]:
    """Method and path of all routes that take a study and change nothing, and searches by its UID."""
    paths = server.get("/api/openapi.json")["paths"]
    routes = [
        ("GET", path) for path, item in sorted(paths.items()) if "get" in item and "{study_uid}" in path
    ]
    assert len(routes) > 18, routes
    searches = [
        f"/dicom-web/{level}?StudyInstanceUID={{study_uid}}" for level in ("studies", "series", "instances")
    ]
    searches += ["/dicom-web/studies?total=true&StudyInstanceUID={study_uid}",
                 "/dicom-web/instances?SOPInstanceUID={sop_instance}", "/dicom-web/studies?PatientID={patient}",
                 "/api/studies?patient_id={patient}"]  # fmt: skip
    uri = "/wado?requestType=WADO&studyUID={study_uid}&seriesUID={series_uid}&objectUID={sop_instance}"
    searches += [uri, uri + "&contentType=application/dicom"]
    return routes + [("GET", path) for path in searches]


def filled(path: str, of: Held) -> str:
    known = {"study_uid": of.study, "series_uid": of.series, "sop_instance": of.sop, "frames": "1", "path": "7FE00010",
             "patient": of.patient or "NOBODY"}  # fmt: skip
    return re.sub(r"{(\w+)(:\w+)?}", lambda m: known[m.group(1)], path)


def asked(
    client: httpx.Client, method: str, path: str, of: Held, **more: str
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body; what the address itself says is taken out."""
    return said(client.request(method, filled(path, of), headers={"Accept": "*/*"} | more), of)


def said(answer: httpx.Response, of: Held) -> tuple[int, dict[str, str], bytes]:
    body = answer.content
    for uid in (of.study, of.series, of.sop, of.patient):
        if uid:
            body = body.replace(uid.encode(), b"?")
    headers = {k: v for k, v in answer.headers.items() if k not in GONE and k != "content-location"}
    return answer.status_code, headers, body


@pytest.mark.parametrize("role", [*SEEN, *LINKED])
def test_each_door_for_each_study(region: Region, role: str) -> None:
    seen = (SEEN | SEEN_BY_LINK)[role]
    counts: Counter[str] = Counter()
    client = region.clients[role]
    for method, path in doors(region.server):
        nothing = asked(client, method, path, region.studies[NONE])
        for case in OWNER:
            answer = asked(client, method, path, region.studies[case])
            if case in seen:
                assert answer != nothing, f"{role} {path} {case}: {answer[:2]}"
                assert answer[0] in (200, 206), f"{role} {path} {case}: {answer[0]} {answer[2][:200]!r}"
                counts["seen"] += 1
            else:
                assert answer == nothing, f"{role} {path} {case}: {answer[0]} {answer[2][:200]!r}"
                counts["as if it were not there"] += 1
    print(f"\n{role}: {sum(counts.values())} answers, {dict(counts)}")


def test_forged_and_missing_tokens(region: Region) -> None:
    """The same for a study that is there and one that is not, at each door."""
    good = region.clients["clinician"].headers["authorization"]
    head, body, _ = good.split(".")
    forged = {"Authorization": f"{head}.{body}.AAAA"}
    count = 0
    for headers in ({}, forged):
        with httpx.Client(base_url=region.server.url, headers=headers, timeout=30) as client:
            for method, path in doors(region.server):
                answers = [
                    asked(client, method, path, region.studies[case]) for case in ("own", "shared", NONE)
                ]
                assert answers[0][0] == 401, path
                assert answers[0] == answers[1] == answers[2], path
                count += len(answers)
    print(f"\nforged or missing: {count} answers")


def test_links_that_are_over_or_forged(region: Region) -> None:
    """They open nothing, and none tells which of these it is: the answers are the same, and so are the doors'."""
    revoked, code = new_link(region, "own"), new_link(region, "own", with_code=True)
    holder = link_holder(region, "own")
    assert region.clients["adminA"].delete(f"/api/share-links/{revoked['id']}").status_code == 204
    of_holder = region.clients["adminA"].get("/api/share-links").json()["rows"][0]["id"]
    assert region.clients["adminA"].delete(f"/api/share-links/{of_holder}").status_code == 204
    secrets = {made["url"].partition("#link=")[2].partition("&")[0]: "" for made in (revoked, code)} | {
        "x" * 43: ""
    }
    answers = [
        httpx.post(f"{region.server.url}/api/auth/link", json={"secret": secret, "code": given})
        for secret, given in secrets.items()
    ]
    assert {a.status_code for a in answers} == {401}
    assert len({a.content for a in answers}) == 1
    count = len(answers)
    with holder:
        for method, path in doors(region.server):
            answers_of = [
                asked(holder, method, path, region.studies[case]) for case in ("own", "foreign", NONE)
            ]
            assert answers_of[0] == answers_of[1] == answers_of[2], path
            assert answers_of[0][0] in (200, 204, 400, 401, 404), path
            count += len(answers_of)
        eventually(lambda: holder.get("/api/studies").status_code == 401, 15, "the session is over")
    print(f"\nlinks that are over: {count} answers")


def test_who_holds_a_link_asks_for_nothing_else(region: Region) -> None:
    """Each route that is none of its doors refuses it, whatever is asked for, by its scope."""
    paths, count = region.server.get("/api/openapi.json")["paths"], 0
    ours = re.compile(
        r"/(dicom-web|wado)(/.*)?|/api/(studies|shared)(/.*)?|/api/auth/.*|/IHEInvokeImageDisplay|/fhir/metadata"
    )
    for path, item in sorted(paths.items()):
        for method in item.keys() & {"get", "post", "put", "patch", "delete"}:
            if (method == "get" and ours.fullmatch(path)) or path.startswith(("/api/auth/", "/IHEInvoke")):
                continue
            answer = region.clients["link to own"].request(method.upper(), re.sub(r"{[^}]+}", "1", path))
            assert answer.status_code == 403, f"{method} {path}: {answer.status_code}"
            count += 1
    assert count > 60
    print(f"\nother routes: {count} answers")


def test_conditions_and_ranges_tell_nothing(region: Region) -> None:
    """Whoever guesses that something is there, and unchanged, learns nothing."""
    client, count = region.clients["clinician"], 0
    for more in ({"If-None-Match": "*"}, {"Range": "bytes=0-3"}):
        for method, path in doors(region.server):
            nothing = asked(client, method, path, region.studies[NONE], **more)
            for case in ("foreign", "embargoed", "revoked"):
                assert asked(client, method, path, region.studies[case], **more) == nothing, f"{path} {case}"
                count += 1
    print(f"\nconditions and ranges: {count} answers")


@pytest.mark.parametrize("path", [
    "/api/studies/{study_uid}", "/dicom-web/studies/{study_uid}/metadata",
    "/dicom-web/studies/{study_uid}/series/{series_uid}/instances/{sop_instance}/frames/1",
    "/dicom-web/studies?StudyInstanceUID={study_uid}",
])  # fmt: skip
def test_time_tells_nothing(region: Region, path: str) -> None:
    """Asked in turns, what is hidden takes as long as what is not there: within 2 % when measured alone (the tenth
    percentile of 200), within a fifth beside whatever else runs here."""
    cases = ("foreign", "objected", "embargoed", "sensitive", NONE)
    for _ in range(TRIES):  # what it tells it tells each time; what else runs here is elsewhere then
        tenth = tenth_percentiles(region, path, cases)
        if all(0.8 < tenth[case] / tenth[NONE] < 1.25 for case in cases):
            return
    pytest.fail(f"{TRIES} times: {tenth}")


def tenth_percentiles(region: Region, path: str, cases: tuple[str, ...]) -> dict[str, float]:
    """Of the seconds that answers take."""
    client, taken = region.clients["clinician"], defaultdict[str, list[float]](list)
    for turn in range(TURNS):
        for case in cases[turn % len(cases) :] + cases[: turn % len(cases)]:
            start = time.perf_counter()
            client.get(filled(path, region.studies[case]))
            taken[case].append(time.perf_counter() - start)
    return {case: sorted(times)[TURNS // 10] for case, times in taken.items()}


def bodies(server: Server) -> list[tuple[str, dict[str, Any]]]:
    """All that takes a study in the body of a POST, with what else it needs."""
    known = {"until": (datetime.now(UTC) + timedelta(hours=1)).isoformat(), "remote": "pacsa", "code": "113001",
             "reason": "polytrauma, unconscious", "kind": "embargo", "to_facility": "OPEN"}  # fmt: skip
    document, found = server.get("/api/openapi.json"), []
    named = {"study_uid", "studies"}
    for path, item in sorted(document["paths"].items()):
        content = item.get("post", {}).get("requestBody", {}).get("content", {})
        reference = content.get("application/json", {}).get("schema", {}).get("$ref", "")
        schema = document["components"]["schemas"].get(reference.rsplit("/", 1)[-1], {})
        fields = schema.get("properties", {})
        if named & fields.keys() and path != "/api/worklist":  # which is of studies to come
            kind = {"kind": "referral"} if path == "/api/grants" else {}
            found.append((path, {name: v for name, v in (known | kind).items() if name in fields}))
    assert len(found) >= 6, found
    return found


def test_what_takes_a_study_in_its_body(region: Region) -> None:
    """To send, reject, share, restrict or open what may not be seen answers as if it were not there."""
    count = 0
    for path, body in bodies(region.server):
        for who in (
            "adminA",
            "technologist",
            "auditor",
            *(["clinician"] if path != "/api/break-glass" else []),
        ):
            answers = {}
            for case in ("foreign", "embargoed", "sensitive", "revoked", "expired", NONE):
                of = region.studies[case]
                named = {"studies": [of.study]} if path == "/api/share-links" else {"study_uid": of.study}
                answers[case] = said(region.clients[who].post(path, json=body | named), of)
                count += 1
            assert answers[NONE][0] in (403, 404), f"{who} {path}: {answers[NONE]}"
            assert all(a == answers[NONE] for a in answers.values()), f"{who} {path}: {answers}"
    print(f"\nbodies: {count} answers")


def test_lists_and_counts_hold_what_is_seen_alone(region: Region) -> None:
    for role, seen in (SEEN | SEEN_BY_LINK).items():
        listed = region.clients[role].get("/api/studies", params={"limit": 200}).json()["studies"]
        assert {s["study_uid"] for s in listed} == {region.studies[case].study for case in seen}, role
        answer = region.clients[role].get("/dicom-web/studies", params={"total": "true", "limit": "1"})
        assert int(answer.headers.get("x-total-count", "0")) == len(seen), role


def test_a_purpose_that_is_no_care_opens_nothing(region: Region) -> None:
    client = region.clients["clinician"]
    for purpose, status in (("quality", 0), ("audit", 0), ("emergency", 4), ("referral", 4)):
        found = client.get("/api/studies", headers={"X-Purpose-Of-Use": purpose}).json()["studies"]
        assert len(found) == status, purpose
    assert client.get("/api/studies", headers={"X-Purpose-Of-Use": "curiosity"}).status_code == 400


def test_services_of_the_node(region: Region) -> None:
    """A device sees what is its facility's, and of all else not whether it is there."""
    count = 0
    ae = AE("PACSA")
    for syntax in (FIND, MOVE, GET):
        ae.add_requested_context(syntax)
    ae.add_requested_context(CT)
    received: list[str] = []

    def take(event: Any) -> int:
        received.append(event.dataset.StudyInstanceUID)
        return 0

    association = ae.associate(
        "127.0.0.1", region.server.dicom_port, ae_title="TONGYING",
        ext_neg=[build_role(CT, scp_role=True)], evt_handlers=[(evt.EVT_C_STORE, take)],
    )  # fmt: skip
    assert association.is_established
    try:
        for case in (*OWNER, NONE):
            study = region.studies[case].study
            identifier = Dataset()
            identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "STUDY", study
            found = [s.Status for s, _ in association.send_c_find(identifier, FIND)]
            got = [_told(s) for s, _ in association.send_c_get(identifier, GET)]
            if case == "none":
                moved = [_told(s) for s, _ in association.send_c_move(identifier, "PACSA", MOVE)]
                nothing = (found, got, moved)
            count += 2
            if OWNER.get(case) == "A":
                assert found == [0xFF00, 0], case
                assert got[-1][:2] == (0, 1), (case, got)
            else:
                assert (found, got) == ([0], [(0, 0, 0, 0)]), (case, found, got)
                moved = [_told(s) for s, _ in association.send_c_move(identifier, "PACSA", MOVE)]
                assert moved == [(0, 0, 0, 0)], (case, moved)
                count += 1
        assert nothing == ([0], [(0, 0, 0, 0)], [(0, 0, 0, 0)])
    finally:
        association.release()
    assert set(received) == {region.studies[case].study for case in ("own", "own embargoed")}
    print(f"\nnode: {count} answers")


def _told(status: Dataset) -> tuple[int, ...]:
    names = ("NumberOfCompletedSuboperations", "NumberOfFailedSuboperations", "NumberOfWarningSuboperations")
    return (status.Status, *(int(getattr(status, name, 0) or 0) for name in names))


def test_a_grant_that_is_revoked_is_closed_within_seconds(region: Region) -> None:
    study, client = region.studies["foreign"].study, region.clients["radiologist"]
    path = f"/dicom-web/studies/{study}/metadata"
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    given = {"study_uid": study, "kind": "consultation", "until": until, "to_facility": "A"}
    assert client.get(path).status_code == 404
    key = region.clients["adminCLOSED"].post("/api/grants", json=given).json()["id"]
    eventually(lambda: client.get(path).status_code == 200, 2 * REMEMBERED_SECONDS + 1)
    assert region.clients["adminCLOSED"].delete(f"/api/grants/{key}").status_code == 204
    eventually(lambda: client.get(path).status_code == 404, 2 * REMEMBERED_SECONDS + 1)


def test_emergencies_are_told_to_the_owner(region: Region) -> None:
    rows = region.clients["adminCLOSED"].get("/api/break-glass").json()["rows"]
    assert [(r["kind"], r["made_by"], r["reason"]) for r in rows] == [
        ("emergency", "clinician", "polytrauma, unconscious")
    ]
    assert region.clients["adminOPEN"].get("/api/break-glass").json()["rows"] == [], "it is not theirs"
    assert region.clients["clinician"].get("/api/break-glass").json()["rows"] == []
    note = f"/api/break-glass/{rows[0]['id']}/note"
    assert region.clients["adminOPEN"].post(note).status_code == 404
    assert [region.clients["adminCLOSED"].post(note).status_code for _ in range(2)] == [204, 409]


@pytest.mark.parametrize(
    ("who", "body", "status"),
    [
        ("clinician", {"reason": "short"}, 400),
        ("technologist", {"reason": "polytrauma, unconscious"}, 403),
        ("adminA", {"reason": "polytrauma, unconscious"}, 403),
        ("clinician", {"reason": "polytrauma, unconscious", "role": "administrator"}, 400),
    ],
)
def test_who_may_not_break_the_glass(region: Region, who: str, body: dict[str, str], status: int) -> None:
    asked_for = {"study_uid": region.studies["foreign"].study} | body
    assert region.clients[who].post("/api/break-glass", json=asked_for).status_code == status


def test_breaking_the_glass_tells_nothing_of_what_stays_closed(region: Region) -> None:
    answers = [
        region.clients["clinician"].post(
            "/api/break-glass",
            json={"study_uid": region.studies[case].study, "reason": "polytrauma, unconscious"},
        )
        for case in ("embargoed", NONE)
    ]
    assert [a.status_code for a in answers] == [404, 404]
    assert answers[0].content == answers[1].content


def test_only_owners_share_and_restrict(region: Region) -> None:
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    given = {
        "study_uid": region.studies["shared"].study,
        "kind": "referral",
        "until": until,
        "to_facility": "CLOSED",
    }
    said = {"study_uid": region.studies["shared"].study, "kind": "sensitive"}
    for who in ("clinician", "adminA"):
        assert region.clients[who].post("/api/grants", json=given).status_code == 404, "no study of A"
        assert region.clients[who].post("/api/grants", json=given | {"facility": "OPEN"}).status_code == 403
    assert region.clients["adminA"].post("/api/restrictions", json=said).status_code == 404
    assert (
        region.clients["adminA"].post("/api/restrictions", json=said | {"facility": "OPEN"}).status_code
        == 404
    )
    assert region.clients["clinician"].post("/api/restrictions", json=said).status_code == 403
    assert (
        region.clients["adminA"].put("/api/facilities/OPEN/sharing", json={"scope": "none"}).status_code
        == 404
    )


def test_nobody_raises_oneself(region: Region) -> None:
    """Facility administrators rule their own facility, and nobody changes what they are (mass assignment)."""
    admin, new = region.clients["adminA"], {"name": "n1", "password": PASSWORD, "role": "clinician"}
    attempts = [
        admin.patch("/api/users/adminA", json={"facility": None}),
        admin.patch("/api/users/adminA", json={"role": "auditor"}),
        admin.post("/api/users", json=new),
        admin.post("/api/users", json=new | {"facility": None, "role": "administrator"}),
        admin.patch("/api/users/clinician", json={"facility": None}),
        region.clients["clinician"].patch("/api/users/clinician", json={"role": "administrator"}),
        region.clients["clinician"].post("/api/users", json=new | {"facility": "A"}),
    ]
    assert [a.status_code for a in attempts] == [403] * len(attempts)
    hidden = [
        admin.post("/api/users", json=new | {"facility": "OPEN"}),
        admin.patch("/api/users/adminOPEN", json={"active": False}),
        admin.patch("/api/users/admin", json={"active": False}),
        admin.patch("/api/users/clinician", json={"facility": "OPEN"}),
    ]
    assert [a.status_code for a in hidden] == [404] * len(hidden)
    for more in ({"is_admin": True}, {"id": 1}, {"password_hash": "x"}, {"role": "device"}, {"role": "link"}):
        assert admin.post("/api/users", json=new | {"facility": "A"} | more).status_code == 400
    names = {u["name"] for u in admin.get("/api/users").json()["users"]}
    assert names == {"adminA", "another", *SEEN}
