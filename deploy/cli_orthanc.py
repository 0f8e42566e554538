"""`tongying orthanc …`: hospitals that run an Orthanc."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from deploy.console import bar_of_progress, console, opened
from dicom_node.orthanc_client import EdgeAway, EdgeError, EdgeRefused, Orthanc
from dicom_node.orthanc_verbs import Compared, compare, push
from pacs.errors import SettingError
from storage import edges
from storage.edges import Edge, Status
from storage.facilities import LOCAL

orthanc_app = typer.Typer(
    no_args_is_help=True, help="Hospitals that run an Orthanc: followed by their change logs."
)
FAILURES_SHOWN = 50


@orthanc_app.command("add")
def add(
    name: str,
    url: Annotated[str, typer.Argument(help="Of its REST API: http://host:8042/")],
    facility: Annotated[str, typer.Option(help="The facility that owns what it delivers.")] = LOCAL,
    username: str = "",
    password_file: Annotated[
        Path | None, typer.Option(help="A file that holds the password; - reads standard input.")
    ] = None,
) -> None:
    """Register an Orthanc, or give it another password. All that it has is pulled, then what it receives."""
    with opened() as archive:
        edge = edges.add_edge(archive, Edge(name, facility, url, username, _password(password_file)))
        try:
            orthanc = Orthanc(edge)
            console.print(
                f"Orthanc {orthanc.version()} answers; it has {orthanc.instance_count()} instances."
            )
        except (EdgeAway, EdgeRefused, EdgeError) as error:
            typer.echo(f"It is registered, but cannot be followed yet: {error}", err=True)


def _password(file: Path | None) -> str:
    if file is None:
        return ""
    if str(file) == "-":
        return sys.stdin.readline().rstrip("\r\n")
    try:
        return file.read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"the password file cannot be read ({type(error).__name__})") from None


@orthanc_app.command("list")
def list_() -> None:
    """All Orthancs, and how each is followed."""
    with opened() as archive:
        for status in edges.list_edges(archive):
            typer.echo("\t".join(_columns(status)))
            for instance, why in edges.list_failures(archive, status.edge, FAILURES_SHOWN):
                typer.echo(f"  {instance}: {why}", err=True)


def _columns(status: Status) -> list[str]:
    """Name, facility, URL, state, and what there is to say."""
    comparing = [] if status.progress.listed is None else [f"comparing, {status.progress.listed} so far"]
    failures = [f"{status.failures} instances failed"] if status.failures else []
    said = [f"{status.progress.pulled} pulled", f"change {status.progress.change}", *comparing, *failures]
    error = [status.error] if status.error else []
    return [status.edge.name, status.edge.facility, status.edge.url, status.state, *said, *error]


@orthanc_app.command("remove")
def remove(name: str) -> None:
    """Follow an Orthanc no more; what it delivered stays."""
    with opened() as archive:
        edges.remove_edge(archive, name)


@orthanc_app.command("compare")
def compare_(
    name: str,
    each_instance: Annotated[
        bool, typer.Option("--each-instance", help="By UID, also where the counts agree.")
    ] = False,
) -> None:
    """Is all here that the Orthanc has? Study by study; exit status 1 if something is missing."""
    studies, incomplete = 0, 0
    with opened() as archive, bar_of_progress() as bar:
        job = bar.add_task("Comparing studies", total=None)
        for one in compare(archive, edges.find_edge(archive, name), each_instance=each_instance):
            studies += 1
            bar.update(job, advance=1)
            if one.there != one.here or not one.complete:
                _tell(one)
            incomplete += not one.complete
    console.print(f"{studies} studies compared, {incomplete} incomplete")
    if incomplete:
        raise typer.Exit(1)


def _tell(one: Compared) -> None:
    said = f"{one.missing} missing" if one.missing else "complete"
    typer.echo(f"{one.study_uid}\tthere {one.there}\there {one.here}\t{said}")


@orthanc_app.command("push")
def push_(
    name: str, study_uid: str, series: Annotated[str, typer.Option(help="This series of it alone.")] = ""
) -> None:
    """Send a study that its facility owns to the Orthanc; what it has is left out."""
    with opened() as archive, bar_of_progress() as bar:
        job = bar.add_task("Pushing", total=None)
        pushed = push(
            archive, edges.find_edge(archive, name), study_uid, series,
            lambda done, total: bar.update(job, completed=done, total=total),
        )  # fmt: skip
    console.print(f"{pushed.sent} sent, {pushed.already} were there, {len(pushed.failed)} failed")
    for line in pushed.failed[:FAILURES_SHOWN]:
        typer.echo(f"  {line}", err=True)
    if pushed.failed:
        raise typer.Exit(1)
