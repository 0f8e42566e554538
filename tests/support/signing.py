"""Signing in, in all its ways, as tests do it."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.server import PASSWORD, Server

OFFLINE = "offline_access"


def token(server: Server, **form: Any) -> httpx.Response:
    """What the token endpoint says."""
    return httpx.post(f"{server.url}/api/auth/token", data=form, timeout=30)


def signed_in(server: Server, name: str = "admin", password: str = PASSWORD, **form: Any) -> dict[str, Any]:
    """The tokens of a new session."""
    answer = token(server, username=name, password=password, **form)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def bearer(access: str | dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {access['access_token'] if isinstance(access, dict) else access}"}


def me(server: Server, access: str | dict[str, Any]) -> int:
    """The status of /api/me."""
    return httpx.get(f"{server.url}/api/me", headers=bearer(access), timeout=30).status_code


def add_user(server: Server, name: str, password: str, *options: str) -> None:
    """By the command line."""
    server.command("user", "add", name, *options, typed=f"{password}\n")


def staff(server: Server, name: str, facility: str | None, role: str = "administrator") -> None:
    """Somebody who works at a facility, or for the region."""
    account = {"name": name, "password": PASSWORD, "role": role, "facility": facility}
    server.client.post("/api/users", json=account).raise_for_status()


def client_of(server: Server, name: str) -> httpx.Client:
    """Signed in."""
    return httpx.Client(base_url=server.url, headers=bearer(signed_in(server, name)), timeout=60)


class Page(httpx.Client):
    """A page of the server in a browser: cookies, and the headers that browsers send."""

    def __init__(self, server: Server, **headers: str) -> None:
        origin = {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}
        super().__init__(base_url=server.url, timeout=30, headers=origin | headers)
        self.access = ""

    def sign_in(self, name: str = "admin", password: str = PASSWORD, **form: Any) -> dict[str, Any]:
        answer = self.post(
            "/api/auth/token", data={"username": name, "password": password, "cookie": "true", **form}
        )
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        self.access = found["access_token"]
        return found

    def renew(self, access: str = "", **headers: str) -> httpx.Response:
        answer = self.post(
            "/api/auth/token", data={"grant_type": "refresh_token", "cookie": "true"},
            headers=bearer(access or self.access) | headers,
        )  # fmt: skip
        if answer.status_code == 200:
            self.access = answer.json()["access_token"]
        return answer
