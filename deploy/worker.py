"""`python -m deploy.worker`: becomes the Celery worker, by the very command that `tongying up` starts."""

from __future__ import annotations

import os
import sys

from deploy.supervisor import worker_command
from pacs.errors import SettingError
from pacs.settings import from_environment


def main() -> int:
    """Does not return, unless the settings cannot be used."""
    try:
        command = worker_command(from_environment())
    except SettingError as error:
        print(error, file=sys.stderr)
        return 2
    os.execv(command[0], command)  # noqa: S606  no shell: the process is replaced, and signals reach Celery


if __name__ == "__main__":
    sys.exit(main())
