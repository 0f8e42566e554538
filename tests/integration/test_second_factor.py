"""The second factor (RFC 6238): enrolled, asked for, spent once, and required of roles."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pacs import totp
from tests.integration.test_identity import PASSCODE, asked, identity
from tests.support.pdu import ASSOCIATE_RJ
from tests.support.server import PASSWORD, Server
from tests.support.signing import add_user, bearer, me, signed_in, token
from tests.support.watch import whole

DOCTORS = "a doctor's password"


@pytest.fixture(scope="module")
def server(workspace: Path) -> Iterator[Server]:
    running = Server(workspace / "factor").start()
    yield running
    whole(running)
    running.remove()


@pytest.fixture(scope="module")
def strict(workspace: Path) -> Iterator[Server]:
    """Whose administrators must have a second factor."""
    running = Server(
        workspace / "strict", extra={"TONGYING_SECOND_FACTOR_ROLES": "administrator, auditor"}
    ).start()
    yield running
    running.remove()


def enrolled(server: Server, name: str) -> tuple[bytes, dict[str, Any]]:
    """A new user's secret, and what the confirmation answered."""
    add_user(server, name, DOCTORS)
    got = signed_in(server, name, DOCTORS)
    address = f"{server.url}/api/me/second-factor"
    answer = httpx.post(address, json={"password": DOCTORS}, headers=bearer(got))
    assert answer.status_code == 201, answer.text
    told = answer.json()
    secret = base64.b32decode(told["secret"])
    assert told["uri"].startswith("otpauth://totp/Tongying:")
    assert told["qr"].startswith("<?xml") or told["qr"].startswith("<svg")
    assert signed_in(server, name, DOCTORS), "it is not asked for before it was confirmed"
    wrong = httpx.post(f"{address}/confirm", json={"code": "000000"}, headers=bearer(got))
    assert wrong.status_code == 400
    form = {"code": totp.code(secret, now_step() - 1)}
    confirmed = httpx.post(f"{address}/confirm", json=form, headers=bearer(got))
    assert confirmed.status_code == 200, confirmed.text
    return secret, confirmed.json()


def now_step() -> int:
    return int(time.time()) // totp.STEP_SECONDS


def test_it_is_asked_for_and_taken_once(server: Server) -> None:
    secret, confirmed = enrolled(server, "wang")
    assert me(server, confirmed["token"]) == 200
    missing = token(server, username="wang", password=DOCTORS)
    assert missing.status_code == 401
    assert missing.json()["type"].endswith("/second-factor-required")
    wrong = token(server, username="wang", password="wrong", code="123456")
    assert wrong.json()["type"].endswith("/unauthorized"), "who has no password is not told that there is one"
    old = totp.code(secret, now_step() - 1)
    assert token(server, username="wang", password=DOCTORS, code=old).status_code == 401, (
        "it confirmed already"
    )
    code = totp.code(secret, now_step())
    assert token(server, username="wang", password=DOCTORS, code=f" {code[:3]} {code[3:]}").status_code == 200
    assert token(server, username="wang", password=DOCTORS, code=code).status_code == 401, "replayed"


def test_recovery_codes_stand_for_it_once_each(server: Server) -> None:
    _, confirmed = enrolled(server, "li")
    codes = confirmed["recovery_codes"]
    assert len(set(codes)) == 10
    for code in codes[:2]:
        assert token(server, username="li", password=DOCTORS, code=code.upper()).status_code == 200
        assert token(server, username="li", password=DOCTORS, code=code).status_code == 401
    add_user(server, "thief", DOCTORS)
    assert token(server, username="thief", password=DOCTORS, code=codes[2]).status_code == 200, (
        "no factor, no question"
    )
    assert token(server, username="li", password=DOCTORS, code=codes[2]).status_code == 200, (
        "and nothing was spent"
    )


def test_codes_are_guessed_no_faster_than_passwords(server: Server) -> None:
    enrolled(server, "zhao")
    answers = [
        token(server, username="zhao", password=DOCTORS, code=f"{n:06}").status_code for n in range(12)
    ]
    assert answers[-1] == 429
    assert set(answers) == {401, 429}


def test_it_is_taken_off_by_password_and_code_only(server: Server) -> None:
    secret, confirmed = enrolled(server, "qian")
    address, headers = f"{server.url}/api/me/second-factor", bearer(confirmed["token"])
    assert httpx.get(address, headers=headers).json() == {"active": True}
    assert httpx.post(address, json={"password": DOCTORS}, headers=headers).status_code == 401
    proof = {"password": DOCTORS, "code": confirmed["recovery_codes"][1]}
    assert httpx.post(address, json=proof, headers=headers).status_code == 409, "none replaces it"

    def removed(**form: str) -> int:
        return httpx.request("DELETE", address, json=form, headers=headers).status_code

    assert removed(password=DOCTORS) == 401
    assert removed(password="wrong", code=totp.code(secret, now_step())) == 403
    assert removed(password=DOCTORS, code=confirmed["recovery_codes"][0]) == 204
    assert token(server, username="qian", password=DOCTORS).status_code == 200


def test_the_command_takes_it_off_who_lost_the_device(server: Server) -> None:
    enrolled(server, "sun")
    server.run("user", "forget-factor", "sun")
    assert token(server, username="sun", password=DOCTORS).status_code == 200
    assert server.run("user", "forget-factor", "sun", check=False).returncode == 1


def test_a_passcode_at_a_device_does_not_go_around_it(server: Server) -> None:
    enrolled(server, "zhou")
    answer = asked(server, identity(PASSCODE, b"zhou", DOCTORS.encode()), calling="BYPASS")
    assert answer.kind == ASSOCIATE_RJ


def test_a_role_must_have_one(strict: Server) -> None:
    got = signed_in(strict)
    assert got["must"] == "second_factor"
    assert httpx.get(f"{strict.url}/api/studies", headers=bearer(got)).status_code == 403
    address = f"{strict.url}/api/me/second-factor"
    told = httpx.post(address, json={"password": PASSWORD}, headers=bearer(got)).raise_for_status().json()
    form = {"code": totp.code(base64.b32decode(told["secret"]), now_step())}
    done = httpx.post(f"{address}/confirm", json=form, headers=bearer(got)).raise_for_status().json()
    assert httpx.get(f"{strict.url}/api/studies", headers=bearer(done["token"])).status_code == 200
    proof = {"password": PASSWORD, "code": done["recovery_codes"][0]}
    assert httpx.request("DELETE", address, json=proof, headers=bearer(done["token"])).status_code == 403


def test_an_administrator_resets_it(server: Server) -> None:
    """For a user who lost the device, and the recovery codes too."""
    secret, confirmed = enrolled(server, "lost-device")
    reset = f"{server.url}/api/users/lost-device/second-factor"

    def listed() -> bool:
        users = server.get("/api/users", q="lost-device")["users"]
        return bool(users[0]["second_factor"])

    assert listed()
    assert [server.client.delete(reset).status_code for _ in range(2)] == [204, 404]
    assert not listed()
    assert signed_in(server, "lost-device", DOCTORS)
    spent = {"username": "lost-device", "password": DOCTORS, "code": totp.code(secret, now_step())}
    assert token(server, **spent).status_code == 200, "a code is not asked for, and does no harm"
    assert me(server, confirmed["token"]) == 401
