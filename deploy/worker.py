"""`python -m deploy.worker [clock]`: becomes a Celery worker, or the clock that lets them sweep, by the very command
that `tongying up` starts."""

from __future__ import annotations

import os
import sys

from deploy.supervisor import PYTHON, clock_command, worker_command
from pacs.errors import SettingError
from pacs.settings import from_environment


def main(arguments: list[str]) -> int:
    """Does not return, unless the settings cannot be used."""
    if arguments not in ([], ["clock"]):
        print("usage: python -m deploy.worker [clock]", file=sys.stderr)
        return 2
    try:
        from_environment()
    except SettingError as error:
        print(error, file=sys.stderr)
        return 2
    command = [*PYTHON, *(clock_command() if arguments else worker_command(f"worker-{os.getpid()}"))]
    os.execv(command[0], command)  # noqa: S606  no shell: the process is replaced, and signals reach Celery


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
