"""The job that follows all registered Orthancs, each in a thread of its own: one that is slow delays no other."""

from __future__ import annotations

import threading
import time

from dicom_node.orthanc_client import EdgeAway, EdgeError, EdgeRefused
from dicom_node.orthanc_follow import Follower
from pacs.errors import OutOfResources
from pacs.logs import get
from storage import edges
from storage.archive import Archive
from storage.database import Unavailable
from storage.edges import Status
from storage.intake import Intake
from storage.spool import Spool

log = get("orthanc")
FOLLOW_SECONDS = 1.0  # from one look at a quiet change log to the next
BACKOFF_SECONDS = (1, 2, 5, 10, 30, 60)
STOP_SECONDS = 1.5  # for the threads, and for shipping, when we are told to stop
FAILURES: tuple[type[Exception], ...] = (
    EdgeAway,
    EdgeRefused,
    EdgeError,
    OutOfResources,
    OSError,
    *Unavailable,
)


class OrthancEdges:
    """A job of the exchange process: `step` keeps the threads as the rows say. Call it every second or so."""

    name = "orthanc"

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        settings = archive.settings
        self._leadership = edges.Leadership(archive)
        self._intake = Intake(archive, settings.spool / f"orthanc-{settings.node_name}")  # of all edges
        self._threads: dict[int, _EdgeThread] = {}
        self._leaving: list[_EdgeThread] = []
        self._trouble, self._closed, self._sealed = "", False, False
        self._lock = threading.Lock()  # `close` comes from another thread

    def step(self) -> bool:
        """Start and stop threads; False, since there is never more to do at once."""
        with self._lock:
            if not self._closed:
                self._keep()
        return False

    def _keep(self) -> None:
        try:
            if self._leadership.held():
                self._seal()
                self._as_registered({status.edge.id: status for status in edges.list_edges(self._archive)})
            else:
                self._stop_all()
            self._trouble = ""
        except FAILURES as error:
            if self._trouble != type(error).__name__:
                self._trouble = type(error).__name__
                log.warning("orthanc_not_followed", error=self._trouble)

    def _seal(self) -> None:
        """Here, and not where the schema is made: the key of who reads the passwords must be the one."""
        if not self._sealed:
            edges.seal_passwords(self._archive)
            self._sealed = True

    def _as_registered(self, registered: dict[int, Status]) -> None:
        for id_, thread in list(self._threads.items()):
            if id_ not in registered or registered[id_].edge != thread.edge:
                thread.stop()
                self._leaving.append(self._threads.pop(id_))
        self._leaving = [thread for thread in self._leaving if thread.is_alive()]
        for id_ in registered.keys() - self._threads.keys():
            thread = _EdgeThread(self._archive, self._intake.spool(), registered[id_])
            self._threads[id_] = thread
            thread.start()

    def close(self) -> None:
        """Stop following; what was pulled is shipped as far as the time allows, the rest at the next start."""
        with self._lock:
            self._closed = True
            self._stop_all()
            self._leadership.close()

    def _stop_all(self) -> None:
        """Also the spool, unless a thread still hangs on a socket: what it writes must not be shipped from under it."""
        self._leaving += self._threads.values()
        self._threads = {}
        for thread in self._leaving:
            thread.stop()
        deadline = time.monotonic() + STOP_SECONDS
        for thread in self._leaving:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._leaving = [thread for thread in self._leaving if thread.is_alive()]
        if not self._leaving:
            self._intake.close(STOP_SECONDS)


class _EdgeThread(threading.Thread):
    """Follows one edge until it is stopped; keeps its state in the row, and says each change of it once."""

    def __init__(self, archive: Archive, spool: Spool, status: Status) -> None:
        super().__init__(name=f"orthanc-{status.edge.name}", daemon=True)
        self.edge, self._stopping = status.edge, threading.Event()
        self._archive, self._state, self._error = archive, status.state, status.error
        self._follower = Follower(archive, spool, status.edge, status.progress)

    def stop(self) -> None:
        """Ask it to end; `join` tells when it has."""
        self._stopping.set()
        self._follower.halt()

    def run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                more = self._follower.step()
                self._note("following", "")
                failures, pause = 0, 0.0 if more else FOLLOW_SECONDS
            except Exception as error:
                if self._stopping.is_set():
                    break
                pause = BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)]
                failures += 1
                self._follower.lost()
                self._explain(error)
            self._stopping.wait(pause)
        self._follower.close()

    def _explain(self, error: Exception) -> None:
        if isinstance(error, EdgeRefused):
            self._note("refused", str(error))
        elif isinstance(error, EdgeAway | EdgeError):
            self._note("away", str(error))
        elif isinstance(error, FAILURES):
            self._note("blocked", f"on our side: {type(error).__name__}")
        else:
            log.error("orthanc_step_failed", edge=self.edge.name, exc_info=error)
            self._note("blocked", f"on our side: {type(error).__name__}")

    def _note(self, state: str, error: str) -> None:
        if (state, error) == (self._state, self._error):
            return
        if state != self._state or state == "following":
            level = log.info if state == "following" else log.warning
            level("orthanc_state", edge=self.edge.name, state=state, error=error)
        self._state, self._error = state, error
        try:
            edges.save_state(self._archive, self.edge, state, error)
        except Unavailable:
            self._state = ""  # noted when the database is back
