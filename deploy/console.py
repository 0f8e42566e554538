"""What the commands share: where they print, and the archive that they work on."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console

from pacs.access import Principal, Role
from pacs.errors import SettingError
from pacs.settings import from_environment

if TYPE_CHECKING:
    from rich.progress import Progress

    from storage.archive import Archive

PIPE_COLUMNS = 250  # a table that is piped is not folded to 80
console = Console(highlight=False)
tables = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)
complaints = Console(stderr=True, highlight=False)
OPERATOR = Principal("command line", Role.ADMINISTRATOR)  # who works here looks after the whole archive


@contextlib.contextmanager
def opened() -> Iterator[Archive]:
    """The archive of the settings. Embedded: of the running server, or started for this command."""
    from deploy import supervisor  # these here: who only prints needs no database
    from deploy.telling import told
    from storage.archive import Archive
    from storage.setup import prepare

    settings = from_environment()
    settings = dataclasses.replace(settings, data=settings.data.absolute())
    if not settings.database_url and not settings.data.exists():
        raise SettingError(
            f"there is no archive in {settings.data}; set TONGYING_DATA, or start one with tongying up"
        )
    with supervisor.database(settings) as (ready, _embedded):
        archive = Archive.open(ready)
        try:
            prepare(archive)
            with told(archive):
                yield archive
        finally:
            archive.close()


def bar_of_progress() -> Progress:
    """On standard error, and gone when it is done."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    return Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=complaints, transient=True,
    )  # fmt: skip
