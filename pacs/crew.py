"""The processes of a server: forks behind the same listening sockets, each started again when it ends."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import threading
import time
from collections.abc import Callable

from pacs.logs import get
from pacs.processes import Restarts, forked

log = get("crew")
LOOK_SECONDS = 0.1
RESTART_SECONDS = (0.1, 0.5, 1, 2, 5)  # after the first end in a row, the second, …
STOP_SECONDS = 40  # longer than a process takes to ship what it holds


class Crew:
    """Forks `serve(1)`, `serve(2)`, … and watches them. The process that does so must have one thread only, and holds
    no database connection and no spool: what is made before the fork is shared."""

    def __init__(
        self, processes: int, serve: Callable[[int], int], *,
        close: Callable[[], None], ended: Callable[[int], None] = lambda number: None,
    ) -> None:  # fmt: skip
        """`close`: what is shared, in this process, when all are to stop. `ended`: told when one is gone."""
        self._serve, self._close, self._tell = serve, close, ended
        self._numbers: dict[int, int] = {}  # process ID → number
        self._due = dict.fromkeys(range(1, processes + 1), 0.0)  # number → when it is started
        self._started: dict[int, float] = {}
        self._restarts = {number: Restarts(RESTART_SECONDS) for number in self._due}

    def run(self, stop: threading.Event) -> int:
        """Until `stop` is set and all have ended; 0."""
        # Whoever started us may have ignored it, and then we could not wait.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        gc.freeze()  # what is there now is shared for good
        while not stop.is_set():
            now = time.monotonic()
            for number in [n for n, when in self._due.items() if when <= now]:
                self._fork(number)
            self._reap()
            time.sleep(LOOK_SECONDS)  # not `stop.wait`: the handler that sets it would find its lock taken
        self._close()
        self._stop_all()
        return 0

    def _fork(self, number: int) -> None:
        try:
            pid = forked(lambda: self._be(number))
        except OSError as error:  # too many processes, no memory: the others go on
            log.error("fork_failed", number=number, reason=error.strerror)
            self._put_off(number, ran_seconds=0)
            return
        del self._due[number]
        self._numbers[pid], self._started[number] = number, time.monotonic()

    def _be(self, number: int) -> int:
        """In the fork."""
        try:
            return self._serve(number)
        except BaseException as error:
            log.error("process_failed", number=number, exc_info=error)
            return 1

    def _reap(self) -> None:
        while self._numbers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            number = self._numbers.pop(pid, None)
            if number is not None:  # else an orphan that fell to us, as the first process of a container
                self._ended(number, os.waitstatus_to_exitcode(status))

    def _ended(self, number: int, status: int) -> None:
        self._tell(number)
        log.error("process_ended", number=number, status=status)
        self._put_off(number, time.monotonic() - self._started[number])

    def _put_off(self, number: int, ran_seconds: float) -> None:
        self._due[number] = time.monotonic() + self._restarts[number].pause(ran_seconds)

    def _stop_all(self) -> None:
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while self._numbers and time.monotonic() < deadline:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            self._numbers.pop(pid, None)
            time.sleep(0.01)
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._numbers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
