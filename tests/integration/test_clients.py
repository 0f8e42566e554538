"""API clients (RFC 6749 4.4): credentials of their own, a facility and scopes; and keys that are rotated."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pacs import totp
from tests.support.pdu import Made, associated, made
from tests.support.server import PASSWORD, Server, eventually
from tests.support.signing import OFFLINE, Page, bearer, me, signed_in, token
from tests.support.watch import settled, whole

ENDS_SECONDS = 8
CANARY = "CANARY^ZHANGSAN"


@pytest.fixture(scope="module")
def server(workspace: Path) -> Iterator[Server]:
    running = Server(workspace / "clients", extra={"TONGYING_LOG_LEVEL": "debug"}).start()
    running.run("facility", "add", "NORTH", "北院")
    yield running
    running._client = None
    whole(running)
    running.remove()


@pytest.fixture(scope="module")
def study(server: Server) -> Made:
    one = made()
    with associated(server.dicom_port) as caller:
        assert caller.store(one.instance, one.data) == 0
        caller.release()
    settled(server)
    return one


def added(server: Server, name: str, *scopes: str, facility: str = "LOCAL") -> str:
    options = [part for scope in scopes for part in ("--scope", scope)]
    return server.run("client", "add", name, *options, "--facility", facility).stdout.strip()


def granted(server: Server, name: str, secret: str) -> httpx.Response:
    return token(server, grant_type="client_credentials", client_id=name, client_secret=secret)


def get(server: Server, path: str, access: object) -> int:
    assert isinstance(access, dict)
    return httpx.get(f"{server.url}{path}", headers=bearer(access)).status_code


def test_a_client_sees_what_its_facility_has_within_its_scopes(server: Server, study: Made) -> None:
    here = granted(server, "ris", added(server, "ris", "dicomweb.read")).json()
    assert here.keys() == {"access_token", "token_type", "expires_in"}, "no refresh token (RFC 6749 4.4.3)"
    assert get(server, f"/dicom-web/studies/{study.study}/metadata", here) == 200
    for path in (
        "/api/studies",
        "/api/devices",
        "/api/me/sessions",
        "/dicom-web/../api/devices",
        "/api/remotes",
    ):
        assert get(server, path, here) == 403, path
    url = f"{server.url}/dicom-web/studies"
    assert httpx.post(url, content=b"x", headers=bearer(here)).status_code == 403, "it reads"
    north = granted(
        server, "north", added(server, "north", "dicomweb.read", "portal.read", facility="NORTH")
    ).json()
    assert get(server, f"/dicom-web/studies/{study.study}/metadata", north) == 404
    assert httpx.get(f"{server.url}/api/studies", headers=bearer(north)).json()["studies"] == []
    assert get(server, "/api/me", north) == 200
    assert get(server, "/api/me/sessions", north) == 403, "it has none"


def test_basic_and_wrong_credentials(server: Server) -> None:
    secret = added(server, "basic", "fhir")
    form = {"grant_type": "client_credentials"}
    url = f"{server.url}/api/auth/token"
    assert httpx.post(url, data=form, auth=("basic", secret)).status_code == 200
    for name, given in (("basic", "wrong"), ("basic", ""), ("", ""), ("nobody", secret), ("admin", PASSWORD)):
        assert httpx.post(url, data=form, auth=(name, given)).status_code == 401
        assert granted(server, name, given).status_code == 401
    for header in ("Basic !!!", "Basic " + base64.b64encode(b"\xff:\xff").decode(), "Basic"):
        assert httpx.post(url, data=form, headers={"Authorization": header}).status_code == 401
    assert token(server, username="basic", password=secret).status_code == 401, "it is no user"
    answers = [granted(server, "guessed", f"guess {n}").status_code for n in range(12)]
    assert answers == [401] * 10 + [429] * 2


def test_a_secret_is_rotated_while_the_client_works(server: Server) -> None:
    old = added(server, "lis", "worklist")
    new = server.run("client", "rotate", "lis").stdout.strip()
    assert old != new
    assert [granted(server, "lis", one).status_code for one in (old, new)] == [200, 200]
    newest = server.run("client", "rotate", "lis", "--overlap-hours", "0").stdout.strip()
    assert [granted(server, "lis", one).status_code for one in (old, new, newest)] == [401, 401, 200]


def test_a_client_that_is_removed_is_out(server: Server) -> None:
    access = granted(server, "gone", added(server, "gone", "portal.read")).json()
    assert "gone" in server.run("client", "list").stdout
    server.run("client", "remove", "gone")
    eventually(lambda: get(server, "/api/studies", access) == 401, ENDS_SECONDS, "its token ends")


@pytest.mark.parametrize(
    "arguments",
    [("x y", "--scope", "fhir"), ("x", "--scope", "all"), ("x", "--scope", "fhir", "--facility", "NONE")],
)
def test_what_cannot_be_registered(server: Server, arguments: tuple[str, ...]) -> None:
    assert server.run("client", "add", *arguments, check=False).returncode == 1


# Keys


def kid(access: str) -> str:
    head = access.split(".")[0]
    return str(json.loads(base64.urlsafe_b64decode(head + "=="))["kid"])


def test_the_signing_key_is_rotated_under_way(server: Server) -> None:
    """What the old one signed is taken, what the new one signs too, by every process."""
    before = signed_in(server)
    server.run("secret", "rotate", "signing")
    after = eventually(
        lambda: (got := signed_in(server)) and kid(got["access_token"]) != kid(before["access_token"]) and got,
        ENDS_SECONDS, "the new key signs",
    )  # fmt: skip
    for _ in range(10):  # each by a connection of its own, hence of any process
        assert me(server, before) == 200
        assert me(server, after) == 200
    server.run("secret", "rotate", "signing", "--at-once")
    eventually(lambda: me(server, before) == 401 and me(server, after) == 401, 15, "all sign in anew")
    assert me(server, signed_in(server)) == 200


def test_the_sealing_key_is_rotated_under_way(server: Server) -> None:
    got = signed_in(server)
    told = httpx.post(
        f"{server.url}/api/me/second-factor", json={"password": PASSWORD}, headers=bearer(got)
    ).json()  # fmt: skip
    key = (server.data / "secret.key").read_text()
    said = server.run("secret", "rotate", "sealing").stdout
    assert "1 second factors" in said
    assert (server.data / "secret.key").read_text() != key
    (server.data / "secret.key.before").unlink()
    form = {"code": totp.code(base64.b32decode(told["secret"]), int(time.time()) // 30)}
    address = f"{server.url}/api/me/second-factor/confirm"
    assert httpx.post(address, json=form, headers=bearer(got)).status_code == 200
    server.run("user", "forget-factor", "admin")


def test_no_log_holds_a_secret(server: Server, study: Made) -> None:
    """Whatever was said here at level debug, and a patient's name that goes the whole way."""
    secret = added(server, "canary", "dicomweb.read", "launch")
    client = granted(server, "canary", secret).json()["access_token"]
    got = signed_in(server, scope=OFFLINE)
    renewed = token(server, grant_type="refresh_token", refresh_token=got["refresh_token"]).json()
    token(server, grant_type="refresh_token", refresh_token=got["refresh_token"])  # told as re-used
    token(server, username="admin", password="a wrong canary password")
    token(server, username="a password where the name belongs", password="x")
    with Page(server) as page:
        page.sign_in()
        cookies = list(page.cookies.values())
        factor = page.post(
            "/api/me/second-factor", json={"password": PASSWORD}, headers=bearer(page.access)
        ).json()
    httpx.get(f"{server.url}/api/studies", params={"q": CANARY}, headers=bearer(client))
    httpx.get(f"{server.url}/dicom-web/studies", params={"PatientName": CANARY}, headers=bearer(client))
    httpx.get(f"{server.url}/dicom-web/studies", params={"StudyDate": CANARY}, headers=bearer(client))
    log = server.log.read_text(errors="replace")
    for canary in (
        PASSWORD, secret, client, got["access_token"], got["refresh_token"], renewed["refresh_token"], *cookies,
        factor["secret"], "a wrong canary password", "a password where the name belongs", CANARY,
    ):  # fmt: skip
        assert canary not in log
    assert "refresh_token_reused" in log, "that log it is"


def test_secrets_come_from_files(server: Server, tmp_path: Path) -> None:
    from pacs.settings import from_environment

    names = ("SECRET", "SECRET_BEFORE", "SECRET_KEY", "SECRET_KEY_BEFORE", "ADMIN_PASSWORD", "DATABASE_URL",
             "BROKER_URL", "S3_ACCESS_KEY", "S3_SECRET_KEY")  # fmt: skip
    environment = {}
    for name in names:
        (tmp_path / name).write_text(f"{name} of a file, long enough to be a secret\n")
        environment[f"TONGYING_{name}_FILE"] = str(tmp_path / name)
    found = from_environment(environment)
    for name in names:
        assert getattr(found, name.lower()) == f"{name} of a file, long enough to be a secret"
