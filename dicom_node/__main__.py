"""`python -m dicom_node`: the DICOM node as a process of its own; settings from the environment."""

from __future__ import annotations

import signal
import sys
import threading

from dicom_node.node import Node
from pacs import logs
from pacs.errors import SettingError
from pacs.settings import from_environment


def main() -> int:
    """Run until SIGTERM or SIGINT; 0 after a clean stop, 2 where it cannot start."""
    try:
        settings = from_environment()
    except SettingError as error:
        print(error, file=sys.stderr)  # noqa: T201  before there is a log
        return 2
    logs.configure(settings.log_level, process="node")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        node = Node(settings)
    except SettingError as error:
        logs.get("node").error("cannot_start", reason=str(error))
        return 2
    except OSError as error:
        logs.get("node").error("cannot_start", port=settings.dicom_port, reason=error.strerror)
        return 2
    node.start()
    stop.wait()
    node.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
