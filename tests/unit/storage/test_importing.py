"""What an import finds under the paths it is given."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from storage.importing import find


def test_a_folder_that_cannot_be_read_is_found_so_that_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("open/a", "closed/b"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"1")
    scandir = os.scandir

    def refused(path: str) -> Any:
        if path.endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    assert [s.path.name for s in find([tmp_path])] == ["a", "closed"]
