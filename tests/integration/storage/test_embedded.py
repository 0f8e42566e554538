"""The embedded PostgreSQL comes back whatever a killed one left."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from storage.embedded import EMPTY_SECONDS_MAX, EmbeddedDatabase
from tests.support.server import eventually


@pytest.fixture(scope="module")
def embedded(workspace: Path) -> Iterator[EmbeddedDatabase]:
    database = EmbeddedDatabase(workspace / "embedded" / "postgres")
    yield database
    database.ensure_running()
    database.stop()


@pytest.mark.parametrize(
    "left", ["all", "7 lines", "5 lines", "nothing", "another's number", "another's, 7 lines"]
)
def test_it_comes_back(embedded: EmbeddedDatabase, left: str) -> None:
    """Of a server that was killed while it started, or before the machine was started again."""
    file = embedded._directory / "postmaster.pid"
    lines = file.read_text().splitlines()
    os.kill(int(lines[0]), signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{lines[0]}").exists(), 10, "it is gone")
    if "another" in left:
        lines[0] = str(os.getpid())
    count = {"7": 7, "5": 5, "n": 0}.get(left.removeprefix("another's, ")[0], len(lines))
    file.write_text("".join(f"{line}\n" for line in lines[:count]))
    if not count:
        long_ago = time.time() - 2 * EMPTY_SECONDS_MAX
        os.utime(file, (long_ago, long_ago))
    deadline = time.monotonic() + 30
    while True:
        try:
            embedded.ensure_running()
            break
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    with psycopg.connect(embedded.url.replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
