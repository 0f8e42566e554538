"""Who is who on a running server: linked by its worker, by messages over MLLP, reviewed and undone by API and command
line, and told to other systems by FHIR; each to whom it may be told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from pydicom import dcmread
from sqlalchemy import NullPool, create_engine, text

from pacs.identity.resident import check_character
from storage.embedded import DATABASE
from tests.integration.test_orders import connected
from tests.support.hl7 import adt
from tests.support.server import Server, eventually, free_port
from tests.support.signing import client_of, staff
from tests.support.studies import ct_study
from tests.support.watch import whole

Json = dict[str, Any]
FIRST = "33020319710409022"
NUMBER = FIRST + check_character(FIRST)
BORN = "19710409"
# facility, patient ID, name, birth date, sex
PATIENTS = (
    ("EAST", "E1", "逄^焱垚", BORN, "F"),
    ("WEST", "W1", "PANG^YANYAO", BORN, "F"),
    ("EAST", "E2", "无名氏", "19000101", "O"),
    ("WEST", "W2", "欧阳^淼", "19600708", "M"),
    ("EAST", "E3", "王^芳", "19880506", "F"),
    ("WEST", "W3", "李^大海", "19550505", "M"),
)


@pytest.fixture(scope="module")
def region(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two hospitals, and what they know of their patients."""
    port = free_port()
    server = Server(
        workspace / "region", extra={"TONGYING_HL7_PORT": str(port), "TONGYING_HL7_HOST": "127.0.0.1"}
    ).start()
    try:
        fill(server, tmp_path_factory.mktemp("region"), port)
        yield server
        whole(server)
    finally:
        server.remove()


def fill(server: Server, folder: Path, port: int) -> None:
    for facility in ("EAST", "WEST"):
        server.run("facility", "add", facility, facility)
    server.run("device", "add", "HIS_EAST", "127.0.0.1", "--facility", "EAST")
    for facility, patient_id, name, birth, sex in PATIENTS:
        files = folder / facility / patient_id
        study = ct_study(files, slices=1, name=name, patient_id=patient_id)
        dataset = dcmread(study.files[0])
        dataset.PatientBirthDate, dataset.PatientSex = birth, sex
        dataset.save_as(study.files[0])
        server.run("import", str(files), "--facility", facility)
    server.wait_indexed(len(PATIENTS))
    with eventually(lambda: connected(port), what="the listener answers") as sender:
        said = adt("A08", "E2", "欧阳^淼", "19600708", "M", phone="13900112233", sender="HIS_EAST")
        assert sender.send(said)["MSA"][1] == "AA"
        said = adt("A31", "E1", "逄^焱垚", BORN, "F", number=NUMBER, sender="HIS_EAST")
        assert sender.send(said)["MSA"][1] == "AA"


@pytest.fixture(scope="module")
def patients(region: Server) -> dict[str, int]:
    """Keys by patient ID, once the worker has linked them."""

    def two() -> Any:
        found = region.get("/api/persons")["persons"]
        return found if len(found) == 2 else None

    eventually(two, 30, "two persons")
    with engine(region).begin() as connection:
        return {
            row.patient_id: row.id for row in connection.execute(text("SELECT id, patient_id FROM patients"))
        }


@pytest.fixture(scope="module")
def of_east(region: Server, patients: dict[str, int]) -> Iterator[httpx.Client]:
    """The administrator of EAST."""
    staff(region, "east", "EAST")
    with client_of(region, "east") as client:
        yield client


def engine(server: Server) -> Any:
    url = f"postgresql+psycopg://postgres@/{DATABASE}?host={server.data / 'postgres'}"
    return create_engine(url, poolclass=NullPool)


def same(server: Server, patient: int) -> set[int]:
    return {p["id"] for p in server.get(f"/api/persons/patients/{patient}")["same"]}


def test_linked_by_the_worker(region: Server, patients: dict[str, int]) -> None:
    assert same(region, patients["E1"]) == {patients["W1"]}
    assert same(region, patients["E2"]) == {patients["W2"]}  # by what the hospital's system said
    assert same(region, patients["E3"]) == set()
    shown = region.get(f"/api/persons/patients/{patients['E2']}")["patient"]
    assert (shown["patient_name"], shown["said_name"], shown["phone"]) == ("无名氏", "欧阳^淼", "*******2233")
    path = f"/api/persons/patients/{patients['E1']}"  # its message came last, and it was linked before
    eventually(
        lambda: region.get(path)["patient"]["resident_number"].startswith("33***"), 30, "the number is known"
    )


def test_unlinked_and_undone(region: Server, patients: dict[str, int]) -> None:
    pk = patients["E1"]
    batch = region.client.delete(f"/api/persons/patients/{pk}/person").raise_for_status().json()["batch"]
    assert same(region, pk) == set()
    refused = region.get("/api/persons/reviews", state="refused")["reviews"]
    assert [{r["low"]["id"], r["high"]["id"]} for r in refused] == [{pk, patients["W1"]}]
    assert region.client.delete(f"/api/persons/patients/{pk}/person").status_code == 409
    assert region.client.post(f"/api/persons/steps/{batch}/undo").status_code == 200
    assert same(region, pk) == {patients["W1"]}
    assert region.client.post(f"/api/persons/steps/{batch}/undo").status_code == 409


def test_decided_by_hand(region: Server, patients: dict[str, int]) -> None:
    path = f"/api/persons/reviews/{patients['E3']}/{patients['W3']}"
    assert region.client.post(path, json={"decision": "refuse"}).status_code == 200
    linked = region.client.post(path, json={"decision": "accept", "why": "seen"}).raise_for_status().json()
    assert same(region, patients["E3"]) == {patients["W3"]}
    assert region.client.post(path, json={"decision": "refuse"}).status_code == 409
    assert region.client.post(f"/api/persons/steps/{linked['batch']}/undo").status_code == 200
    assert same(region, patients["E3"]) == set()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/persons/patients/999999999", 404),
        ("DELETE", "/api/persons/patients/999999999/person", 404),
        ("POST", "/api/persons/steps/999999999/undo", 404),
        ("POST", "/api/persons/steps/99999999999999999999/undo", 400),
        ("GET", "/api/persons/patients/0", 400),
        ("GET", "/api/persons?limit=100000", 400),
        ("GET", "/fhir/Patient/999999999", 404),
        ("GET", "/fhir/Patient/x", 404),
        ("GET", "/fhir/Patient/999999999/$everything", 404),
        ("POST", "/fhir/Patient/$match", 400),
    ],
)
def test_bad_requests(region: Server, method: str, path: str, status: int) -> None:
    answer = region.client.request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def described(**more: Any) -> Json:
    resource = {
        "resourceType": "Patient",
        "name": [{"family": "逄", "given": ["焱垚"]}],
        "gender": "female",
    } | more
    return {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": resource}]}


def asked(client: httpx.Client, parameters: Any) -> list[Json]:
    answer = client.post("/fhir/Patient/$match", json=parameters).raise_for_status()
    assert answer.headers["content-type"] == "application/fhir+json"
    Bundle.model_validate(answer.json())
    found: list[Json] = answer.json()["entry"]
    return found


def test_capabilities(region: Server) -> None:
    """For everybody, and of what is there."""
    told = httpx.get(f"{region.url}/fhir/metadata").raise_for_status().json()
    CapabilityStatement.model_validate(told)
    resources = [one["type"] for one in told["rest"][0]["resource"]]
    paths = region.get("/api/openapi.json")["paths"]
    assert resources == sorted(
        {p.split("/")[2] for p in paths if p.startswith("/fhir/")} - {"metadata"}, reverse=True
    )


def test_match(region: Server, patients: dict[str, int], of_east: httpx.Client) -> None:
    wanted = described(birthDate="1971-04-09", identifier=[{"value": NUMBER}])
    first, second = asked(region.client, wanted)
    assert [first["resource"]["id"], second["resource"]["id"]] == [str(patients["E1"]), str(patients["W1"])]
    assert first["search"]["score"] > 0.99
    assert first["search"]["extension"][0]["valueCode"] == "certain"
    assert NUMBER not in str(first)
    assert [e["resource"]["id"] for e in asked(of_east, wanted)] == [str(patients["E1"])]
    assert asked(region.client, described(birthDate="1999-04-09", name=[{"text": "张三"}])) == []
    wanted["parameter"].append({"name": "count", "valueInteger": 1})
    assert len(asked(region.client, wanted)) == 1


@pytest.mark.parametrize(
    "parameters",
    [
        [], {}, {"resourceType": "Parameters"}, {"resourceType": "Parameters", "parameter": [1, {"name": 2}]},
        {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": {"resourceType": "Group"}}]},
    ],
)  # fmt: skip
def test_match_of_nonsense(region: Server, parameters: Any) -> None:
    assert region.client.post("/fhir/Patient/$match", json=parameters).status_code == 400


@pytest.mark.parametrize(
    "more",
    [
        {
            "name": "x",
            "birthDate": 5,
            "gender": [],
            "telecom": {},
            "identifier": [1, {"value": 2, "type": 3}],
        },
        {"name": [{"family": 1, "given": [2]}], "birthDate": "1971"},
        {"name": [{"text": "\0" * 500}], "telecom": [{"system": "phone", "value": "1" * 10_000}]},
    ],
)
def test_match_of_odd_patients(region: Server, more: Json) -> None:
    assert asked(region.client, described(**more)) == []


def test_everything(region: Server, patients: dict[str, int], of_east: httpx.Client) -> None:
    path = f"/fhir/Patient/{patients['E1']}/$everything"
    bundle = region.get(path)
    Bundle.model_validate(bundle)
    entries = [e["resource"] for e in bundle["entry"]]
    assert bundle["entry"][0]["fullUrl"] == f"{region.url}/fhir/Patient/{patients['E1']}"
    assert [(r["resourceType"], r["id"]) for r in entries[:2]] == [
        ("Patient", str(patients["E1"])), ("Patient", str(patients["W1"])),
    ]  # fmt: skip
    assert [r["subject"]["reference"] for r in entries[2:]] in (
        [f"Patient/{patients[a]}" for a in order] for order in (("E1", "W1"), ("W1", "E1"))
    )
    assert entries[0]["link"] == [{"other": {"reference": f"Patient/{patients['W1']}"}, "type": "seealso"}]
    own = [e["resource"] for e in of_east.get(path).raise_for_status().json()["entry"]]
    assert [r["resourceType"] for r in own] == ["Patient", "ImagingStudy"]
    assert "link" not in own[0]


def test_what_may_not_be_seen_does_not_exist(
    region: Server, patients: dict[str, int], of_east: httpx.Client
) -> None:
    west, east = patients["W1"], patients["E1"]
    batch = region.get(f"/api/persons/patients/{west}")["steps"][0]["batch"]
    for method, path in (
        ("GET", f"/api/persons/patients/{west}"), ("DELETE", f"/api/persons/patients/{west}/person"),
        ("POST", f"/api/persons/reviews/{east}/{west}"), ("POST", f"/api/persons/steps/{batch}/undo"),
        ("GET", f"/fhir/Patient/{west}"),
    ):  # fmt: skip
        json = {"decision": "refuse"} if "reviews" in path else None
        assert of_east.request(method, path, json=json).status_code == 404, path
    assert of_east.get(f"/api/persons/patients/{east}").json()["same"] == []
    assert of_east.get("/api/persons/reviews?state=refused").json() == {"reviews": []}
    assert httpx.get(f"{region.url}/api/persons").status_code == 401
    assert httpx.get(f"{region.url}/fhir/Patient/{east}").status_code == 401


def test_the_command_line(region: Server, patients: dict[str, int]) -> None:
    one, other = str(patients["E3"]), str(patients["W3"])
    said = region.run("person", "link", one, other).stdout
    assert "\t王^芳\t" in region.run("person", "list").stdout
    assert "link" in region.run("person", "show", one).stdout
    region.run("person", "undo", said.split()[-1])
    assert region.run("person", "review").returncode == 0
    assert region.run("person", "review", "--refuse", one, other).returncode == 0
    assert region.run("person", "unlink", one, check=False).returncode != 0
