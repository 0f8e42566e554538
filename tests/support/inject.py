"""Faults put into a running process with strace: errors of system calls, and SIGKILL at the n-th of them."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.server import eventually


@contextmanager
def injected(pid: int, calls: str, what: str, folder: Path) -> Iterator[Path]:
    """While the block runs, `what` (`error=EIO:when=3`, `signal=KILL:when=2`) is done to these system calls of the
    process and its threads; gives strace's own log. Skips the test where a process cannot be traced."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    log = folder / "strace.log"
    said = folder / "strace.err"
    with said.open("wb") as complaints:
        command = [
            "strace",
            "-f",
            "-qq",
            "-o",
            str(log),
            "-e",
            f"trace={calls}",
            "-e",
            f"inject={calls}:{what}",
        ]
        strace = subprocess.Popen([*command, "-p", str(pid)], stderr=complaints)
    try:
        eventually(lambda: strace.poll() is not None or _traced(pid), 20, "strace is attached")
        if strace.poll() is not None and "not permitted" in said.read_text():
            pytest.skip("processes cannot be traced here")
        yield log
    finally:
        strace.send_signal(signal.SIGINT)
        try:
            strace.wait(20)
        except (
            subprocess.TimeoutExpired
        ):  # it may hang over a thread that died under it, and would keep it a zombie
            strace.kill()
            strace.wait(20)


def _traced(pid: int) -> bool:
    """Whether each thread of the process has a tracer."""
    try:
        states = [(task / "status").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return all("TracerPid:\t0\n" not in state for state in states)


def times(log: Path) -> int:
    """How often something was injected."""
    return log.read_text(errors="replace").count("(INJECTED)") if log.exists() else 0
