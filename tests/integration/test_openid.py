"""Sign-in with an OpenID provider: a real one (oidc-provider in Node), and one that lies in every way."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from pacs.access import Role
from storage.accounts import add_user
from tests.support.peers import opened
from tests.support.server import ROOT, Server, eventually, free_port
from tests.support.signing import bearer, token
from tests.support.watch import whole

CLIENT, SECRET = "tongying", "a client secret of the provider's own"
ROLES = "doctors=clinician,readers=radiologist"
DOCTOR = {"preferred_username": "wang", "name": "王医生", "role": "doctors", "facility": "LOCAL"}
TICKET = "urn:tongying:ticket"


def settings_of(server: Server, issuer: str, users: str) -> dict[str, str]:
    return {
        "TONGYING_OPENID_ISSUER": issuer, "TONGYING_PUBLIC_URL": server.url, "TONGYING_OPENID_CLIENT_ID": CLIENT,
        "TONGYING_OPENID_CLIENT_SECRET": SECRET, "TONGYING_OPENID_USERS": users, "TONGYING_OPENID_ROLES": ROLES,
    }  # fmt: skip


@pytest.fixture(scope="module")
def real(workspace: Path) -> Iterator[Server]:
    """With accounts from a real provider."""
    port = free_port()
    server = Server(workspace / "openid")
    server.extra |= settings_of(server, f"http://127.0.0.1:{port}", "provision")
    node = subprocess.run(
        [ROOT / "deploy" / "node-path.sh"], capture_output=True, text=True, check=True
    ).stdout.strip()
    environment = {
        **os.environ, "PATH": f"{node}:{os.environ['PATH']}", "PORT": str(port),
        "ACCOUNTS": str(accounts_of(server)), "CLIENT_ID": CLIENT,
        "CLIENT_SECRET": SECRET, "REDIRECT_URI": f"{server.url}/api/auth/openid/callback",
    }  # fmt: skip
    with subprocess.Popen(
        ["node", "provider.mjs"], cwd=ROOT / "tests" / "node", env=environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as provider:  # fmt: skip
        try:
            server.start()
            eventually(lambda: is_up(f"http://127.0.0.1:{port}/.well-known/openid-configuration"), 30)
            yield server
            whole(server)
        finally:
            provider.terminate()
            server.remove()


def accounts_of(server: Server) -> Path:
    """Whom the provider knows."""
    return server.data.parent / "openid-accounts.json"


def is_up(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def signed_in_there(server: Server, claims: dict[str, Any], back: str = "/") -> httpx.Response:
    """Through the provider's pages as a browser goes through them; the answer of our callback."""
    login = claims.get("sub", claims["preferred_username"])
    accounts_of(server).write_text(json.dumps({login: claims}))
    with httpx.Client(timeout=30) as browser:
        answer = browser.get(f"{server.url}/api/auth/openid", params={"back": back})
        for _ in range(20):
            if str(answer.url).startswith(f"{server.url}/api/auth/openid/callback"):
                return answer
            if answer.is_redirect:
                answer = browser.get(answer.url.join(answer.headers["location"]))
                continue
            action = re.search(r'action="([^"]+)"', answer.text)
            prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)
            assert action, answer.text
            assert prompt, answer.text
            form = {"prompt": prompt.group(1), "login": login, "password": "any"}
            answer = browser.post(str(answer.url.join(action.group(1))), data=form)
    raise AssertionError("it never came back")


def who(server: Server, answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 303, f"{answer.text} {server.tail(500)}"
    ticket = answer.headers["location"].partition("#ticket=")[2]
    got = token(server, grant_type=TICKET, ticket=ticket).raise_for_status().json()
    me: dict[str, Any] = httpx.get(f"{server.url}/api/me", headers=bearer(got)).raise_for_status().json()
    return me


def test_a_doctor_of_a_real_provider(real: Server) -> None:
    answer = signed_in_there(real, DOCTOR, back="/study/1.2.3")
    assert answer.headers["location"].startswith("/study/1.2.3#ticket=")
    me = who(real, answer)
    assert (me["user"], me["display_name"], me["role"], me["facility"]) == (
        "wang",
        "王医生",
        "clinician",
        "LOCAL",
    )
    again = who(real, signed_in_there(real, DOCTOR | {"preferred_username": "admin", "sub": "wang"}))
    assert again["user"] == "wang", "he is who his subject says, whatever name he bears now"
    moved = who(real, signed_in_there(real, DOCTOR | {"role": "readers"}))
    assert moved["role"] == "radiologist"
    assert signed_in_there(real, DOCTOR | {"role": "cleaners"}).status_code == 401, (
        "and who lost his role is out"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"preferred_username": "admin", "sub": "x1"}, {"preferred_username": "a/b", "sub": "x2"},
        {"preferred_username": "li", "sub": "x3", "role": "administrator"},
        {"preferred_username": "li", "sub": "x4", "role": None},
        {"preferred_username": "li", "sub": "x5", "facility": "NONE"},
        {"preferred_username": "x" * 100, "sub": "x6"},
    ],
    ids=str,
)  # fmt: skip
def test_who_gets_no_account(real: Server, changes: dict[str, Any]) -> None:
    assert signed_in_there(real, DOCTOR | changes).status_code == 401


@pytest.mark.parametrize(
    "back",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/study/1.2/../..",
        "javascript:1",
        "/study/1\n",
    ],
)
def test_it_leads_back_to_pages_of_ours_alone(real: Server, back: str) -> None:
    claims = {"preferred_username": "sun", "role": "readers"}
    assert signed_in_there(real, claims, back=back).headers["location"].startswith("/#ticket=")


class Liar:
    """A provider that answers with whatever ID token it is told to."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "1", "alg": "RS256", "use": "sig"})
        self.make: Callable[[dict[str, Any]], str] = lambda claims: self.signed(claims)
        liar = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/keys":
                    self.tell({"keys": [liar.key.as_dict(private=False)]})
                else:
                    self.tell({
                        "issuer": liar.issuer, "authorization_endpoint": f"{liar.issuer}/authorize",
                        "token_endpoint": f"{liar.issuer}/token", "jwks_uri": f"{liar.issuer}/keys",
                    })  # fmt: skip

            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                liar.asked = form
                body = {
                    "access_token": "x",
                    "token_type": "Bearer",
                    "id_token": liar.make(liar.claims(form["code"][0])),
                }
                self.tell(body)

            def tell(self, body: Any) -> None:
                content = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self.asked: dict[str, list[str]] = {}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def claims(self, code: str) -> dict[str, Any]:
        """Right ones; the code is the nonce."""
        now = int(time.time())
        return {
            "iss": self.issuer, "aud": CLIENT, "sub": "wang-of-the-liar", "nonce": code, "iat": now, "exp": now + 60,
            "preferred_username": "wang",
        }  # fmt: skip

    def signed(self, claims: dict[str, Any], **changes: Any) -> str:
        content = {k: v for k, v in (claims | changes).items() if v is not None}
        return jwt.encode({"alg": "RS256", "kid": "1"}, content, self.key)


@pytest.fixture(scope="module")
def lied_to(workspace: Path) -> Iterator[tuple[Server, Liar]]:
    liar = Liar()
    server = Server(workspace / "lied-to")
    server.extra |= settings_of(server, liar.issuer, "match")
    server.start()
    with opened(server) as archive:
        add_user(archive, "wang", "a doctor's password", Role.CLINICIAN)
    yield server, liar
    liar.server.shutdown()
    liar.server.server_close()
    server.remove()


@contextmanager
def gone(server: Server) -> Iterator[tuple[httpx.Client, dict[str, str]]]:
    """A browser that was sent to the provider, and with what."""
    with httpx.Client(base_url=server.url, timeout=30, headers=from_elsewhere()) as browser:
        answer = browser.get("/api/auth/openid")
        assert answer.status_code == 303, answer.text
        yield browser, {k: v[0] for k, v in parse_qs(urlsplit(answer.headers["location"]).query).items()}


def from_elsewhere() -> dict[str, str]:
    number = int.from_bytes(os.urandom(2), "big")
    return {"X-Forwarded-For": f"10.2.{number // 256}.{number % 256}"}


def back(browser: httpx.Client, **query: str) -> httpx.Response:
    return browser.get("/api/auth/openid/callback", params=query)


def test_what_is_right_is_taken(lied_to: tuple[Server, Liar]) -> None:
    """Hence what is wrong below fails for its fault."""
    server, liar = lied_to
    with gone(server) as (browser, sent):
        assert (sent["response_type"], sent["code_challenge_method"]) == ("code", "S256")
        assert sent["redirect_uri"] == f"{server.url}/api/auth/openid/callback"
        answer = back(browser, state=sent["state"], code=sent["nonce"])
        assert who(server, answer)["user"] == "wang"
        assert len(liar.asked["code_verifier"][0]) >= 43
        assert back(browser, state=sent["state"], code=sent["nonce"]).status_code == 401, (
            "the state is good once"
        )


def test_the_browser_that_went_comes_back(lied_to: tuple[Server, Liar]) -> None:
    """An attacker's own answer signs nobody else in (RFC 6819 4.4.1.8)."""
    server, liar = lied_to
    with gone(server) as (_, sent), gone(server) as (other, _others):
        assert back(other, state=sent["state"], code=sent["nonce"]).status_code == 401
    with gone(server) as (browser, sent):
        for state in ("", "x", sent["state"] + "x", "\0"):
            assert back(browser, state=state, code=sent["nonce"]).status_code == 401
        answer = back(browser, state=sent["state"], code=sent["nonce"], iss="http://elsewhere.example")
        assert answer.status_code == 401
        assert liar.issuer not in answer.text


Claims = dict[str, Any]
Lie = Callable[[Liar, Claims], str]
OTHER = RSAKey.generate_key(2048, {"kid": "1"})


def part(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def by_hand(head: Claims, claims: Claims, key: bytes) -> str:
    """HS256, which joserfc refuses to make with a public key."""
    content = f"{part(head)}.{part(claims)}"
    signature = hmac.digest(key, content.encode(), hashlib.sha256)
    return f"{content}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def with_public_key(liar: Liar, claims: Claims) -> str:
    return by_hand({"alg": "HS256", "kid": "1"}, claims, liar.key.as_pem(private=False))


def with_other_claims(liar: Liar, claims: Claims) -> str:
    head, _, signature = liar.signed(claims).split(".")
    return f"{head}.{part(claims | {'sub': 'boss'})}.{signature}"


def changed(**changes: Any) -> Lie:
    return lambda liar, c: liar.signed(c, **changes)


def shifted(name: str, seconds: int) -> Lie:
    return lambda liar, c: liar.signed(c, **{name: int(time.time()) + seconds})


LIES: dict[str, Lie] = {
    "nothing": lambda _, c: "",
    "alg none": lambda _, c: f"{part({'alg': 'none'})}.{part(c)}.",
    "alg none, signed": lambda liar, c: f"{part({'alg': 'none'})}.{part(c)}.{liar.signed(c).split('.')[2]}",
    "HS256 with the public key": with_public_key,
    "HS256 with our secret": lambda _, c: by_hand({"alg": "HS256"}, c, SECRET.encode()),
    "another key": lambda _, c: jwt.encode({"alg": "RS256", "kid": "1"}, c, OTHER),
    "a key in the header": lambda _, c: jwt.encode(
        {"alg": "RS256", "jwk": OTHER.as_dict(private=False)}, c, OTHER
    ),
    "other claims": with_other_claims,
    "another audience": changed(aud="another"),
    "no audience": changed(aud=None),
    "many audiences without azp": changed(aud=[CLIENT, "another"]),
    "another azp": changed(azp="another"),
    "another issuer": changed(iss="http://elsewhere.example"),
    "another nonce": changed(nonce="another"),
    "no nonce": changed(nonce=None),
    "expired": shifted("exp", -100),
    "no expiry": changed(exp=None),
    "too old": shifted("iat", -4000),
    "from the future": shifted("iat", 4000),
    "no subject": changed(sub=None),
    "a subject that is a list": changed(sub=["wang-of-the-liar"]),
    "another subject under the name": changed(sub="another"),
    "a name that nobody has": changed(sub="another", preferred_username="nobody"),
}


@pytest.mark.parametrize("what", list(LIES))
def test_lies(lied_to: tuple[Server, Liar], what: str) -> None:
    server, liar = lied_to
    with gone(server) as (browser, sent):  # wang is bound to his subject by the test above, or by this
        assert back(browser, state=sent["state"], code=sent["nonce"]).status_code == 303
    liar.make = lambda claims: LIES[what](liar, claims)
    try:
        with gone(server) as (browser, sent):
            answer = back(browser, state=sent["state"], code=sent["nonce"])
    finally:
        liar.make = liar.signed
    assert answer.status_code == 401
    assert "location" not in answer.headers


def test_without_a_provider_there_is_no_such_route(server: Server) -> None:
    assert httpx.get(f"{server.url}/api/auth/openid").status_code == 404
    assert httpx.get(f"{server.url}/api/auth/openid/callback").status_code == 404
