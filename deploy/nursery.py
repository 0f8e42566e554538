"""Parts of `tongying up` as forks of it: it imports once what they need, and they share that memory.

Before a fork there is one thread, and no connection; each fork begins as `python -m` would. See decision 29."""

from __future__ import annotations

import contextlib
import contextvars
import gc
import os
import runpy
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module

from setproctitle import getproctitle, setproctitle

from pacs.processes import forked

# What takes the parts' time to start. Not the modules that they run: `runpy` executes those anew, and warns of it.
SHARED = (
    "dicom_node.node",
    "dicom_node.hl7_listener",
    "dicom_node.orthanc",
    "dicom_node.sender",
    "dicom_node.commitment",
    "dicom_node.echo",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.httptools_impl",
    "viewer_api.app",
    "worker.imported",
)
OURS = (signal.SIGTERM, signal.SIGINT)  # `tongying up` handles them
UNTITLED_CELERY = {"NOSETPS": "1"}  # its workers keep the title that we give them
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}  # NumPy's library starts more when it is loaded


def import_shared() -> None:
    """To be called before the first fork. It takes 2 s of a core."""
    getproctitle()  # it looks for the title's place beside the environment, which must be as it was
    os.environ.update(UNTITLED_CELERY | ONE_THREAD)
    for name in SHARED:
        import_module(name)
    gc.collect()
    gc.freeze()  # what is there now is shared for good


class Forked:
    """A part that runs `python -m module argument…` without a new Python; used like `subprocess.Popen`. Raises OSError
    where there cannot be one more process."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self._status: int | None = None
        # Until it has handlers of its own, a signal to it waits: ours would swallow it.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, OURS)
        try:
            self.pid = forked(lambda: contextvars.Context().run(_be, list(arguments), environment, mask))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def poll(self) -> int | None:
        """The exit status; negative: the signal that ended it. None: it runs."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def terminate(self) -> None:
        """Ask it to end."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)

    def kill_session(self) -> None:
        """End it, and whatever it has started, at once."""
        if self.poll() is None:
            for kill in (os.killpg, os.kill):  # it may not have its session yet
                with contextlib.suppress(ProcessLookupError):
                    kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


def _be(arguments: list[str], environment: Mapping[str, str], mask: set[int | signal.Signals]) -> int:
    """In the fork: what a new Python would have found, then the module."""
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    os.environ.update(environment)
    sys.argv = ["-m", *arguments[1:]]
    setproctitle(" ".join(["python", "-m", *arguments]))
    try:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return _status(end.code)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _status(code: object) -> int:
    """As Python ends with what `sys.exit` was given."""
    if code is None or isinstance(code, int):
        return code or 0
    print(code, file=sys.stderr)
    return 1
