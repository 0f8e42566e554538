"""One browser for the tests of this folder that follow each other. It is closed before others: it holds its thread's
event loop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import browser


@pytest.fixture(scope="package", autouse=True)
def _browser() -> Iterator[None]:
    if browser.chromium() is None:
        yield
        return
    with browser.running():
        yield
