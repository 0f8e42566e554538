"""Remotes, rules and the queue by the API, and remotes over TLS: against storescp with certificates of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from pacs.access import Role
from storage.accounts import User
from storage.tokens import TokenIssuer
from tests.support.certificates import Certificate, authority, signed
from tests.support.dicom import describe, send_raw
from tests.support.peers import Receiver, opened, storescp
from tests.support.server import Server, eventually, free_port
from tests.support.studies import Study, ct_study
from tests.support.watch import settled

CT_REMOTE: dict[str, Any] = {"facility": "LOCAL", "ae_title": "STORESCP", "host": "127.0.0.1", "port": 104}


@pytest.fixture(scope="module")
def pki(workspace: Path) -> dict[str, Certificate]:
    """A CA of our own, with the peer's certificate and ours, and a stranger."""
    folder = workspace / "remotes-pki"
    ca, stranger = authority(folder, "ca"), authority(folder, "stranger")
    return {
        "ca": ca,
        "stranger": stranger,
        "peer": signed(folder, "peer", ca),
        "ours": signed(folder, "ours", ca),
    }


@pytest.fixture(scope="module")
def server(workspace: Path, pki: dict[str, Certificate]) -> Iterator[Server]:
    ours = pki["ours"]
    extra = {
        "TONGYING_DICOM_TLS_PORT": str(free_port()),
        "TONGYING_DICOM_TLS_CERTIFICATE": str(ours.certificate), "TONGYING_DICOM_TLS_KEY": str(ours.key),
    }  # fmt: skip
    running = Server(workspace / "remotes", extra=extra).start()
    running.run("facility", "add", "HOSP2")
    yield running
    running.remove()


@pytest.fixture(scope="module")
def study(server: Server, workspace: Path) -> Study:
    made = ct_study(workspace / "remotes-ct", slices=3)
    assert set(send_raw(server.dicom_port, map(describe, made.files)).values()) == {0}
    settled(server)
    return made


def over_tls(
    folder: Path, pki: dict[str, Certificate], *options: str | Path
) -> contextlib.AbstractContextManager[Receiver]:
    """DCMTK's storescp with its certificate; as told by `options` it asks for ours."""
    own = ("+tls", pki["peer"].key, pki["peer"].certificate)
    return storescp(folder, "--accept-all", *map(str, (*own, *options)))


def remote(server: Server, name: str, **fields: Any) -> dict[str, Any]:
    answer = server.client.post("/api/remotes", json=CT_REMOTE | {"name": name} | fields)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def echoed(server: Server, remote_id: int) -> dict[str, Any]:
    found: dict[str, Any] = server.client.post(f"/api/remotes/{remote_id}/echo").raise_for_status().json()
    return found


def sends(server: Server, name: str) -> list[dict[str, Any]]:
    return list(server.get("/api/sends", remote=name)["sends"])


def test_a_remote_from_beginning_to_end(server: Server, study: Study, tmp_path: Path) -> None:
    made = remote(server, "api-1")
    path = f"/api/remotes/{made['id']}"
    assert server.client.post("/api/remotes", json=CT_REMOTE | {"name": "api-1"}).status_code == 409
    failed = echoed(server, made["id"])
    assert (failed["answered"], failed["milliseconds"]) == (False, None)
    assert "no connection to 127.0.0.1:104" in failed["error"]
    queued = server.client.post("/api/sends", json={"study_uid": study.uid, "remote": "api-1"})
    assert queued.status_code == 202
    (number,) = queued.json()["sends"]
    row = eventually(lambda: [s for s in sends(server, "api-1") if s["error"]], 20, "the reason is told")[0]
    assert (row["id"], row["state"], row["study_uid"], row["total"]) == (number, "waiting", study.uid, 3)
    assert "no connection" in row["error"]
    assert server.client.delete(f"/api/sends/{number}").status_code == 204
    (row,) = sends(server, "api-1")
    assert (row["state"], row["error"]) == ("failed", "cancelled by admin")
    with storescp(tmp_path / "in", "--accept-all") as receiver:
        changed = server.client.patch(path, json={"port": receiver.port, "syntaxes": ["1.2.840.10008.1.2.1"]})
        assert changed.json() == made | {"port": receiver.port, "syntaxes": ["1.2.840.10008.1.2.1"]}
        assert echoed(server, made["id"])["answered"]
        assert server.client.post(f"/api/sends/{number}/retry").status_code == 204
        eventually(lambda: sends(server, "api-1")[0]["state"] == "done", 20, "it is sent")
        assert len(receiver.files()) == 3
    (listed,) = [r for r in server.get("/api/remotes")["remotes"] if r["name"] == "api-1"]
    assert listed["queue"] == {"states": {"done": 1}, "error": ""}
    assert server.client.delete(path).status_code == 204
    assert server.client.delete(path).status_code == 404
    assert sends(server, "api-1") == []


def test_rules(server: Server) -> None:
    remote(server, "api-2")
    rule = {"remote": "api-2", "facility": "HOSP2", "modality": "ct"}
    made = server.client.post("/api/routes", json=rule)
    assert made.status_code == 201
    kept = made.json()
    assert (kept["modality"], kept["body_part"], kept["facility"]) == ("CT", "", "HOSP2")
    path = f"/api/routes/{kept['id']}"
    assert server.client.patch(path, json={"calling": "CT1"}).json() == kept | {"calling": "CT1"}
    assert server.get("/api/routes")["routes"] == [kept | {"calling": "CT1"}]
    assert server.client.delete(path).status_code == 204
    assert server.client.patch(path, json={}).status_code == 404
    for wrong in ({"remote": "nobody"}, {"facility": "NONE"}):
        assert server.client.post("/api/routes", json=rule | wrong).status_code == 404


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"host": "169.254.169.254"}, 400),
        ({"host": "::ffff:169.254.1.1"}, 400),
        ({"host": "fe80::1"}, 400),
        ({"host": "0.0.0.0"}, 400),
        ({"host": "224.0.0.1"}, 400),
        ({"host": "a b"}, 400),
        ({"host": ""}, 400),
        ({"host": "http://x/"}, 400),
        ({"port": 0}, 400),
        ({"ae_title": "A\\B"}, 400),
        ({"ae_title": "A\0B"}, 400),
        ({"name": ""}, 400),
        ({"name": "a\0b"}, 400),
        ({"facility": "NONE"}, 404),
        ({"facility": "A\0"}, 404),
        ({"tls": True, "ca": "no certificate"}, 400),
        ({"tls": True, "certificate": "12"}, 400),
        ({"certificate": "0a" * 32}, 400),
        ({"syntaxes": ["JPEG"]}, 400),
        ({"associations_max": 0}, 400),
        ({"password": "x"}, 400),
    ],
)
def test_the_api_says_what_is_wrong(server: Server, fields: dict[str, Any], status: int) -> None:
    answer = server.client.post("/api/remotes", json=CT_REMOTE | {"name": "wrong"} | fields)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["detail"]


def test_a_name_that_leads_to_what_is_never_called(server: Server) -> None:
    """Whatever was registered: what a name leads to is looked at when it is called."""
    made = remote(server, "hidden", host="0")  # as resolvers read it: 0.0.0.0
    assert "never called" in echoed(server, made["id"])["error"]


def asked(server: Server) -> list[tuple[str, str, Any]]:
    made = next((r for r in server.get("/api/remotes")["remotes"] if r["name"] == "guarded"), None)
    number = (made or remote(server, "guarded"))["id"]
    rules = [r for r in server.get("/api/routes")["routes"] if r["remote"] == "guarded"]
    rule = rules[0] if rules else server.client.post(
        "/api/routes", json={"remote": "guarded", "facility": "LOCAL"}).json()  # fmt: skip
    return [
        ("PATCH", f"/api/remotes/{number}", {}), ("DELETE", f"/api/remotes/{number}", None),
        ("POST", f"/api/remotes/{number}/echo", None), ("POST", "/api/remotes", CT_REMOTE | {"name": "mine"}),
        ("POST", "/api/routes", {"remote": "guarded", "facility": "LOCAL"}),
        ("PATCH", f"/api/routes/{rule['id']}", {}), ("DELETE", f"/api/routes/{rule['id']}", None),
        ("POST", "/api/sends", {"remote": "guarded", "study_uid": "1.2"}),
    ]  # fmt: skip


def test_strangers_are_told_nothing(server: Server) -> None:
    lists = [("GET", f"/api/{what}", None) for what in ("remotes", "routes", "sends")]
    with httpx.Client(base_url=server.url) as stranger:
        for method, path, body in [*asked(server), *lists]:
            assert stranger.request(method, path, json=body).status_code == 401, path


def test_another_facilitys_administrator_sees_none_of_it(server: Server, study: Study) -> None:
    """What is another's answers as what does not exist; a row of another's queue too."""
    asked(server)
    queued = server.client.post("/api/sends", json={"study_uid": study.uid, "remote": "guarded"})
    (number,) = queued.json()["sends"]
    with _as(server, "hosp2-admin", "HOSP2") as other:
        for method, path, body in asked(server):
            answer = other.request(method, path, json=body)
            assert (answer.status_code, answer.headers["content-type"]) == (
                404,
                "application/problem+json",
            ), path
        assert other.get("/api/remotes").json() == {"remotes": []}
        assert other.get("/api/routes").json() == {"routes": []}
        assert other.get("/api/sends").json()["sends"] == []
        for method, path in (("POST", f"/api/sends/{number}/retry"), ("DELETE", f"/api/sends/{number}")):
            assert other.request(method, path).status_code == 404
        own = other.post("/api/remotes", json=CT_REMOTE | {"name": "of-hosp2", "facility": "HOSP2"})
        assert own.status_code == 201
        assert [r["name"] for r in other.get("/api/remotes").json()["remotes"]] == ["of-hosp2"]
        assert other.patch(f"/api/remotes/{own.json()['id']}", json={"facility": "LOCAL"}).status_code == 404
        assert other.patch(f"/api/remotes/{own.json()['id']}", json={"name": "guarded"}).status_code == 409


def test_who_is_no_administrator_is_refused(server: Server) -> None:
    with _as(server, "a-device", "LOCAL", Role.DEVICE) as other:
        for method, path, body in asked(server):
            assert other.request(method, path, json=body).status_code == 403, path


@contextlib.contextmanager
def _as(server: Server, name: str, facility: str, role: Role = Role.ADMINISTRATOR) -> Iterator[httpx.Client]:
    """Signed in as a user of a facility, whom no command makes yet."""
    with opened(server) as archive:
        row = (
            "INSERT INTO users (name, password_hash, role, facility_id) SELECT :name, '', :role, id FROM facilities"
            " WHERE code = :facility ON CONFLICT DO NOTHING"
        )
        with archive.database.begin() as connection:
            connection.execute(text(row), {"name": name, "role": role.value, "facility": facility})
        token, _ = TokenIssuer(archive).issue(User(name, name, role, facility))
    with httpx.Client(
        base_url=server.url, headers={"Authorization": f"Bearer {token}"}, timeout=60
    ) as client:
        yield client


def test_the_api_is_described(server: Server) -> None:
    paths = server.get("/api/openapi.json")["paths"]
    for path, methods in {
        "/api/remotes": {"get", "post"}, "/api/remotes/{remote_id}": {"patch", "delete"},
        "/api/remotes/{remote_id}/echo": {"post"}, "/api/routes": {"get", "post"},
        "/api/routes/{route_id}": {"patch", "delete"}, "/api/sends": {"get", "post"},
        "/api/sends/{send_id}": {"delete"}, "/api/sends/{send_id}/retry": {"post"},
    }.items():  # fmt: skip
        assert set(paths[path]) == methods


def test_over_tls_with_a_ca_of_our_own(
    server: Server, study: Study, tmp_path: Path, pki: dict[str, Certificate]
) -> None:
    """The peer believes our certificate, and we its CA, its own certificate, or its fingerprint; nobody else's."""
    peer, ca, stranger = pki["peer"], pki["ca"], pki["stranger"]
    with over_tls(tmp_path / "in", pki, "--require-peer-cert", "+cf", ca.certificate) as receiver:
        believed: dict[str, dict[str, Any]] = {
            "tls-ca": {"ca": ca.certificate.read_text()},
            "tls-own": {"ca": peer.certificate.read_text()},
            "tls-pin": {"certificate": peer.fingerprint},
        }
        for name, fields in believed.items():
            made = remote(server, name, port=receiver.port, tls=True, **fields)
            assert echoed(server, made["id"])["error"] == "", name
        for name, wrong in {
            "tls-machine": {}, "tls-other": {"ca": stranger.certificate.read_text()},
            "tls-pin-other": {"certificate": stranger.fingerprint},
        }.items():  # fmt: skip
            made = remote(server, name, port=receiver.port, tls=True, **wrong)
            assert "certificate is not trusted" in echoed(server, made["id"])["error"], name
        server.client.post(
            "/api/sends", json={"study_uid": study.uid, "remote": "tls-pin"}
        ).raise_for_status()
        eventually(lambda: [s["state"] for s in sends(server, "tls-pin")] == ["done"], 30, "it is sent")
        assert len(receiver.files()) == 3
        server.run("remote", "add", "tls-cli", "STORESCP", "127.0.0.1", str(receiver.port), "--tls", "--ca",
                   str(ca.certificate))  # fmt: skip
        assert "tls-cli answers: " in server.run("remote", "echo", "tls-cli").stdout
