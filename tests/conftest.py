"""Fixtures: one running server for each test process, shared by the tests that only add to it."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from unittest import mock

import httpx
import pytest

from tests.support.server import Server
from tests.support.services import s3_kind

SLOWEST_FIRST = ("faults", "integration", "e2e", "conformance", "unit", "house")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each process is given whole modules: the quick ones come last, and fill up what the slow ones leave."""
    here = Path(__file__).parent
    items.sort(key=lambda item: SLOWEST_FIRST.index(item.path.relative_to(here).parts[0]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"S3 server of the tests: {s3_kind()}")


@pytest.fixture(scope="session", autouse=True)
def _quiet_temporary_names() -> None:
    socket.setdefaulttimeout(60)


@pytest.fixture(scope="session", autouse=True)
def _authorities_are_read_once() -> Iterator[None]:
    """httpx reads those of the whole world for each client, also for one that speaks plain HTTP: with each `httpx.get`
    20 ms of a core, fifty times a second where a test waits for something."""
    with mock.patch("httpx._transports.default.create_ssl_context", cache(httpx.create_ssl_context)):
        yield


@pytest.fixture(scope="session")
def workspace() -> Iterator[Path]:
    """A short path: Unix sockets allow 107 characters, which pytest's own folders exceed."""
    with tempfile.TemporaryDirectory(prefix="ty-", dir=os.environ.get("TONGYING_TEST_DIR", "/tmp")) as folder:
        path = Path(folder)
        path.chmod(0o755)  # the embedded PostgreSQL runs as a user of its own when we are root
        yield path


@pytest.fixture(scope="session")
def server(workspace: Path) -> Iterator[Server]:
    """A running server; tests add studies with UIDs of their own and must not count on being alone."""
    running = Server(workspace / "server", anew=True).start()
    yield running
    running.stop()


@pytest.fixture
def own_server(workspace: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server for one test alone, empty."""
    running = Server(workspace / f"own-{abs(hash(request.node.nodeid)) % 10**8}").start()
    yield running
    running.remove()
