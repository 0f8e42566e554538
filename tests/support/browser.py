"""Debian's Chromium, headless, with WebGL in software, driven by Playwright."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from tests.support.server import PASSWORD, Server

ARGUMENTS = (
    "--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-gpu-compositing",  # the page without OpenGL in software, WebGL with it: half the time
)  # fmt: skip


def chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


_running: list[Browser] = []


@contextmanager
def running() -> Iterator[None]:
    """One browser for all pages that are opened meanwhile: to start and end it takes longer than most of them."""
    with sync_playwright() as playwright:
        _running.append(playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS)))
        try:
            yield
        finally:
            _running.pop().close()


@contextmanager
def page(
    *, width: int = 1280, height: int = 800, language: str = "en-US", touch: bool = False
) -> Iterator[Page]:
    """A page of the running browser, which shares neither cookies nor cache with another; fails the test for an
    uncaught error in the page."""
    with nullcontext() if _running else running():
        context = _running[-1].new_context(
            viewport={"width": width, "height": height}, locale=language, has_touch=touch
        )
        tab = context.new_page()
        errors: list[str] = []
        tab.on("pageerror", lambda error: errors.append(str(error)))
        try:
            yield tab
            assert errors == []
        finally:
            context.close()


def sign_in(tab: Page, server: Server, name: str = "admin") -> None:
    tab.goto(server.url)
    tab.get_by_test_id("username").fill(name)
    tab.get_by_test_id("password").fill(PASSWORD)
    tab.get_by_test_id("sign-in").click()
    tab.get_by_test_id("search").wait_for()


def screenshot(tab: Page, name: str) -> None:
    """Kept as `name`.png in the folder that TONGYING_SCREENSHOTS names, for people to look at."""
    if folder := os.environ.get("TONGYING_SCREENSHOTS"):
        tab.screenshot(path=f"{folder}/{name}.png")


def picture(element: Locator) -> NDArray[np.uint8]:
    """What an element shows: (rows, columns, 3)."""
    return np.asarray(Image.open(io.BytesIO(element.screenshot())).convert("RGB"))
