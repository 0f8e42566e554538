"""Signing in at the page: it goes on past the life of a token, asks for a second factor, and no step is skipped."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pacs import totp
from tests.support import browser
from tests.support.server import PASSWORD, Server
from tests.support.signing import add_user

SHORT_SECONDS = 30
TOKEN = "sessionStorage.getItem('tongying.token')"


@pytest.fixture(scope="module")
def server(workspace: Path) -> Iterator[Server]:
    extra = {"TONGYING_TOKEN_SECONDS": str(SHORT_SECONDS), "TONGYING_SECOND_FACTOR_ROLES": ""}
    running = Server(workspace / "signing-in", extra=extra).start()
    yield running
    running.remove()


@pytest.fixture(scope="module")
def strict(workspace: Path) -> Iterator[Server]:
    running = Server(
        workspace / "strict-page", extra={"TONGYING_SECOND_FACTOR_ROLES": "administrator"}
    ).start()
    add_user(running, "wang", "chosen by somebody else", "--must-change")
    yield running
    running.remove()


def test_who_reads_is_not_thrown_out(server: Server) -> None:
    """The token is renewed while nothing is asked for, and when the server says that it is over."""
    with browser.page() as tab:
        browser.sign_in(tab, server)
        first = tab.evaluate(TOKEN)
        tab.wait_for_function(f"token => {TOKEN} !== token", arg=first, timeout=(SHORT_SECONDS + 10) * 1000)
        assert tab.get_by_test_id("search").is_visible()
        assert "tongying_session" not in tab.evaluate("document.cookie"), "scripts do not see it"
        tab.evaluate(f"sessionStorage.setItem('tongying.token', '{first}')")  # as after a long sleep
        tab.evaluate("sessionStorage.setItem('tongying.expires', '0')")
        tab.reload()
        tab.get_by_test_id("search").wait_for()
        tab.wait_for_function(f"token => {TOKEN} !== token", arg=first)
        cookies = tab.context.cookies()
        assert [(c["httpOnly"], c["sameSite"]) for c in cookies] == [(True, "Strict")]


def test_first_steps_and_second_factor(strict: Server) -> None:
    with browser.page(language="zh-CN") as tab:
        tab.goto(strict.url)
        tab.get_by_test_id("username").fill("wang")
        tab.get_by_test_id("password").fill("chosen by somebody else")
        tab.get_by_test_id("sign-in").click()
        tab.get_by_test_id("new-password").fill(PASSWORD)
        tab.get_by_test_id("again").fill(PASSWORD)
        tab.get_by_test_id("go-on").click()
        secret = base64.b32decode(tab.get_by_test_id("secret").inner_text())
        assert tab.locator("form img").evaluate("image => image.naturalWidth") > 100, "the QR code is drawn"
        step = int(time.time()) // totp.STEP_SECONDS
        tab.get_by_test_id("code").fill(totp.code(secret, step - 1))
        tab.get_by_test_id("go-on").click()
        assert len(tab.get_by_test_id("recovery-codes").inner_text().split()) == 10
        tab.get_by_test_id("go-on").click()
        tab.get_by_test_id("search").wait_for()
        tab.evaluate("sessionStorage.clear()")
        tab.goto(strict.url)
        tab.get_by_test_id("username").fill("wang")
        tab.get_by_test_id("password").fill(PASSWORD)
        tab.get_by_test_id("sign-in").click()
        tab.get_by_test_id("code").fill(totp.code(secret, step))
        tab.get_by_test_id("sign-in").click()
        tab.get_by_test_id("search").wait_for()
