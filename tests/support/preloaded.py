"""`tongying …` as a process of its own, without the seconds that Python takes to import it: a fork of one process for
each process of the tests, which has imported the product and does nothing else.

Its environment, folder, arguments and files are those of a command; only the imports are done already. Where a test is
about the command itself, it is started in the usual way (`Server(…, anew=True)`)."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
MESSAGE_BYTES = 150_000  # an environment, at most; less than a socket's buffer
LOOK_SECONDS = 0.02


class Started:
    """Used like `subprocess.Popen`."""

    def __init__(self, nursery: Nursery, pid: int, arguments: list[str]) -> None:
        self._nursery, self.pid, self.args = nursery, pid, arguments

    @property
    def returncode(self) -> int | None:
        return self._nursery.ended.get(self.pid)

    def poll(self) -> int | None:
        if self.returncode is None:
            self._nursery.look()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline = time.monotonic() + (timeout or float("inf"))
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            time.sleep(LOOK_SECONDS)
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Nursery:
    """The process that forks, as those who ask it see it."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        self.ended: dict[int, int] = {}  # process ID → status
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TONGYING_")}
        command = [sys.executable, "-m", "tests.support.preloaded", str(theirs.fileno())]
        self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=ROOT, env=environment)
        theirs.close()
        self._ours.settimeout(60)
        self._ours.recv(1)  # it has imported all

    def start(
        self, arguments: list[str], environment: dict[str, str], folder: Path, stdin: IO[Any], stdout: IO[Any],
        stderr: IO[Any],
    ) -> Started:  # fmt: skip
        request = json.dumps([arguments, environment, str(folder)]).encode()
        with self._lock:
            files = [f.fileno() for f in (stdin, stdout, stderr)]
            socket.send_fds(self._ours, [request], files)
            while (pid := self._told()) is None:
                pass
        return Started(self, pid, arguments)

    def look(self) -> None:
        """Take what it has told meanwhile."""
        with self._lock:
            while select.select([self._ours], [], [], 0)[0]:
                self._told()

    def _told(self) -> int | None:
        """The ID of what it has started; or None, and something has ended."""
        pid, status = json.loads(self._ours.recv(MESSAGE_BYTES))
        if status is None:
            self.ended.pop(pid, None)
            return int(pid)
        self.ended[pid] = status
        return None


@cache
def nursery() -> Nursery:
    """Of this process."""
    return Nursery()


def main(door: socket.socket) -> None:
    """Until the other side is gone."""
    from deploy import cli_up  # noqa: F401
    from deploy.nursery import import_shared
    from pacs.processes import forked

    import_shared()
    door.send(b"1")
    while True:
        if select.select([door], [], [], LOOK_SECONDS)[0]:
            request, files, _, _ = socket.recv_fds(door, MESSAGE_BYTES, 3)
            if not request:
                return
            arguments, environment, folder = json.loads(request)
            pid = forked(lambda: _be(door, arguments, environment, folder, files))  # noqa: B023  it is called now
            for file in files:
                os.close(file)
            door.send(json.dumps([pid, None]).encode())
        _reap(door)


def _reap(door: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        door.send(json.dumps([pid, os.waitstatus_to_exitcode(status)]).encode())


def _be(
    door: socket.socket, arguments: list[str], environment: dict[str, str], folder: str, files: list[int]
) -> int:
    """In the fork: what a new process would have, then what the entry point does."""
    from setproctitle import setproctitle

    from deploy import cli

    door.close()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["tongying", *arguments]
    setproctitle(" ".join([sys.executable, *sys.argv]))
    try:
        cli.main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
