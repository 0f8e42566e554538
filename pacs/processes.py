"""Processes that end: with their parent, when their time is up, or in place of ours."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

PR_SET_PDEATHSIG = 1  # prctl(2)
OBJECTS_BETWEEN_COLLECTIONS = 50_000  # a few MB
STEADY_SECONDS = 30  # a process that ran this long begins its pauses anew
R = TypeVar("R")


def end_with_parent() -> None:
    """In a child: be told to stop when the parent is gone, however it went. Linux only; elsewhere nothing happens.

    A parent that is killed cannot tell its children; they would keep ports taken and go on with work nobody wants.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def forked(work: Callable[[], int]) -> int:
    """The ID of a fork of this process that does the work, ends with the status it returns, and ends with us; raises
    OSError. Nothing of our clean-up is done by it. Work that raises has the status 1, and tells why itself."""
    sys.stdout.flush()  # else both would write what waits there
    sys.stderr.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            end_with_parent()
            if os.getppid() == parent:  # else it went before it could take us along
                status = work()
        finally:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(status)
    return pid


def collect_seldom() -> None:
    """For a process that makes many objects at once and hardly a cycle: with Python's own threshold (700 more objects
    than before), looking for cycles among all of a pack's attributes takes a tenth of the time of indexing them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, 10, 10)


def give_way(nice: int) -> None:
    """Let others go before this process and those of its session, by 0 to 19. Where the kernel shares the processor
    among sessions first (sched(7), autogroup), it is told to let other sessions go before ours."""
    os.nice(nice)
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(nice), encoding="ascii")


def only_when_idle() -> None:
    """Let this thread run when nobody else wants the processor (sched(7), SCHED_IDLE), as long as it lives: who has no
    privileges cannot take it back. Linux only; elsewhere nothing happens."""
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


@dataclass(slots=True)
class Restarts:
    """How long to wait before a process that ended is started again: after its first end in a row, its second, …"""

    pauses_seconds: tuple[float, ...]
    ends: int = 0  # in a row

    def pause(self, ran_seconds: float) -> float:
        """It ended. One that ran long enough begins anew."""
        self.ends = 1 if ran_seconds > STEADY_SECONDS else self.ends + 1
        return self.pauses_seconds[min(self.ends, len(self.pauses_seconds)) - 1]


@contextlib.contextmanager
def ends_within(seconds: float) -> Iterator[None]:
    """What runs longer ends this process, even in native code that hangs; whoever started it starts it again."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


class ProcessDied(Exception):
    """The process that did the work for us ended by a signal."""


def in_a_fork(seconds: float, work: Callable[..., R], *args: Any) -> R:
    """`work(*args)`, done by a fork of this process in at most `seconds`: if it dies, ProcessDied is raised, and we
    live. The fork shares the arguments; the result, or the exception, comes pickled."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _answer(writing, seconds, lambda: work(*args))
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        raise ProcessDied(signal.Signals(-status).name if status < 0 else f"status {status}")
    done, result = pickle.loads(answer)  # noqa: S301  our own fork wrote it
    if not done:
        raise result
    return result  # type: ignore[no-any-return]


def _answer(writing: int, seconds: float, work: Callable[[], Any]) -> None:
    """In the fork: write (True, result) or (False, exception), and end without any of the parent's clean-up."""
    status = 1
    try:
        with ends_within(seconds), os.fdopen(writing, "wb") as pipe:
            try:
                answer = pickle.dumps((True, work()))
            except Exception as error:
                answer = pickle.dumps((False, error))
            pipe.write(answer)
        status = 0
    finally:
        os._exit(status)
