"""The benchmarks run from end to end; their figures mean nothing here."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.__main__ import main
from bench.peers import ORTHANC, available


def test_all_but_the_page_run_and_are_written(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    groups = ["store", "search", "retrieve"]
    assert (
        main(["--tiny", "--only", ",".join(groups), "--docs", str(tmp_path), "--folder", str(workspace)]) == 0
    )
    page = (tmp_path / "benchmarks.md").read_text()
    assert "acknowledged and indexed" in page
    assert "series as received" in page
    assert ("× Orthanc" in page) == (ORTHANC in available())
    assert str(workspace) not in page
    assert all((tmp_path / "benchmarks" / f"{name}.svg").exists() for name in groups)
    assert "Written" in capsys.readouterr().out


def test_an_unknown_group_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "everything"])
    assert "everything is none of" in capsys.readouterr().err
