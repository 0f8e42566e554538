"""Fixtures: an empty archive on a real PostgreSQL, in this process; checked when its test is over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pacs.settings import Settings
from storage.archive import Archive
from storage.check import check
from storage.embedded import EmbeddedDatabase
from tests.support.prepared import Prepared


@pytest.fixture(scope="session")
def embedded(workspace: Path) -> Iterator[EmbeddedDatabase]:
    database = EmbeddedDatabase(workspace / "in-process" / "postgres")
    yield database
    database.stop()


@pytest.fixture(scope="session")
def prepared() -> Prepared:
    return Prepared()


@pytest.fixture
def archive(embedded: EmbeddedDatabase, prepared: Prepared, tmp_path: Path) -> Iterator[Archive]:
    settings = Settings(
        data=tmp_path, database_url=embedded.url, disk_free_bytes_min=0, admin_password="a test's password"
    )
    opened = Archive.open(settings)
    prepared.again(opened)
    yield opened
    report = check(opened)
    opened.close()
    assert report.findings == []
