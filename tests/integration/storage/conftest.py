"""The object store tests say which S3 server they talked to: a pass on one is no pass on another."""

from __future__ import annotations

import pytest

from tests.support.services import s3_kind


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"S3 server of the tests: {s3_kind()}")
