"""Figures and how they are taken: medians of rounds, CPU of process trees, and waiting without guessing."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing measured several times."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)

    def percentile(self, percent: float) -> float:
        """The nearest rank: a value that was measured."""
        ordered = sorted(self.values)
        return ordered[max(0, -(-len(ordered) * int(percent) // 100) - 1)]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: what, in which unit, and the figure of each peer."""

    what: str
    unit: str
    figures: dict[str, Figure]
    more_is_better: bool = False
    percentile: float = 50  # that is shown; 50 is the median

    def shown(self, peer: str) -> float:
        """The peer's figure as the table shows it."""
        figure = self.figures[peer]
        return figure.median if self.percentile == 50 else figure.percentile(self.percentile)

    def advantage(self, ours: str, other: str) -> float | None:
        """How many times better `ours` is than `other`; None if one of them was not measured."""
        if ours not in self.figures or other not in self.figures:
            return None
        mine, theirs = self.shown(ours), self.shown(other)
        better, worse = (mine, theirs) if self.more_is_better else (theirs, mine)
        return better / worse if worse else None


@dataclass(frozen=True, slots=True)
class Group:
    """A table with its remarks; `plotted` names the rows that its plot shows."""

    name: str
    title: str
    rows: tuple[Row, ...] = ()
    remarks: tuple[str, ...] = ()
    skipped: str = ""


def cpu_seconds(roots: Iterable[int]) -> float:
    """User and system time of process trees since they began, with that of children that have ended."""
    total = 0.0
    for root in roots:
        for pid in tree(root):
            with contextlib.suppress(psutil.Error):
                times = psutil.Process(pid).cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
    return total


def tree(root: int) -> list[int]:
    """A process and all below it."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(root)
        return [root, *(child.pid for child in process.children(recursive=True))]
    return []


def stop_by_pid(pids: Iterable[int], seconds: float = 10) -> None:
    """SIGTERM, then SIGKILL to what is left; only the processes that are named."""
    processes = []
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            process.terminate()
            processes.append(process)
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()


def until(check: Callable[[], bool], *, poll_seconds: float, seconds_max: float, what: str) -> float:
    """Seconds until `check` is true; raises TimeoutError."""
    start = time.perf_counter()
    while not check():
        if time.perf_counter() - start > seconds_max:
            raise TimeoutError(f"not within {seconds_max} s: {what}")
        time.sleep(poll_seconds)
    return time.perf_counter() - start


DROP_CACHES = Path("/proc/sys/vm/drop_caches")


def settle(seconds: float, keep: Iterable[Path] = ()) -> None:
    """Before a turn: what others wrote goes to the disk now, not in the turn of the next, and out of memory where we
    may do so: else who deletes its files hands warm pages on, and who keeps them must find new ones. `keep`: files
    that are read again, so that they are in memory. 0: none of it."""
    if seconds:
        os.sync()
        with contextlib.suppress(OSError):
            DROP_CACHES.write_text("1\n", encoding="ascii")
        for path in keep:
            path.read_bytes()
        time.sleep(seconds)


QUIET_SHARE, QUIET_SECONDS_MAX = 0.1, 180


def quiet(seconds: float = 1) -> float:
    """Wait until all cores together were busy for less than a tenth of `seconds` (peers work behind their answers);
    how long that took. Gives up after three minutes: something else is at work here, and the figures will say so."""
    start = time.perf_counter()
    while psutil.cpu_percent(interval=seconds) > QUIET_SHARE * 100:
        if time.perf_counter() - start > QUIET_SECONDS_MAX:
            break
    return time.perf_counter() - start


def milliseconds(action: Callable[[], object]) -> float:
    """How long a call took."""
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1000
