"""Launch from another system (IHE Invoke Image Display, RAD-106): signed, short, once, no wider than signed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from sqlalchemy import text

from pacs.access import Role
from storage.accounts import add_user
from tests.support.peers import opened
from tests.support.server import Server
from tests.support.signing import bearer, token
from tests.support.watch import whole

STUDY = {"requestType": "STUDY", "studyUID": "1.2.826.0.1.3680043.8.498.1"}
DOCTOR = "dr.wang"


@pytest.fixture(scope="module")
def server(workspace: Path) -> Iterator[Server]:
    running = Server(workspace / "launch").start()
    running.run("facility", "add", "NORTH", "北院")
    people(running)
    yield running
    whole(running)
    running.remove()


def people(server: Server) -> None:
    """A doctor and an administrator of LOCAL, a doctor of NORTH."""
    who = ((DOCTOR, Role.CLINICIAN, "LOCAL"), ("boss", Role.ADMINISTRATOR, "LOCAL"), ("far", Role.CLINICIAN, "NORTH"),
           ("regional", Role.RADIOLOGIST, ""))  # fmt: skip
    belongs = text(
        "UPDATE users SET facility_id = (SELECT id FROM facilities WHERE code = :code) WHERE name = :name"
    )
    with opened(server) as archive:
        for name, role, code in who:
            add_user(archive, name, "a doctor's password", role)
            with archive.database.begin() as connection:
                connection.execute(belongs, {"code": code, "name": name})


@pytest.fixture(scope="module")
def secret(server: Server) -> str:
    server.run("client", "add", "reader", "--scope", "fhir")
    return server.run("client", "add", "his", "--scope", "launch").stdout.strip()


def signed(key: str, parameters: Any = None, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
    now = int(time.time())
    content = {
        "iss": "his", "sub": DOCTOR, "aud": "tongying", "jti": uuid.uuid4().hex, "iat": now, "exp": now + 60,
        "parameters": STUDY if parameters is None else parameters,
    } | claims  # fmt: skip
    head = {"alg": "HS256", "kid": "his"} | (header or {})
    content = {name: value for name, value in content.items() if value is not None}
    return jwt.encode(head, content, OctKey.import_key(key), algorithms=[head["alg"]])


def launched(server: Server, launch: str, parameters: Any = None) -> httpx.Response:
    asked = urlencode({**(STUDY if parameters is None else parameters), "launch": launch})
    headers = {"X-Forwarded-For": f"10.1.{uuid.uuid4().int % 250}.{uuid.uuid4().int % 250}"}
    return httpx.get(f"{server.url}/IHEInvokeImageDisplay?{asked}", headers=headers)


def test_the_doctor_comes_in_and_sees_the_study(server: Server, secret: str) -> None:
    answer = launched(server, signed(secret))
    assert answer.status_code == 303, answer.text
    page, _, ticket = answer.headers["location"].partition("#ticket=")
    assert page == f"/study/{STUDY['studyUID']}"
    grant = "urn:tongying:ticket"
    got = token(server, grant_type=grant, ticket=ticket).raise_for_status().json()
    me = httpx.get(f"{server.url}/api/me", headers=bearer(got)).raise_for_status().json()
    assert (me["user"], me["role"], me["facility"]) == (DOCTOR, "clinician", "LOCAL")
    assert token(server, grant_type=grant, ticket=ticket).status_code == 401, "a ticket is good once"
    told = httpx.get(f"{server.url}/api/me/sessions", headers=bearer(got)).json()
    assert told[0]["agent"].startswith("his: ")


@pytest.mark.parametrize(
    ("parameters", "page"),
    [
        ({"requestType": "STUDY", "accessionNumber": "A 1/2"}, "/?q=%22A%201%2F2%22"),
        (
            {"requestType": "PATIENT", "patientID": "007^^^&1.2&ISO", "mostRecentResults": "1"},
            "/?q=%22007%22",
        ),
        ({"requestType": "STUDY", "studyUID": "//evil.example/"}, "/study/%2F%2Fevil.example%2F"),
        ({"requestType": "STUDY", "studyUID": "x\r\nSet-Cookie: a=b"}, "/study/x%0D%0ASet-Cookie%3A%20a%3Db"),
    ],
)
def test_where_it_leads(server: Server, secret: str, parameters: dict[str, str], page: str) -> None:
    """Always to a page of ours."""
    answer = launched(server, signed(secret, parameters), parameters)
    assert answer.headers["location"].startswith(f"{page}#ticket=")


def test_it_is_good_once(server: Server, secret: str) -> None:
    launch = signed(secret)
    assert [launched(server, launch).status_code for _ in range(3)] == [303, 401, 401]


WRONG: dict[str, dict[str, Any]] = {
    "expired": {"iat": -200, "exp": -100},
    "for too long": {"exp": 3600},
    "from the future": {"iat": 600, "exp": 660},
    "before its beginning": {"iat": 60, "exp": 30},
}


@pytest.mark.parametrize("what", list(WRONG))
def test_wrong_times(server: Server, secret: str, what: str) -> None:
    times = {name: int(time.time()) + seconds for name, seconds in WRONG[what].items()}
    assert launched(server, signed(secret, **times)).status_code == 401


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": None}, {"iat": None}, {"jti": None}, {"sub": None}, {"iss": None}, {"aud": None},
        {"aud": "elsewhere"}, {"iss": "reader"}, {"sub": "boss"}, {"sub": "admin"}, {"sub": "far"},
        {"sub": "regional"}, {"sub": "nobody"}, {"sub": ["dr.wang"]}, {"jti": 7}, {"jti": {}}, {"exp": "soon"},
        {"purpose": "curiosity"}, {"purpose": ["treatment"]}, {"exp": 1e400},
        {"header": {"kid": "reader"}}, {"header": {"kid": "nobody"}}, {"header": {"kid": ""}},
        {"header": {"kid": "his\0"}}, {"header": {"alg": "HS512"}},
    ],
    ids=str,
)  # fmt: skip
def test_wrong_claims(server: Server, secret: str, claims: dict[str, Any]) -> None:
    """No administrator, nobody of another facility, nobody of the region's own, and no client without that scope."""
    answer = launched(server, signed(secret, **claims))
    assert answer.status_code == 401, answer.headers.get("location")
    assert "set-cookie" not in answer.headers


def test_wrong_signatures(server: Server, secret: str) -> None:
    good = signed(secret)
    head, body, signature = good.split(".")
    none = "eyJhbGciOiJub25lIiwia2lkIjoiaGlzIn0"  # alg none, kid his
    for forged in ("", "x", "..", f"{head}.{body}.", f"{head}.{body}.{signature[::-1]}", f"{none}.{body}.",
                   signed("another secret of that length, made up")):  # fmt: skip
        assert launched(server, forged).status_code == 401
    assert launched(server, good).status_code == 303


@pytest.mark.parametrize(
    "asked",
    [
        {**STUDY, "studyUID": "1.2.3"}, {**STUDY, "patientID": "7"}, {"requestType": "STUDY"}, {},
        {**STUDY, "requestType": "PATIENT"}, {**STUDY, "next": "https://evil.example"},
    ],
    ids=str,
)  # fmt: skip
def test_what_was_not_signed_is_refused(server: Server, secret: str, asked: dict[str, str]) -> None:
    assert launched(server, signed(secret), asked).status_code == 401


def test_a_parameter_twice_is_refused(server: Server, secret: str) -> None:
    asked = urlencode([*STUDY.items(), ("studyUID", "1.2.3"), ("launch", signed(secret))])
    assert httpx.get(f"{server.url}/IHEInvokeImageDisplay?{asked}").status_code == 401


def test_the_secret_is_rotated(server: Server) -> None:
    old = server.run("client", "add", "his2", "--scope", "launch").stdout.strip()
    of_his2: dict[str, Any] = {"header": {"kid": "his2"}, "iss": "his2"}
    new = server.run("client", "rotate", "his2").stdout.strip()
    assert [launched(server, signed(one, **of_his2)).status_code for one in (old, new)] == [303, 303]
    newest = server.run("client", "rotate", "his2", "--overlap-hours", "0").stdout.strip()
    statuses = [launched(server, signed(one, **of_his2)).status_code for one in (old, new, newest)]
    assert statuses == [401, 401, 303]


def test_forging_is_slowed_down(server: Server) -> None:
    statuses = [httpx.get(f"{server.url}/IHEInvokeImageDisplay?launch=x").status_code for _ in range(32)]
    assert 429 in statuses
    assert set(statuses) == {401, 429}
