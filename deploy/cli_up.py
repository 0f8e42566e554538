"""`tongying up`: the all-in-one server."""

from __future__ import annotations

import dataclasses
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from deploy import supervisor
from deploy.console import complaints, console
from pacs.settings import from_environment


def up(
    data: Annotated[
        Path | None, typer.Option(help="Where everything is kept. [TONGYING_DATA, ./data]")
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Two demo hospitals send studies.")] = False,
) -> None:
    """Run the all-in-one server: DICOM node, worker, API, web page, and the embedded PostgreSQL."""
    settings = from_environment()
    if data is not None:
        settings = dataclasses.replace(settings, data=data)
    settings = dataclasses.replace(settings, data=settings.data.absolute())
    supervisor.check_ports(settings)
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with supervisor.database(settings) as (ready, embedded):
        password = supervisor.prepare_archive(ready, demo=demo)
        parts = supervisor.Supervisor(ready, embedded, partial(_announce, password, demo))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: parts.stopping.set())
        parts.run()


def _announce(password: str | None, demo: bool, parts: supervisor.Supervisor, ready: bool) -> None:
    settings = parts.settings
    if not ready:
        complaints.print("The server is not ready after a minute; the lines above say why.")
        return
    host = "localhost" if settings.http_host in ("127.0.0.1", "0.0.0.0") else settings.http_host  # noqa: S104
    console.print("\n[bold]Tongying 通影[/bold] is running.")
    console.print(f"  Web page   http://{host}:{settings.http_port}/")
    console.print(f"  DICOM      {settings.ae_title} at port {settings.dicom_port}")
    if settings.dicom_tls_certificate:
        console.print(f"  DICOM TLS  {settings.ae_title} at port {settings.dicom_tls_port}")
    console.print(f"  Data       {settings.data}")
    if password:
        console.print(f"  Sign in as [bold]admin[/bold] with [bold]{password}[/bold]   (shown this once)")
    if not supervisor.web_is_built(settings):
        console.print("  The web page is not built: make web")
    sys.stdout.flush()
    if demo:
        parts.send_demo()
