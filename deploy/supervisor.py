"""`tongying up`: the all-in-one server. Starts the parts as processes, and starts again what dies."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from deploy import nursery
from dicom_node.tls import server_context
from pacs.errors import SettingError
from pacs.logs import get
from pacs.processes import Restarts
from pacs.settings import Settings
from storage.archive import Archive
from storage.embedded import EmbeddedDatabase
from storage.hints import QUEUES
from storage.registry import add_demo_hospitals
from storage.setup import prepare

log = get("up")
RESTART_SECONDS = (0.2, 0.5, 1, 2, 5)
LOOK_SECONDS = 0.1
DATABASE_LOOK_SECONDS = 0.5  # it takes a millisecond
STOP_SECONDS = 20
PYTHON = [sys.executable, "-m"]
CELERY = ["celery", "--quiet", "--app"]
READY_SECONDS = 60


@dataclass
class Part:
    """One process."""

    name: str
    command: list[str]  # after `python -m`
    process: nursery.Forked | None = None
    started: float = 0.0
    restarts: Restarts = field(default_factory=lambda: Restarts(RESTART_SECONDS))
    not_before: float = 0.0
    once: bool = False  # it ends when it is done


def commands(settings: Settings) -> list[Part]:
    """The parts and how each is started; the same commands serve in containers."""
    names = [f"worker-{n}" for n in range(1, settings.worker_processes + 1)]
    return [
        Part("node", ["dicom_node"]),
        *(Part(name, worker_command(f"{name}-{os.getpid()}")) for name in names),
        Part("clock", clock_command()),
        Part("exchange", ["dicom_node.exchange"]),
        Part("api", ["viewer_api"]),
    ]


def worker_command(name: str) -> list[str]:
    """A worker that is one process. Celery's pool of children stands still for ever when the child that waits at its
    queue is killed, by a lack of memory say; a process alone is started again by whoever started it."""
    return [
        *CELERY, "worker.app", "worker", "--pool", "solo", "--queues", ",".join(QUEUES), "--hostname", f"{name}@%h",
        "--without-gossip", "--without-mingle", "--without-heartbeat",
    ]  # fmt: skip


def clock_command() -> list[str]:
    """It sends the sweep's message every few seconds, and does nothing else."""
    return [*CELERY, "worker.clock", "beat"]


def check_ports(settings: Settings) -> None:
    """Raise SettingError, naming the port, if one is taken, or if TLS is asked for and cannot be."""
    ports = [
        (settings.http_host, settings.http_port, "TONGYING_HTTP_PORT"),
        (settings.dicom_host, settings.dicom_port, "TONGYING_DICOM_PORT"),
    ]
    if server_context(settings) is not None:
        ports.append((settings.dicom_host, settings.dicom_tls_port, "TONGYING_DICOM_TLS_PORT"))
    for host, port, name in ports:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise SettingError(
                    f"port {port} on {host} cannot be used ({error.strerror}); set {name}"
                ) from None


@contextlib.contextmanager
def database(settings: Settings) -> Iterator[tuple[Settings, EmbeddedDatabase | None]]:
    """The settings with a database address: the given one, or that of the embedded server, started here."""
    if settings.database_url:
        yield settings, None
        return
    embedded = EmbeddedDatabase((settings.data / "postgres").absolute())
    try:
        yield replace(settings, database_url=embedded.url), embedded
    finally:
        embedded.stop()


class Supervisor:
    """Runs the parts until told to stop."""

    def __init__(
        self, settings: Settings, embedded: EmbeddedDatabase | None, ready: Callable[[Supervisor, bool], None]
    ) -> None:
        """`ready` is called once: whether all answer, or did not in READY_SECONDS."""
        self.settings, self._embedded, self._ready = settings, embedded, ready
        self._tell_before: float | None = time.monotonic() + READY_SECONDS
        self._database_at = 0.0
        self.parts = commands(settings)
        self.stopping = threading.Event()

    def run(self) -> None:
        """Start all parts and watch them; returns after `stopping` is set and all have ended. There are no threads
        beside it: all parts are forks of this one."""
        # Whoever started us may have ignored it, and then we could not wait.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        try:
            nursery.import_shared()
            while not self.stopping.is_set():
                self._watch_database()
                for part in list(self.parts):
                    self._watch(part)
                self._tell()
                time.sleep(LOOK_SECONDS)  # not a wait: the handler that sets it would find its lock taken
        finally:
            self._stop_all()

    def send_demo(self) -> None:
        """Let the demo hospitals send, once; what is there already is not stored again."""
        self.parts.append(Part("demo", ["dicom_node.demo"], once=True))

    def _watch_database(self) -> None:
        if self._embedded is not None and time.monotonic() >= self._database_at:
            self._database_at = time.monotonic() + DATABASE_LOOK_SECONDS
            try:
                self._embedded.ensure_running()
            except (subprocess.SubprocessError, OSError, AssertionError) as error:
                log.warning("database_not_up_yet", error=type(error).__name__)

    def _watch(self, part: Part) -> None:
        now = time.monotonic()
        if part.process is not None:
            status = part.process.poll()
            if status is None:
                return
            if part.once:
                self.parts.remove(part)
                return
            part.not_before = now + part.restarts.pause(now - part.started)
            log.error("part_ended", part=part.name, status=status)
            part.process = None
        if now >= part.not_before:
            try:
                part.process = nursery.Forked(part.command, self.settings.environment())
                part.started = now
            except OSError as error:  # too many processes, no memory: the others go on
                log.error("fork_failed", part=part.name, reason=error.strerror)
                part.not_before = now + part.restarts.pause(0)

    def _tell(self) -> None:
        if self._tell_before is None:
            return
        late, ready = time.monotonic() > self._tell_before, is_ready(self.settings)
        if ready or late:
            self._tell_before = None
            self._ready(self, ready)

    def _stop_all(self) -> None:
        """The node first, so that what it received is shipped while the others still run."""
        deadline = time.monotonic() + STOP_SECONDS
        for parts in (self.parts[:1], self.parts[1:]):
            running = [part.process for part in parts if part.process is not None]
            for process in running:
                process.terminate()
            until = max(deadline, time.monotonic() + 0.5)
            while any(process.poll() is None for process in running) and time.monotonic() < until:
                time.sleep(0.01)
            for process in running:
                process.kill_session()


def prepare_archive(settings: Settings, *, demo: bool = False) -> str | None:
    """Schema, first facility, first user, the demo's hospitals; returns a made-up password."""
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    archive = Archive.open(settings)
    try:
        password = prepare(archive)
        if demo:
            add_demo_hospitals(archive)
        return password
    finally:
        archive.close()


def is_ready(settings: Settings) -> bool:
    """Whether the API's and the node's ports answer."""
    return _answers(settings.http_host, settings.http_port) and _answers("127.0.0.1", settings.dicom_port)


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def web_is_built(settings: Settings) -> bool:
    return (Path(settings.web_dist) / "index.html").exists()
