"""Sessions: short access tokens, refresh tokens that rotate (RFC 9700 4.14), their cookies, and how they end."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from storage import passwords
from tests.support.server import PASSWORD, Server, eventually
from tests.support.signing import OFFLINE, Page, add_user, bearer, me, signed_in, token
from tests.support.watch import whole

SHORT_SECONDS = 30
ENDS_SECONDS = 8  # 5 s that it may be remembered, and a slow machine
DOCTOR, DOCTORS = "wang", "a doctor's password"
LONG = "x" * 100


@pytest.fixture(scope="module")
def server(workspace: Path) -> Iterator[Server]:
    running = Server(
        workspace / "sessions",
        extra={"TONGYING_TOKEN_SECONDS": str(SHORT_SECONDS), "TONGYING_LOCKOUT_FAILURES": "12"},
    ).start()
    add_user(running, DOCTOR, DOCTORS)
    yield running
    running._client = None  # its token is too short for `whole`
    whole(running)
    running.remove()


@pytest.fixture(scope="module")
def early(server: Server) -> Iterator[Page]:
    """A page that signs in before the first test, for the last one: its token expires meanwhile."""
    add_user(server, "wu", "a password of Wu")
    with Page(server) as page:
        page.sign_in("wu", "a password of Wu")
        yield page


@pytest.fixture(scope="module", autouse=True)
def _begun(early: Page) -> None:
    """Before the first test."""


def renewed(server: Server, refresh: str) -> httpx.Response:
    return token(server, grant_type="refresh_token", refresh_token=refresh)


def ends(server: Server, access: str) -> None:
    eventually(lambda: me(server, access) == 401, ENDS_SECONDS, "the session is over")


def test_the_contract_is_as_it_was(server: Server) -> None:
    answer = token(server, username="admin", password=PASSWORD)
    assert answer.json().keys() == {"access_token", "token_type", "expires_in"}
    assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("bearer", SHORT_SECONDS)
    assert "set-cookie" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"
    assert me(server, answer.json()) == 200


def test_who_asks_gets_a_refresh_token_that_rotates(server: Server) -> None:
    first = signed_in(server, scope=OFFLINE)
    second = renewed(server, first["refresh_token"]).raise_for_status().json()
    assert second["refresh_token"] != first["refresh_token"]
    assert me(server, second) == 200
    assert renewed(server, second["refresh_token"]).status_code == 200


def test_a_refresh_token_that_comes_twice_ends_the_session(server: Server) -> None:
    """Neither the thief nor whom it was taken from goes on."""
    first = signed_in(server, scope=OFFLINE)
    second = renewed(server, first["refresh_token"]).json()
    assert renewed(server, first["refresh_token"]).status_code == 401
    assert renewed(server, second["refresh_token"]).status_code == 401
    ends(server, second["access_token"])
    ends(server, first["access_token"])
    assert me(server, signed_in(server)) == 200, "other sessions go on"
    assert "refresh_token_reused" in server.tail(20_000)


def test_twenty_at_once_are_one(server: Server) -> None:
    refresh = signed_in(server, scope=OFFLINE)["refresh_token"]
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda: answers.append(renewed(server, refresh).status_code))
        for _ in range(20)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    assert sorted(answers) == [200] + [401] * 19


@pytest.mark.parametrize("refresh", ["", "x", "\0", LONG * 1000, "' OR 1=1 --", "影像"])
def test_what_is_no_refresh_token(server: Server, refresh: str) -> None:
    assert renewed(server, refresh).status_code == 401


def test_a_refresh_token_is_no_access_token(server: Server) -> None:
    got = signed_in(server, scope=OFFLINE)
    assert me(server, got["refresh_token"]) == 401
    assert renewed(server, got["access_token"]).status_code == 401


# The cookie


def test_a_page_goes_on_with_its_cookie(server: Server) -> None:
    with Page(server) as page:
        got = page.sign_in()
        assert "refresh_token" not in got, "scripts never see it"
        answer = page.renew()
        assert answer.status_code == 200
        said = answer.headers["set-cookie"]
        for attribute in ("HttpOnly", "SameSite=strict", "Path=/api/auth"):
            assert attribute in said
        assert "Secure" not in said, "over http a browser would drop it"
        assert page.renew().status_code == 200


def test_over_tls_the_cookie_is_secure(server: Server) -> None:
    with Page(server, **{"X-Forwarded-Proto": "https"}) as page:
        form = {"username": "admin", "password": PASSWORD, "cookie": "true"}
        assert "Secure" in page.post("/api/auth/token", data=form).headers["set-cookie"]


def test_two_pages_at_once_both_go_on(server: Server) -> None:
    """A lost answer, or a second page of one browser: within seconds the same cookie may come twice."""
    with Page(server) as page, Page(server) as other:
        page.sign_in()
        other.cookies.update(page.cookies)
        assert page.renew().status_code == 200
        assert other.renew(page.access).status_code == 200
        assert page.renew().status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": ""},
    ],
)
def test_other_pages_cannot_use_the_cookie(server: Server, headers: dict[str, str]) -> None:
    """SameSite does not part ports and names below one: Origin does."""
    with Page(server) as page:
        page.sign_in()
        cookies = "; ".join(f"{k}={v}" for k, v in page.cookies.items())
        form = {"grant_type": "refresh_token", "cookie": "true"}
        sent = {**bearer(page.access), "Cookie": cookies, **headers}
        answer = httpx.post(f"{server.url}/api/auth/token", data=form, headers=sent)
        assert answer.status_code == 403
        form = {"username": "admin", "password": PASSWORD, "cookie": "true"}
        answer = httpx.post(f"{server.url}/api/auth/token", data=form, headers=headers)
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False), "nor sign somebody in"


def test_the_cookie_alone_is_nothing(server: Server) -> None:
    """Nor with the token of another session."""
    with Page(server) as page:
        page.sign_in()
        form = {"grant_type": "refresh_token", "cookie": "true"}
        assert page.post("/api/auth/token", data=form).status_code == 401
        assert page.renew(signed_in(server)["access_token"]).status_code == 401
        assert page.renew(page.access[:-4] + "AAAA").status_code == 401
        assert page.get("/api/me").status_code == 401
        assert page.post("/api/auth/sign-out", json={}).status_code == 401
        assert page.renew().status_code == 200


# The end


def test_sign_out_here(server: Server) -> None:
    with Page(server) as page:
        page.sign_in()
        other = signed_in(server)
        answer = page.post("/api/auth/sign-out", json={}, headers=bearer(page.access))
        assert answer.status_code == 204
        assert "Max-Age=0" in answer.headers["set-cookie"]
        ends(server, page.access)
        assert page.renew().status_code == 401
        assert me(server, other) == 200


def test_sign_out_everywhere(server: Server) -> None:
    here, there = signed_in(server, DOCTOR, DOCTORS), signed_in(server, DOCTOR, DOCTORS, scope=OFFLINE)
    form = {"everywhere": True}
    httpx.post(f"{server.url}/api/auth/sign-out", json=form, headers=bearer(here)).raise_for_status()
    ends(server, here["access_token"])
    ends(server, there["access_token"])
    assert renewed(server, there["refresh_token"]).status_code == 401
    assert me(server, signed_in(server)) == 200, "of others nothing ends"


def test_sessions_are_listed_and_end_one_by_one(server: Server) -> None:
    here = signed_in(server, DOCTOR, DOCTORS)
    there = token_with_agent(server, "Browser in the ward \x07" + LONG * 9)
    found = httpx.get(f"{server.url}/api/me/sessions", headers=bearer(here)).raise_for_status().json()
    assert [one["current"] for one in found[:2]] == [False, True]
    assert found[0]["agent"].startswith("Browser in the ward x")
    assert len(found[0]["agent"]) <= 200
    address = f"{server.url}/api/me/sessions/"
    mine = signed_in(server)
    for number in (found[0]["id"], 0, -1, 2**70):
        assert httpx.delete(f"{address}{number}", headers=bearer(mine)).status_code == 404, "nobody else's"
    assert httpx.delete(f"{address}{found[0]['id']}", headers=bearer(here)).status_code == 204
    ends(server, there)
    assert me(server, here) == 200


def token_with_agent(server: Server, agent: str) -> str:
    form = {"username": DOCTOR, "password": DOCTORS}
    headers = {"User-Agent": agent.replace("\x07", "")}
    answer = httpx.post(f"{server.url}/api/auth/token", data=form, headers=headers)
    return str(answer.raise_for_status().json()["access_token"])


def test_a_changed_password_ends_all_sessions(server: Server) -> None:
    add_user(server, "li", "the first password")
    here, there = signed_in(server, "li", "the first password"), signed_in(server, "li", "the first password")
    change = f"{server.url}/api/me/password"

    def changed(**form: str) -> httpx.Response:
        return httpx.post(change, json=form, headers=bearer(here))

    assert changed(current="wrong", new="the second password").status_code == 403
    assert changed(current="the first password", new="password1").status_code == 400
    assert changed(current="the first password", new="the first password").status_code == 400
    assert changed(current="the first password", new="second", name="admin").status_code == 400, (
        "mass assignment"
    )
    answer = changed(current="the first password", new="the second password")
    assert answer.status_code == 200, answer.text
    ends(server, here["access_token"])
    ends(server, there["access_token"])
    assert me(server, answer.json()) == 200
    assert token(server, username="li", password="the first password").status_code == 401
    assert me(server, signed_in(server, "li", "the second password")) == 200


def test_a_first_password_must_be_changed(server: Server) -> None:
    add_user(server, "zhao", "chosen by somebody else", "--must-change")
    got = signed_in(server, "zhao", "chosen by somebody else")
    assert got["must"] == "password"
    assert me(server, got) == 200
    for path in ("/api/studies", "/dicom-web/studies", "/api/devices"):
        assert httpx.get(server.url + path, headers=bearer(got)).status_code == 403, path
    form = {"current": "chosen by somebody else", "new": "chosen by himself"}
    answer = (
        httpx.post(f"{server.url}/api/me/password", json=form, headers=bearer(got)).raise_for_status().json()
    )
    assert "must" not in answer
    assert httpx.get(f"{server.url}/api/studies", headers=bearer(answer)).status_code == 200


def test_the_command_ends_sessions_too(server: Server) -> None:
    got = signed_in(server, DOCTOR, DOCTORS)
    server.run("user", "sign-out", DOCTOR)
    ends(server, got["access_token"])
    assert server.run("user", "sign-out", "nobody", check=False).returncode == 1


# Guessing


def test_an_account_that_is_guessed_at_closes_for_a_while(server: Server) -> None:
    """To strangers; who signed in at his desk before goes on there. What nobody has closes in the same way."""
    add_user(server, "qian", "a password of Qian")

    def tried(name: str, address: str, password: str = "wrong") -> httpx.Response:
        form = {"username": name, "password": password}
        return httpx.post(
            f"{server.url}/api/auth/token", data=form, headers={"X-Forwarded-For": address}, timeout=30
        )

    assert tried("qian", "10.9.9.9", "a password of Qian").status_code == 200, "his desk"
    for name in ("qian", "nobody-at-all"):
        guesses = [tried(name, f"10.0.{n}.1").status_code for n in range(14)]
        assert guesses == [401] * 12 + [429] * 2, name
        answer = tried(name, "10.0.99.1", "a password of Qian")
        assert answer.status_code == 429, "also with the right one"
        assert 1 <= int(answer.headers["retry-after"]) <= 30
    assert tried("qian", "10.9.9.9", "a password of Qian").status_code == 200
    server.run("user", "unlock", "qian")
    assert tried("qian", "10.0.99.1", "a password of Qian").status_code == 200


def test_names_cannot_be_told_by_time(server: Server) -> None:
    """Medians of wrong passwords of a name that is there, and of names that nobody has. Generous: the machine is
    shared; without the comparison of nobody's hash they differ ten times."""
    add_user(server, "sun", "a password of Sun")

    def seconds(name: str) -> float:
        begun = time.perf_counter()
        assert token(server, username=name, password="wrong").status_code == 401
        return time.perf_counter() - begun

    seconds("warm-up")
    pairs = [(seconds("sun"), seconds("moon")) for _ in range(9)]
    known, unknown = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"wrong password {known * 1000:.0f} ms, unknown name {unknown * 1000:.0f} ms")
    assert 1 / 3 < known / unknown < 3


def test_sign_in_costs_little_more_than_its_hash(server: Server) -> None:
    took, hashing = [], []
    for _ in range(7):
        begun = time.perf_counter()
        signed_in(server, DOCTOR, DOCTORS)
        between = time.perf_counter()
        passwords.hashed("a password of nobody")
        took.append(between - begun)
        hashing.append(time.perf_counter() - between)
    said, hashed = statistics.median(took), statistics.median(hashing)
    print(f"sign-in {said * 1000:.0f} ms, a hash {hashed * 1000:.0f} ms")
    assert said < 20 * hashed


def test_an_expired_token_shows_who_asks_and_opens_nothing(server: Server, early: Page) -> None:
    old = early.access
    eventually(lambda: me(server, old) == 401, SHORT_SECONDS + 10, "it expires")
    assert early.renew(old).status_code == 200
    assert me(server, early.access) == 200
