"""`python -m dicom_node.exchange`: one process for what we do with other systems on our own account.

Each job runs in a thread of its own: `step` after `step` while there is work, with a pause when there is none, and a
growing one when it fails. What a job must not forget lies in the database, so the process may be killed at any time.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from dicom_node.auditing import AuditSyslog, AuditTrail
from dicom_node.commitment import Reports
from dicom_node.echo import Echoes
from dicom_node.hl7_listener import Hl7Orders
from dicom_node.orthanc import OrthancEdges
from dicom_node.sender import Sender
from dicom_node.tls import hl7_context
from pacs import logs
from pacs.errors import SettingError
from pacs.settings import from_environment
from storage.archive import Archive
from storage.database import Unavailable

log = logs.get("exchange")
IDLE_SECONDS = 0.5
FAILED_SECONDS = (1, 2, 5, 10, 30)  # after the first failure in a row, the second, …
STOP_SECONDS = 3


class Job(Protocol):
    """What the exchange runs again and again, always in the same thread."""

    @property
    def name(self) -> str:
        """For logs and the thread."""

    def step(self) -> bool:
        """Do a bit of what is due; whether there was any. What it raises is logged, and it is tried again later."""


@runtime_checkable
class Closing(Protocol):
    """A job that has something to end when the process stops. Called from another thread, within STOP_SECONDS."""

    def close(self) -> None: ...


JOBS: list[Callable[[Archive], Job]] = [
    Sender,
    Reports,
    OrthancEdges,
    Hl7Orders,
    Echoes,
    AuditTrail,
    AuditSyslog,
]


def run(job: Job, stop: threading.Event) -> None:
    """The loop of one job, until `stop`."""
    failures = 0
    while not stop.is_set():
        try:
            pause = 0 if job.step() else IDLE_SECONDS
            failures = 0
        except Unavailable as error:
            log.warning("job_delayed", job=job.name, error=type(error).__name__)
            pause, failures = FAILED_SECONDS[min(failures, len(FAILED_SECONDS) - 1)], failures + 1
        except Exception as error:
            log.error("job_failed", job=job.name, exc_info=error)
            pause, failures = FAILED_SECONDS[min(failures, len(FAILED_SECONDS) - 1)], failures + 1
        stop.wait(pause)


def main() -> int:
    """Run until SIGTERM or SIGINT; 0 after a clean stop, 2 where the settings cannot be used."""
    try:
        settings = from_environment()
        hl7_context(settings)  # told now, and not again and again by a job
    except SettingError as error:
        print(error, file=sys.stderr)  # noqa: T201  before there is a log
        return 2
    logs.configure(settings.log_level, process="exchange")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    archive = Archive.open(settings)
    jobs = [make(archive) for make in JOBS]
    threads = [threading.Thread(target=run, args=(job, stop), name=job.name, daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    log.info("exchange_started", jobs=[job.name for job in jobs])
    stop.wait()
    deadline = time.monotonic() + STOP_SECONDS
    for job in jobs:
        if isinstance(job, Closing):
            job.close()
    for thread in threads:
        thread.join(max(0, deadline - time.monotonic()))
    archive.close()
    log.info("exchange_stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
