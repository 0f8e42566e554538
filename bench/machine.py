"""The machine of a run, without a name or a path."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

import psutil

from bench.peers import ORTHANC, STORESCP, TONGYING


def describe(folder: Path, versions: dict[str, str]) -> list[tuple[str, str]]:
    """What a reader needs to compare: hardware, kernel, file system, versions."""
    found = [
        ("cores", str(os.cpu_count())),
        ("CPU", _cpu_model()),
        ("memory", f"{psutil.virtual_memory().total / 2**30:.0f} GiB"),
        ("kernel", f"{platform.system()} {platform.release()}"),
        ("file system", _file_system(folder)),
        ("Python", platform.python_version()),
        ("Tongying", versions[TONGYING]),
    ]
    if ORTHANC in versions:
        found.append(
            (
                "Orthanc",
                f"{versions[ORTHANC]}, DICOMweb plug-in, SQLite index; as it comes but for PDUs of 128 kB",
            )
        )
    if STORESCP in versions:
        found.append(("storescp, storescu", f"DCMTK {versions[STORESCP]}"))
    if chromium := _said(["chromium", "--version"], r"Chromium (\S+)"):
        found.append(("Chromium", chromium))
    return found


def _cpu_model() -> str:
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return model[1] if model else platform.machine()


def _file_system(folder: Path) -> str:
    mounts = [p for p in psutil.disk_partitions(all=True) if folder.resolve().is_relative_to(p.mountpoint)]
    return max(mounts, key=lambda p: len(p.mountpoint)).fstype if mounts else "unknown"


def _said(command: list[str], pattern: str) -> str:
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout
    except FileNotFoundError:
        return ""
    found = re.search(pattern, said)
    return found[1] if found else ""
