"""The command line: `tongying --help`."""

from __future__ import annotations

import dataclasses
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)  # fmt: skip

from deploy import cli_exchange, cli_reindex, supervisor
from deploy.cli_orthanc import orthanc_app
from deploy.cli_registry import device_app, facility_app
from deploy.console import complaints, console, opened
from pacs import logs
from pacs.access import Role
from pacs.errors import NotFound, TongyingError
from pacs.settings import Settings, from_environment
from storage import accounts, health, importing, registry
from storage import check as checking
from storage.registry import LOCAL

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="Tongying 通影: a regional cloud PACS.")  # fmt: skip
user_app = typer.Typer(no_args_is_help=True, help="Who may sign in.")
app.add_typer(facility_app, name="facility")
app.add_typer(device_app, name="device")
app.add_typer(user_app, name="user")
app.add_typer(orthanc_app, name="orthanc")
cli_exchange.register(app)
cli_reindex.register(app)
FAILURES_SHOWN = 50


@app.callback()
def _commands() -> None:
    """Tongying 通影: a regional cloud PACS. Settings are read from TONGYING_… variables."""


@app.command()
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
        parts = supervisor.Supervisor(ready, embedded)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: parts.stopping.set())
        threading.Thread(target=_announce, args=(ready, password, demo), daemon=True).start()
        parts.run()


def _announce(settings: Settings, password: str | None, demo: bool) -> None:
    if not supervisor.wait_until_ready(settings):
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
        supervisor.send_demo(settings)


@app.command("import")
def import_(
    paths: Annotated[
        list[Path], typer.Argument(exists=True, help="Files, folders, ZIPs, or a DICOMDIR's folder.")
    ],
    facility: Annotated[str, typer.Option(help="The facility that owns them.")] = LOCAL,
) -> None:
    """Take files into the archive. Run again after an interruption: what is stored is not read twice."""
    with opened() as archive:
        if facility not in {code for code, _ in registry.list_facilities(archive)}:
            raise NotFound(f"there is no facility {facility}: tongying facility add")
        journal = archive.settings.data / "imports" / f"{facility}.journal"
        with importing.Importer(archive, facility, journal) as importer, _bar() as bar:
            job = bar.add_task("Importing", total=None)
            for number, source in enumerate(importing.find(paths), 1):
                importer.take(source)
                bar.update(job, advance=1, description=f"Importing ({number} files)")
            bar.update(job, total=bar.tasks[0].completed)
    done = importer.result
    console.print(
        f"{done.stored} stored, {done.already} were stored before, {done.ignored} are not DICOM, "
        f"{len(done.failed)} failed"
    )
    for line in done.failed[:FAILURES_SHOWN]:
        complaints.print(f"  {line}", markup=False)
    if done.failed:
        raise typer.Exit(1)


@app.command()
def check(
    quick: Annotated[
        bool, typer.Option("--quick", help="Rows and counts only, no stored byte is read.")
    ] = False,
) -> None:
    """Verify the archive: every byte, count and row. Exit status 1 if anything is wrong."""
    with opened() as archive, _bar() as bar:
        jobs: dict[str, TaskID] = {}

        def progress(what: str, number: int) -> None:
            if what not in jobs:
                jobs[what] = bar.add_task(f"Checking {what}", total=None)
            bar.update(jobs[what], advance=number)

        report = checking.check(archive, read_bytes=not quick, progress=progress)
    console.print(
        f"{report.packs} packs, {report.series} series, {report.instances} instances, "
        f"{report.bytes / 1e6:.1f} MB read; {report.waiting} packs wait to be indexed, "
        f"{report.incidents} open incidents"
    )
    for line in report.findings[:FAILURES_SHOWN]:
        complaints.print(f"  {line}", markup=False)
    if not report.clean:
        complaints.print(f"{len(report.findings)} findings")
        raise typer.Exit(1)
    console.print("The archive is whole.")


@app.command()
def stats() -> None:
    """What waits, and what an operator must look at."""
    with opened() as archive:
        now = health.waiting(archive)
    console.print(
        f"packs waiting: {now.packs} (the oldest for {now.oldest_seconds:.0f} s), failed: {now.failed}"
    )
    console.print(f"to be indexed anew: {now.again}")
    console.print(f"open incidents: {now.incidents}")


@user_app.command("add")
def user_add(name: str, display_name: str = "") -> None:
    """Add an administrator; the password is asked for, or read from standard input."""
    with opened() as archive:
        accounts.add_user(archive, name, _password(), Role.ADMINISTRATOR, display_name)


@user_app.command("password")
def user_password(name: str) -> None:
    """Set a user's password."""
    with opened() as archive:
        accounts.set_password(archive, name, _password())


@user_app.command("list")
def user_list() -> None:
    """All users."""
    with opened() as archive:
        for user in accounts.list_users(archive):
            console.print(f"{user.name}\t{user.display_name}\t{user.role.value}", markup=False)


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))


def _bar() -> Progress:
    return Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=complaints, transient=True,
    )  # fmt: skip


def main() -> None:
    """The entry point: expected errors are one clear line and exit status 1."""
    logs.configure()
    try:
        app()
    except TongyingError as error:
        complaints.print(f"tongying: {error}")
        sys.exit(1)
