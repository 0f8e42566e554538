"""Commands of the exchange with other systems: `tongying remote`, `route`, `send`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from deploy.cli_registry import fingerprint_of, read_text
from deploy.console import OPERATOR, bar_of_progress, complaints, console, opened
from pacs.errors import NotAcceptable, NotFound
from storage import remotes, routing, sending
from storage.facilities import LOCAL
from storage.remotes import DICOM, Remote
from storage.routing import Route

WAIT_SECONDS = 0.5
remote_app = typer.Typer(
    no_args_is_help=True, help="Systems that we call: receivers of images, and their like."
)
route_app = typer.Typer(no_args_is_help=True, help="Rules: what arrives and fits is sent on.")
Facility = Annotated[str, typer.Option(help="The facility that it belongs to.")]


@remote_app.command("add")
def remote_add(
    name: Annotated[str, typer.Argument(help="Ours for it, unique.")],
    ae_title: Annotated[str, typer.Argument(help="Its AE title.")],
    host: str,
    port: int,
    facility: Facility = LOCAL,
    tls: Annotated[bool, typer.Option("--tls", help="Call it over TLS.")] = False,
    associations: Annotated[int, typer.Option(help="How many at once.")] = 2,
    syntax: Annotated[
        list[str] | None, typer.Option(help="UIDs of the transfer syntaxes to offer; all if not given.")
    ] = None,
    notify: Annotated[
        bool, typer.Option("--notify", help="Tell it what is available (IAN), instead of sending images.")
    ] = False,
    ca: Annotated[
        Path | None, typer.Option(help="PEM file of the CA that its certificate is signed by.")
    ] = None,
    certificate: Annotated[
        str, typer.Option(help="The one certificate it may show: a PEM file, or a SHA-256 fingerprint.")
    ] = "",
) -> None:
    """Register a DICOM node that we call, or change the one of this name."""
    remote = Remote(name, ae_title, host, port, facility, tls=tls, associations_max=associations,
                    syntaxes=tuple(syntax or ()), notify=notify, ca=read_text(ca) if ca else "",
                    certificate=fingerprint_of(certificate))  # fmt: skip
    with opened() as archive:
        remotes.add_remote(archive, remote)


@remote_app.command("list")
def remote_list() -> None:
    """All DICOM nodes that we call, and what waits for each."""
    with opened() as archive:
        queues = sending.queues(archive)
        for remote in remotes.list_remotes(archive):
            if remote.kind == DICOM:
                queue = queues.get(remote.name, sending.Queue({}, ""))
                states = ", ".join(f"{number} {state}" for state, number in queue.states.items())
                place = f"{remote.ae_title}@{remote.host}:{remote.port}"
                typer.echo(f"{remote.name}\t{place}\t{remote.facility}\t{states}\t{queue.error}")


@remote_app.command("remove")
def remote_remove(name: str) -> None:
    """Forget a remote, its rules, and what waits for it."""
    with opened() as archive:
        if not remotes.remove_remote(archive, name):
            raise NotFound(f"there is no remote {name}")


@remote_app.command("echo")
def remote_echo(name: str) -> None:
    """Ask a remote whether it is there (C-ECHO)."""
    from dicom_node.echo import echo  # here: no other command needs to load pynetdicom

    with opened() as archive:
        remote, settings = remotes.remote_named(archive, name), archive.settings
    if remote.kind != DICOM:
        raise NotAcceptable(f"{name} is no DICOM node")
    console.print(f"{name} answers: {echo(settings, remote)} ms")


@route_app.command("add")
def route_add(
    remote: Annotated[str, typer.Argument(help="The name of the remote that receives.")],
    facility: Annotated[str, typer.Option(help="Whose images; the remote's own facility if not given.")] = "",
    modality: Annotated[str, typer.Option(help="CT, MR, …; all if not given.")] = "",
    body_part: Annotated[str, typer.Option(help="BodyPartExamined; all if not given.")] = "",
    calling: Annotated[str, typer.Option(help="AE title of the device that sends.")] = "",
    called: Annotated[str, typer.Option(help="AE title under which the device calls us.")] = "",
) -> None:
    """Send on what arrives from now on and fits."""
    with opened() as archive:
        owner = facility or remotes.remote_named(archive, remote).facility
        number = routing.add_route(archive, Route(remote, owner, modality, body_part, calling, called))
    console.print(f"rule {number}")


@route_app.command("list")
def route_list() -> None:
    """All rules."""
    with opened() as archive:
        for route in routing.list_routes(archive):
            named = ("modality", "body_part", "calling", "called")
            fits = " ".join(f"{name}={value}" for name in named if (value := getattr(route, name)))
            typer.echo(f"{route.id}\t{route.facility} → {route.remote}\t{fits or 'all'}")


@route_app.command("remove")
def route_remove(number: int) -> None:
    """Remove a rule by its number; what it queued is sent still."""
    with opened() as archive:
        if not routing.remove_route(archive, number):
            raise NotFound(f"there is no rule {number}")


def send(
    study_uid: Annotated[str, typer.Argument(help="The Study Instance UID.")],
    remote: Annotated[str, typer.Argument(help="The name of the remote that receives.")],
    series: Annotated[str, typer.Option(help="The Series Instance UID, for one series alone.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Until it is there; status 1 if it fails.")] = False,
) -> None:
    """Send a study or series to a remote. The running server does it; what was sent before is sent again."""
    with opened() as archive:
        ids = sending.enqueue(archive, OPERATOR, study_uid, remote, series)
        if not wait:
            console.print(f"{len(ids)} series are queued for {remote}")
            return
        with bar_of_progress() as bar:
            job = bar.add_task(f"Sending to {remote}", total=None)
            while not (now := sending.progress(archive, ids)).over:
                said = f"Sending to {remote}" + (f" ({now.error})" if now.error else "")
                bar.update(job, total=now.total, completed=now.sent, description=said)
                time.sleep(WAIT_SECONDS)
    console.print(f"{now.sent} of {now.total} instances are at {remote}")
    if now.states.get("failed"):
        complaints.print(f"  {now.error}", markup=False)
        raise typer.Exit(1)
