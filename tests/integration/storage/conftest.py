"""Fixtures: an empty archive on a real PostgreSQL, in this process; checked when its test is over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from pacs.settings import Settings
from storage.archive import Archive
from storage.check import check
from storage.embedded import EmbeddedDatabase
from storage.setup import prepare


@pytest.fixture(scope="session")
def embedded(workspace: Path) -> Iterator[EmbeddedDatabase]:
    database = EmbeddedDatabase(workspace / "in-process" / "postgres")
    yield database
    database.stop()


@pytest.fixture
def archive(embedded: EmbeddedDatabase, tmp_path: Path) -> Iterator[Archive]:
    settings = Settings(
        data=tmp_path, database_url=embedded.url, disk_free_bytes_min=0, admin_password="a test's password"
    )
    opened = Archive.open(settings)
    with opened.database.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    prepare(opened)
    yield opened
    report = check(opened)
    opened.close()
    assert report.findings == []
