"""The crew: what ends is started again, and nothing that befalls it takes the others along."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

PROGRAM = """
    import ctypes, os, sys, threading, time, signal
    from pathlib import Path
    from pacs import crew

    folder, what = Path(sys.argv[1]), sys.argv[2]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())

    def serve(number):
        (folder / f"{number}.{os.getpid()}").touch()
        if what == "dies" and number == 1 and len(list(folder.glob("1.*"))) == 1:
            os._exit(3)
        while not stop.is_set():
            time.sleep(0.02)
        return 0

    if what == "orphan":  # as the first process of a container
        ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
        if os.fork() == 0:
            if os.fork() == 0:
                time.sleep(0.5)
            os._exit(0)
    if what == "no fork":
        real, tries = os.fork, []
        def fork():
            tries.append(1)
            if len(tries) == 2:
                raise BlockingIOError(11, "Resource temporarily unavailable")
            return real()
        os.fork = fork
    sys.exit(crew.Crew(2, serve, close=lambda: None).run(stop))
"""


def run(folder: Path, what: str, seconds: float = 20) -> tuple[int, dict[str, int]]:
    """Its status after SIGTERM, and how often each number was started; it is told to stop when both run."""
    program = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(folder), what]
    with subprocess.Popen(program, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as crew:
        deadline, wanted = time.monotonic() + seconds, 2 if what == "dies" else 1
        while time.monotonic() < deadline and (
            len(list(folder.glob("1.*"))) < wanted or not list(folder.glob("2.*"))
        ):
            time.sleep(0.05)
        time.sleep(1)
        assert crew.poll() is None, "it ended of itself"
        crew.send_signal(signal.SIGTERM)
        status = crew.wait(seconds)
    started = {number: len(list(folder.glob(f"{number}.*"))) for number in "12"}
    for mark in folder.iterdir():
        assert not Path(f"/proc/{mark.name.partition('.')[2]}").exists(), "a process was left"
    return status, started


def test_both_run_and_end(tmp_path: Path) -> None:
    assert run(tmp_path, "well") == (0, {"1": 1, "2": 1})


def test_one_that_dies_is_started_again(tmp_path: Path) -> None:
    assert run(tmp_path, "dies") == (0, {"1": 2, "2": 1})


def test_an_orphan_that_falls_to_it_does_no_harm(tmp_path: Path) -> None:
    assert run(tmp_path, "orphan") == (0, {"1": 1, "2": 1})


def test_a_fork_that_fails_is_tried_again(tmp_path: Path) -> None:
    assert run(tmp_path, "no fork") == (0, {"1": 1, "2": 1})
