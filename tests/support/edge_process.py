"""`python -m tests.support.edge_process`: the job that follows Orthancs, in a process of its own."""

from __future__ import annotations

import signal
import threading

from deploy import supervisor
from dicom_node.orthanc import OrthancEdges
from pacs import logs
from pacs.settings import from_environment
from storage.archive import Archive


def main() -> None:
    """Until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with supervisor.database(from_environment()) as (settings, _):
        logs.configure(settings.log_level, process="edges")
        archive = Archive.open(settings)
        job = OrthancEdges(archive)
        while not stop.wait(0.2):
            job.step()
        job.close()
        archive.close()


if __name__ == "__main__":
    main()
