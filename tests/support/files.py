"""DICOM files for the tests: those in the packages pydicom and pydicom-data, and `../shared/data` where it is there."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pydicom.data

from tests.support.server import ROOT

SHARED = ROOT.parent / "shared" / "data"


@cache
def shared_files() -> list[Path]:
    """All files of the shared folder; empty where it is not there."""
    return (
        sorted(p for p in SHARED.rglob("*") if p.is_file() and p.suffix != ".md") if SHARED.exists() else []
    )


@cache
def package_files() -> dict[str, Path]:
    """pydicom's own test files by name; none is downloaded."""
    roots = [Path(pydicom.data.__file__).parent / "test_files"]
    try:
        import data_store  # type: ignore[import-untyped]  # the package pydicom-data

        roots.append(Path(data_store.__file__).parent / "data")
    except ImportError:
        pass
    return {p.name: p for root in roots for p in sorted(root.rglob("*")) if p.is_file()}


def package_file(name: str) -> Path:
    return package_files()[name]
