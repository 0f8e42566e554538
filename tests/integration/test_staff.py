"""Users as administrators look after them: what they are told, what they may do, and what is none of theirs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import PASSWORD, Server, eventually
from tests.support.signing import client_of, me, signed_in, staff, token

WAYS = (("POST", "sign-out", None), ("POST", "unlock", None), ("DELETE", "second-factor", None),
        ("PUT", "password", {"password": "chosen by the neighbour"}))  # fmt: skip
FAILURES = 3
KNOWN_SECONDS = 6  # storage.tokens.USER_CACHE_SECONDS, and the way there


@pytest.fixture(scope="module")
def server(workspace: Path) -> Iterator[Server]:
    running = Server(workspace / "staff", extra={"TONGYING_LOCKOUT_FAILURES": str(FAILURES)}).start()
    for code in ("NORTH", "SOUTH"):
        running.client.post("/api/facilities", json={"code": code}).raise_for_status()
        staff(running, f"admin-{code.lower()}", code)
    staff(running, "dr-south", "SOUTH", "clinician")
    yield running
    running.remove()


def told(server: Server, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(u for u in server.get("/api/users")["users"] if u["name"] == name)
    return found


def test_what_is_told_of_an_account(server: Server) -> None:
    """Where nobody ever signed in, after a sign-in, and while it is closed."""
    staff(server, "new", "SOUTH", "clinician")
    assert told(server, "new") == {
        "name": "new", "display_name": "new", "role": "clinician", "facility": "SOUTH", "department": None,
        "active": True, "must_change": False, "second_factor": False, "sessions": 0, "last_sign_in": None,
        "closed_until": None,
    }  # fmt: skip
    signed_in(server, "new")
    assert told(server, "new")["sessions"] == 1
    assert told(server, "new")["last_sign_in"]
    for _ in range(FAILURES):
        token(server, username="new", password="wrong")
    assert told(server, "new")["closed_until"]
    assert token(server, username="new", password=PASSWORD).status_code == 429
    assert server.client.post("/api/users/new/unlock").status_code == 204
    assert told(server, "new")["closed_until"] is None
    signed_in(server, "new")


def test_all_sessions_end(server: Server) -> None:
    staff(server, "leaving", "SOUTH", "clinician")
    access = [signed_in(server, "leaving") for _ in range(2)]
    answer = server.client.post("/api/users/leaving/sign-out")
    assert (answer.status_code, answer.json()) == (200, {"sessions": 2})
    eventually(lambda: [me(server, one) for one in access] == [401, 401], KNOWN_SECONDS)


def test_what_was_disabled_begins_anew(server: Server) -> None:
    staff(server, "away", "SOUTH", "clinician")
    access = signed_in(server, "away", scope="offline_access")
    for active in (False, True):
        assert server.client.patch("/api/users/away", json={"active": active}).status_code == 204
        assert told(server, "away")["active"] is active
    renewed = token(server, grant_type="refresh_token", refresh_token=access["refresh_token"])
    assert renewed.status_code == 401
    eventually(lambda: me(server, access) == 401, KNOWN_SECONDS)
    signed_in(server, "away")


def test_a_disabled_account_stays_so(server: Server) -> None:
    """Whatever else of it is changed."""
    staff(server, "asleep", "SOUTH", "clinician")
    server.client.patch("/api/users/asleep", json={"active": False}).raise_for_status()
    server.client.patch("/api/users/asleep", json={"display_name": "Asleep"}).raise_for_status()
    assert (told(server, "asleep")["active"], told(server, "asleep")["display_name"]) == (False, "Asleep")


def test_a_password_is_given_for_once(server: Server) -> None:
    staff(server, "forgetful", "SOUTH", "clinician")
    given = {"password": "read out by telephone"}
    assert (
        server.client.put("/api/users/forgetful/password", json={"password": "password"}).status_code == 400
    )
    assert server.client.put("/api/users/forgetful/password", json=given).status_code == 204
    assert token(server, username="forgetful", password=PASSWORD).status_code == 401
    assert signed_in(server, "forgetful", **given)["must"] == "password"
    assert told(server, "forgetful")["must_change"]


def test_what_is_anothers_looks_as_if_it_were_not_there(server: Server) -> None:
    with client_of(server, "admin-north") as client:
        for name in ("dr-south", "admin", "nobody", "%00"):
            for method, way, body in WAYS:
                answer = client.request(method, f"/api/users/{name}/{way}", json=body)
                assert (answer.status_code, answer.json()["detail"]) == (404, "there is no such user"), (
                    name,
                    way,
                )
        assert client.get("/api/users", params={"facility": "SOUTH"}).status_code == 404
        assert [u["name"] for u in client.get("/api/users").json()["users"]] == ["admin-north"]
        assert [f["code"] for f in client.get("/api/facilities").json()["facilities"]] == ["NORTH"]
    signed_in(server, "dr-south")


def test_ones_own_credentials_are_changed_with_the_password(server: Server) -> None:
    with client_of(server, "admin-north") as client:
        statuses = {way: client.request(method, f"/api/users/admin-north/{way}", json=body).status_code
                    for method, way, body in reversed(WAYS)}  # fmt: skip
    assert statuses == {"password": 403, "second-factor": 403, "unlock": 204, "sign-out": 200}


def test_others_administer_nobody(server: Server) -> None:
    with client_of(server, "dr-south") as client:
        for name in ("dr-south", "admin", "nobody"):
            answers = [client.request(m, f"/api/users/{name}/{way}", json=body) for m, way, body in WAYS]
            assert [a.status_code for a in answers] == [403] * len(WAYS)


def test_users_are_listed_page_by_page(server: Server) -> None:
    names: list[str] = []
    after: str | None = ""
    pages = 0
    while after is not None:
        pages += 1
        page = server.get("/api/users", limit=2, after=after)
        names += [user["name"] for user in page["users"]]
        after = page["next_after"]
    assert names == [user["name"] for user in server.get("/api/users")["users"]]
    assert len(names) == len(set(names))
    assert pages == (len(names) + 1) // 2 > 1
    assert [u["name"] for u in server.get("/api/users", q="DR-", facility="SOUTH")["users"]] == ["dr-south"]
    assert server.get("/api/users", q="%")["users"] == [], "no wildcard"


def test_how_far_facilities_share_is_listed(server: Server) -> None:
    server.client.put("/api/facilities/NORTH/sharing", json={"scope": "registered"}).raise_for_status()
    listed = {f["code"]: f["scope"] for f in server.get("/api/facilities")["facilities"]}
    assert (listed["NORTH"], listed["SOUTH"]) == ("registered", "none")
