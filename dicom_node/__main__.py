"""`python -m dicom_node`: the DICOM node, a process for each core behind one port; settings from the environment."""

from __future__ import annotations

import signal
import sys
import threading

from dicom_node.acceptor import Entrance
from dicom_node.node import Node
from pacs import logs
from pacs.crew import Crew
from pacs.errors import SettingError
from pacs.settings import Settings, from_environment

CANNOT_START = 2


def main() -> int:
    """Run until SIGTERM or SIGINT; 0 after a clean stop, 2 where it cannot start."""
    try:
        settings = from_environment()
    except SettingError as error:
        print(error, file=sys.stderr)  # noqa: T201  before there is a log
        return CANNOT_START
    logs.configure(settings.log_level, process="node")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    processes = settings.node_process_count
    try:
        entrance = Entrance.open(settings, processes)
        if processes == 1:
            return serve(settings, entrance, 1, stop)
        crew = Crew(processes, lambda process: serve(settings, entrance, process, stop),
                    close=entrance.close, ended=entrance.census.strike_off)  # fmt: skip
        return crew.run(stop)
    except SettingError as error:
        logs.get("node").error("cannot_start", reason=str(error))
    except OSError as error:
        logs.get("node").error("cannot_start", port=settings.dicom_port, reason=error.strerror)
    return CANNOT_START


def serve(settings: Settings, entrance: Entrance, process: int, stop: threading.Event) -> int:
    """Be one of the node's processes until `stop` is set."""
    node = Node(settings, entrance, process)
    node.start()
    stop.wait()
    node.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
