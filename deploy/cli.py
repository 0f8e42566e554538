"""The command line: `tongying --help`."""

from __future__ import annotations

import dataclasses
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy import supervisor
from pacs import logs
from pacs.errors import TongyingError
from pacs.settings import Settings, from_environment

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="Tongying 通影: a regional cloud PACS.")  # fmt: skip
console = Console(highlight=False)
complaints = Console(stderr=True, highlight=False)


@app.callback()
def _commands() -> None:
    """Tongying 通影: a regional cloud PACS. Settings are read from TONGYING_… variables."""


@app.command()
def up(
    data: Annotated[Path | None, typer.Option(help="Where everything is kept. [TONGYING_DATA, ./data]")] = None,
) -> None:
    """Run the all-in-one server: DICOM node, worker, API, web page, and the embedded PostgreSQL."""
    settings = from_environment()
    if data is not None:
        settings = dataclasses.replace(settings, data=data)
    settings = dataclasses.replace(settings, data=settings.data.absolute())
    supervisor.check_ports(settings)
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with supervisor.database(settings) as (ready, embedded):
        password = supervisor.prepare_archive(ready)
        parts = supervisor.Supervisor(ready, embedded)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: parts.stopping.set())
        threading.Thread(target=_announce, args=(ready, password), daemon=True).start()
        parts.run()


def _announce(settings: Settings, password: str | None) -> None:
    if not supervisor.wait_until_ready(settings):
        complaints.print("The server is not ready after a minute; the lines above say why.")
        return
    host = "localhost" if settings.http_host in ("127.0.0.1", "0.0.0.0") else settings.http_host  # noqa: S104
    console.print("\n[bold]Tongying 通影[/bold] is running.")
    console.print(f"  Web page   http://{host}:{settings.http_port}/")
    console.print(f"  DICOM      {settings.ae_title} at port {settings.dicom_port}")
    console.print(f"  Data       {settings.data}")
    if password:
        console.print(f"  Sign in as [bold]admin[/bold] with [bold]{password}[/bold]   (shown this once)")
    if not supervisor.web_is_built(settings):
        console.print("  The web page is not built: make web")
    sys.stdout.flush()


def main() -> None:
    """The entry point: expected errors are one clear line and exit status 1."""
    logs.configure()
    try:
        app()
    except TongyingError as error:
        complaints.print(f"tongying: {error}")
        sys.exit(1)
