"""Who may ask: tokens that are none, forged, expired or stolen from elsewhere, and guessing (contract.md, HTTP)."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from tests.support.pdu import Made, associated, made
from tests.support.server import PASSWORD, Server
from tests.support.watch import settled

# Without a provider the ways to one answer 404.
OPENID = {("get", "/api/auth/openid"), ("get", "/api/auth/openid/callback")}
PUBLIC = {("post", "/api/auth/token"), ("post", "/api/auth/link"), ("get", "/api/auth/ways"),
          ("get", "/fhir/metadata")} | OPENID  # fmt: skip
PROBLEM = "application/problem+json"
SECRET = "a signing key that only these tests know"
METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def api(workspace: Any) -> Iterator[Server]:
    """A server whose signing key is known, so that tokens can be made that are almost right."""
    running = Server(workspace / "access", extra={"TONGYING_SECRET": SECRET}).start()
    assert running.client  # signed in: the first session is his
    yield running
    running.remove()


@pytest.fixture(scope="module")
def study(api: Server) -> Made:
    one = made()
    with associated(api.dicom_port) as caller:
        assert caller.store(one.instance, one.data) == 0
        caller.release()
    settled(api)
    return one


def is_problem(answer: httpx.Response, status: int, word: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json()["type"].endswith("/" + word)


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    return {"iss": "tongying", "sub": "admin", "sid": 1, "iat": now, "exp": now + 600} | changes


def signed(content: dict[str, Any], key: str = SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode({"alg": algorithm}, content, OctKey.import_key(key), algorithms=[algorithm])


def part(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def tampered(token: str) -> str:
    """The same signature under other claims."""
    head, _, signature = token.split(".")
    return f"{head}.{part(claims(sub='root'))}.{signature}"


def without(name: str) -> dict[str, Any]:
    content = claims()
    del content[name]
    return content


def bad_tokens() -> dict[str, str]:
    """By what is wrong with them."""
    good = signed(claims())
    return {
        "nothing": "",
        "no token": "hello",
        "dots": "..",
        "three empty parts": f"{part({})}.{part({})}.",
        "no algorithm": f"{part({'alg': 'none'})}.{part(claims())}.",
        "no algorithm in capitals": f"{part({'alg': 'NONE'})}.{part(claims())}.",
        "no signature": good.rsplit(".", 1)[0] + ".",
        "another key": signed(claims(), "another key that nobody should take, and long"),
        "another algorithm": signed(claims(), algorithm="HS512"),
        "other claims": tampered(good),
        "expired": signed(claims(exp=int(time.time()) - 5)),
        "no expiry": signed(without("exp")),
        "an expiry that is a word": signed(claims(exp="tomorrow")),
        "an expiry that is infinite": signed(claims(exp=1e999)),
        "no issuer": signed(without("iss")),
        "another issuer": signed(claims(iss="elsewhere")),
        "no subject": signed(without("sub")),
        "an unknown subject": signed(claims(sub="nobody")),
        "a subject that is a list": signed(claims(sub=["admin"])),
        "a subject with NUL": signed(claims(sub="ad\0min")),
        "no session": signed(without("sid")),
        "no such session": signed(claims(sid=2**40)),
        "a session below all": signed(claims(sid=-1)),
        "a session beyond all": signed(claims(sid=2**70)),
        "a session that is a word": signed(claims(sid="1")),
        "a session that is true": signed(claims(sid=True)),
        "a session and a client": signed(claims(cid="admin")),
        "a client that is not there": signed(without("sid") | {"cid": "admin"}),
        "another client than its subject": signed(without("sid") | {"cid": "his"}),
        "not yet": signed(claims(nbf=int(time.time()) + 60)),
        "from the future": signed(claims(iat=int(time.time()) + 600)),
        "a key that nobody has": jwt.encode(
            {"alg": "HS256", "kid": "../x"}, claims(), OctKey.import_key(SECRET)
        ),
        "claims that are a list": f"{part({'alg': 'HS256'})}.{part([1])}.{good.rsplit('.', 1)[1]}",
        "a key in the header": f"{part({'alg': 'HS256', 'jwk': {'kty': 'oct', 'k': 'AA'}})}.{part(claims())}.AAAA",
        "a critical header": f"{part({'alg': 'HS256', 'crit': ['x']})}.{part(claims())}.AAAA",
        "100 kB": "a" * 20_000 + "." + "b" * 20_000 + "." + "c" * 20_000,
    }


@pytest.mark.parametrize("what", list(bad_tokens()))
def test_bad_token(api: Server, study: Made, what: str) -> None:
    answer = httpx.get(
        f"{api.url}/api/me", headers={"Authorization": f"Bearer {bad_tokens()[what]}".rstrip()}
    )
    if what == "100 kB" and answer.status_code in (400, 431):
        return  # the HTTP server itself refuses such a header
    is_problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_good_token(api: Server) -> None:
    """The ones above fail for their fault, not because none would do."""
    answer = httpx.get(f"{api.url}/api/me", headers={"Authorization": f"Bearer {signed(claims())}"})
    assert (answer.status_code, answer.json()["user"]) == (200, "admin")


@pytest.mark.parametrize("scheme", ["Basic", "bearer ", "Token", "Bearer Bearer"])
def test_other_schemes(api: Server, scheme: str) -> None:
    answer = httpx.get(f"{api.url}/api/me", headers={"Authorization": f"{scheme} x"})
    is_problem(answer, 401, "unauthorized")


def test_a_token_in_the_address_is_not_taken(api: Server) -> None:
    """Addresses end in logs and histories."""
    for name in ("token", "access_token", "authorization"):
        is_problem(httpx.get(f"{api.url}/api/me", params={name: signed(claims())}), 401, "unauthorized")


def routes(api: Server) -> list[tuple[str, str]]:
    document = httpx.get(f"{api.url}/api/openapi.json").raise_for_status().json()
    return [(m, path) for path, item in document["paths"].items() for m in METHODS if m in item]


def filled(path: str, study: Made) -> str:
    """A path of the OpenAPI document with parameters of what is there."""
    known = {"study_uid": study.study, "series_uid": study.series, "sop_instance": study.instance}
    return re.sub(r"{(\w+)(:\w+)?}", lambda m: known.get(m.group(1), "1"), path)


def test_every_route_asks_who_is_there(api: Server, study: Made) -> None:
    """None answers anything but 401 without a token, whether its resource exists or not."""
    asked = [r for r in routes(api) if r not in PUBLIC]
    assert len(asked) > 15
    with httpx.Client(base_url=api.url, timeout=30) as client:
        for method, path in asked:
            for address in (filled(path, study), re.sub(r"{[^}]+}", "1.2.3", path)):
                answer = client.request(method, address)
                assert answer.status_code == 401, f"{method} {path} answers {answer.status_code}"
                is_problem(answer, 401, "unauthorized")
                assert study.study not in answer.text


def test_nothing_of_a_study_is_told_without_a_token(api: Server, study: Made) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/api/openapi.json", "/", f"/studies/{study.study}"):
        answer = httpx.get(api.url + path)
        assert answer.status_code < 500 or "make web" in answer.text
        assert study.study not in answer.text


def test_safe_headers_stand_on_errors_too(api: Server) -> None:
    for path in ("/api/me", "/api/nothing", "/", "/healthz"):
        answer = httpx.get(api.url + path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]


# Sign-in


def sign_in(api: Server, **form: str) -> httpx.Response:
    return httpx.post(f"{api.url}/api/auth/token", data=form, timeout=30)


def test_wrong_credentials_tell_nothing(api: Server) -> None:
    """A name that nobody has gives the answer of a wrong password, word for word."""
    one = sign_in(api, username="admin", password="wrong")
    other = sign_in(api, username="nobody-has-this-name", password="wrong")
    is_problem(one, 401, "unauthorized")
    assert one.json() == other.json()


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"username": "admin"},
        {"password": PASSWORD},
        {"username": "", "password": ""},
        {"username": "admin\0", "password": PASSWORD},
        {"username": "admin", "password": PASSWORD, "grant_type": "client_credentials"},
        {"username": "ad'min--", "password": "x"},
        {"username": "x" * 100_000, "password": "y" * 100_000},
    ],
)
def test_bad_sign_in(api: Server, form: dict[str, str]) -> None:
    answer = sign_in(api, **form)
    assert answer.status_code in (400, 401, 413, 422), answer.text
    assert answer.headers["content-type"] == PROBLEM


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"username": "admin", "password": "x"}'),
        ("application/x-www-form-urlencoded", b"\xff\xfe%00%zz&&&=&=="),
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=\"username\"\r\n"),
        ("text/plain", b"hello"),
        ("application/x-www-form-urlencoded", b"username=" + b"a" * 3_000_000),
        ("application/x-www-form-urlencoded", b"&".join(b"a%d=1" % i for i in range(20_000))),
        ("application/x-www-form-urlencoded; charset=klingon", b"username=a&password=b"),
    ],
)  # fmt: skip
def test_bodies_that_are_not_what_they_claim(api: Server, content_type: str, body: bytes) -> None:
    answer = httpx.post(
        f"{api.url}/api/auth/token", content=body, headers={"Content-Type": content_type}, timeout=30
    )
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == PROBLEM


def test_a_large_body_is_refused_early(api: Server) -> None:
    """Announced or not, and also as a file in a form, which else would go to the disk."""

    def pieces() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\n'
        for _ in range(200):
            yield bytes(100_000)

    content_type = {"Content-Type": "multipart/form-data; boundary=x"}
    for body in (b"".join(pieces()), pieces()):
        try:
            answer = httpx.post(f"{api.url}/api/auth/token", content=body, headers=content_type, timeout=30)
        except (httpx.WriteError, httpx.ReadError):
            continue  # it answered and closed while we still sent
        is_problem(answer, 413, "too-large")


def test_guessing_is_slowed_down(api: Server) -> None:
    answers = [sign_in(api, username="guessed", password=f"guess {n}") for n in range(12)]
    assert [a.status_code for a in answers] == [401] * 10 + [429] * 2
    is_problem(answers[-1], 429, "too-many-requests")
    assert int(answers[-1].headers["retry-after"]) > 0
    assert sign_in(api, username="admin", password=PASSWORD).status_code == 200, "others may sign in"


def test_guessing_at_once_is_slowed_down_too(api: Server) -> None:
    """Twenty guesses at the same moment are twenty guesses."""
    answers: list[int] = []

    def guess(number: int) -> None:
        answers.append(sign_in(api, username="guessed-at-once", password=f"guess {number}").status_code)

    threads = [threading.Thread(target=guess, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count(401) <= 10, "no more than ten were tried"
    assert answers.count(429) >= 10
