"""Devices and facilities, by the command line and by the API: the same registry, every field checked."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.server import TONGYING, Server

ALL_ROLES = ["store", "query", "retrieve", "worklist"]
SHARES = {"scope": "none"}  # as the list tells it, of who said nothing


def post(server: Server, **fields: Any) -> httpx.Response:
    body = {"facility": "LOCAL", "ae_title": "API1", "address": "192.0.2.1"} | fields
    return server.client.post("/api/devices", json=body)


def shown(server: Server, ae_title: str) -> list[dict[str, Any]]:
    return [d for d in server.get("/api/devices")["devices"] if d["ae_title"] == ae_title]


def test_the_command_line_sets_every_field(server: Server) -> None:
    fingerprint = ":".join(["0A"] * 32)
    server.command(
        "device", "add", "CLI1", "192.0.2.10", "--description", "CT in 急诊", "--role", "store", "--role", "query",
        "--charset", "GB18030", "--syntax", "JPEG2000Lossless", "--certificate", fingerprint,
        "--associations-max", "4", "--emergency",
    )  # fmt: skip
    (device,) = shown(server, "CLI1")
    assert {k: v for k, v in device.items() if k != "id"} == {
        "facility": "LOCAL", "ae_title": "CLI1", "address": "192.0.2.10/32", "description": "CT in 急诊",
        "roles": ["store", "query"], "charset": "GB18030", "syntaxes": ["1.2.840.10008.1.2.4.90"],
        "certificate": "0a" * 32, "associations_max": 4, "emergency": True,
    }  # fmt: skip
    line = next(x for x in server.command("device", "list").stdout.splitlines() if x.startswith("CLI1"))
    for said in ("192.0.2.10/32", "store query", "GB18030", "0a0a", "associations: 4", "emergency", "急诊"):
        assert said in line


def test_the_command_line_changes_what_is_given_alone(server: Server) -> None:
    server.run("device", "add", "CLI2", "192.0.2.11", "--charset", "GBK", "--associations-max", "4")
    server.run("device", "change", "CLI2", "--role", "query,retrieve", "--associations-max", "0")
    (device,) = shown(server, "CLI2")
    assert (device["roles"], device["charset"], device["associations_max"]) == (
        ["query", "retrieve"],
        "GBK",
        None,
    )
    server.run("device", "change", "CLI2", "--new-address", "192.0.2.12", "--charset", "")
    (device,) = shown(server, "CLI2")
    assert (device["address"], device["charset"]) == ("192.0.2.12/32", "")


def test_one_title_at_two_addresses_is_chosen_by_address(server: Server) -> None:
    for address in ("192.0.2.21", "192.0.2.22"):
        server.run("device", "add", "CLI3", address)
    vague = server.run("device", "change", "CLI3", "--role", "store", check=False)
    assert vague.returncode == 1
    assert "--address" in vague.stderr
    server.run("device", "change", "CLI3", "--address", "192.0.2.22", "--role", "store")
    assert {d["address"]: d["roles"] for d in shown(server, "CLI3")} == {
        "192.0.2.21/32": ALL_ROLES, "192.0.2.22/32": ["store"],
    }  # fmt: skip
    server.run("device", "remove", "CLI3", "--address", "192.0.2.21")
    assert [d["address"] for d in shown(server, "CLI3")] == ["192.0.2.22/32"]
    server.run("device", "remove", "CLI3")
    assert shown(server, "CLI3") == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "X", "nowhere"), "neither an IP address"),
        (("add", "X", "192.0.2.9", "--facility", "NONE"), "no facility NONE"),
        (("add", "X", "192.0.2.9", "--role", "erase"), "a role is one of"),
        (("add", "X", "192.0.2.9", "--charset", "KLINGON"), "no defined term"),
        (("add", "X", "192.0.2.9", "--certificate", "12"), "SHA-256 fingerprint"),
        (("change", "NOBODY", "--role", "store"), "no device NOBODY"),
        (("remove", "NOBODY"), "no device NOBODY"),
    ],
)
def test_the_command_line_says_what_is_wrong(server: Server, arguments: tuple[str, ...], said: str) -> None:
    done = server.run("device", *arguments, check=False)
    assert done.returncode == 1
    assert said in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr


def test_a_file_that_is_no_certificate(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text("no certificate")
    done = server.run("device", "add", "X", "192.0.2.9", "--certificate", str(path), check=False)
    assert done.returncode == 1
    assert "no PEM certificate" in done.stderr.replace("\n", " ")


def test_the_api_makes_changes_and_removes(server: Server) -> None:
    made = post(server, syntaxes=["JPEGLSLossless"], roles=["query"])
    assert made.status_code == 201, made.text
    device = made.json()
    assert device["syntaxes"] == ["1.2.840.10008.1.2.4.80"]
    assert post(server).status_code == 409
    path = f"/api/devices/{device['id']}"
    changed = (
        server.client.patch(path, json={"associations_max": 2, "roles": ["store"]}).raise_for_status().json()
    )
    assert changed == device | {"associations_max": 2, "roles": ["store"]}
    assert server.client.patch(path, json={"associations_max": None}).json()["associations_max"] is None
    post(server, ae_title="API2")
    taken = server.client.patch(path, json={"ae_title": "API2"})
    assert (taken.status_code, taken.headers["content-type"]) == (409, "application/problem+json")
    for one in shown(server, "API1") + shown(server, "API2"):
        assert server.client.delete(f"/api/devices/{one['id']}").status_code == 204
    assert server.client.delete(path).status_code == 404
    assert server.client.patch(path, json={}).status_code == 404


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"address": "nowhere"}, 400),
        ({"ae_title": "A\\B"}, 400),
        ({"ae_title": ""}, 400),
        ({"ae_title": "A\0B"}, 400),
        ({"facility": "NONE"}, 404),
        ({"facility": "A\0"}, 404),
        ({"roles": ["erase"]}, 400),
        ({"charset": "KLINGON"}, 400),
        ({"syntaxes": ["1.2.840.10008.1.1"]}, 400),
        ({"certificate": "12"}, 400),
        ({"associations_max": 0}, 400),
        ({"emergency": "perhaps"}, 400),
        ({"unknown": 1}, 400),
        ({"description": "two\nlines"}, 400),
    ],
)
def test_the_api_says_what_is_wrong(server: Server, fields: dict[str, Any], status: int) -> None:
    answer = post(server, **fields)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["detail"]


def test_facilities(server: Server) -> None:
    made = server.client.post("/api/facilities", json={"code": "API-F", "name": "第一医院"})
    assert server.client.post("/api/facilities", json={"code": "API-F"}).status_code == 409
    assert server.client.post("/api/facilities", json={"code": "lower"}).status_code == 400
    facility = {"code": "API-F", "name": "第一医院", "name_en": "", "tier": "", "grade": ""}
    assert (made.status_code, made.json()) == (201, facility)
    assert facility | SHARES in server.get("/api/facilities")["facilities"]
    change = {"name_en": "First Hospital", "tier": "city", "grade": "三级甲等"}
    assert server.client.patch("/api/facilities/API-F", json=change).json() == facility | change
    assert facility | change | SHARES in server.get("/api/facilities")["facilities"]
    assert server.client.patch("/api/facilities/API-F", json={"name": ""}).json()["name"] == "API-F"
    for wrong in (
        {"tier": "village"},
        {"name": "a" * 201},
        {"grade": "a" * 41},
        {"code": "X"},
        {"name": "a\nb"},
    ):
        assert server.client.patch("/api/facilities/API-F", json=wrong).status_code == 400, wrong
    assert server.client.patch("/api/facilities/NONE", json=change).status_code == 404


def test_facilities_by_the_command_line(server: Server) -> None:
    server.run("facility", "add", "CLI-F", "第二医院", "--tier", "county")
    server.run("facility", "change", "CLI-F", "--name-en", "Second Hospital", "--grade", "二级甲等")
    facility = {
        "code": "CLI-F",
        "name": "第二医院",
        "name_en": "Second Hospital",
        "tier": "county",
        "grade": "二级甲等",
    }
    assert facility | SHARES in server.get("/api/facilities")["facilities"]
    listed = next(
        row for row in server.run("facility", "list").stdout.splitlines() if row.startswith("CLI-F")
    )
    assert listed.split("  ")[0] == "CLI-F"
    assert all(value in listed for value in facility.values())
    for command, said in (
        (("add", "CLI-F"), "already"), (("change", "NONE", "--tier", "city"), "no facility NONE"),
        (("change", "CLI-F", "--tier", "village"), "province, city, county, township"),
    ):  # fmt: skip
        done = server.run("facility", *command, check=False)
        assert done.returncode == 1
        assert said in done.stderr.replace("\n", " ")


def test_strangers_are_told_nothing(server: Server) -> None:
    with httpx.Client(base_url=server.url) as stranger:
        for method, path in (
            ("GET", "/api/devices"), ("POST", "/api/devices"), ("PATCH", "/api/devices/1"),
            ("DELETE", "/api/devices/1"), ("GET", "/api/facilities"), ("POST", "/api/facilities"),
        ):  # fmt: skip
            assert stranger.request(method, path).status_code == 401


def test_the_api_is_described(server: Server) -> None:
    paths = server.get("/api/openapi.json")["paths"]
    assert set(paths["/api/devices"]) == {"get", "post"}
    assert set(paths["/api/devices/{device_id}"]) == {"patch", "delete"}
    assert set(paths["/api/facilities"]) == {"get", "post"}
    assert set(paths["/api/facilities/{code}"]) == {"patch"}


def test_a_user_is_not_added_twice(server: Server) -> None:
    """Silently keeping the old password would let its finder believe in the new one."""
    done = subprocess.run(
        [str(TONGYING), "user", "add", "admin"], env=server.environment(), input="another password\n",
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "already" in done.stderr
