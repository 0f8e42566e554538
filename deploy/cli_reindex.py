"""`tongying reindex`: read again what is stored, and put it into the index in the place of what was read before."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.progress import Progress

from deploy.console import OPERATOR, bar_of_progress, complaints, console, opened
from pacs.errors import ObjectMissing, SettingError
from storage import reindexing
from storage.archive import Archive
from storage.audit.verify import accept_loss
from storage.database import AWAY
from storage.indexing import index_next
from storage.lanes import Turns
from storage.reindexing import Scope

IDLE_SECONDS = 0.5  # while others are at the packs that are left
COUNT_SECONDS = 1.0
AGAIN: tuple[type[Exception], ...] = (ObjectMissing, *AWAY)
NOT_IN_STORE = (
    "Users, devices, remotes, rules, worklist, performed steps and what waits to be sent are in no pack: they come "
    "from a backup of the database, or are registered anew. Names of devices whose character set is not registered "
    "are read as they declare them: register it, then tongying reindex --device. What lies in a pack is "
    "shown, but for what is rejected or erased."
)


def reindex(
    facility: Annotated[str, typer.Option(help="Only what this facility owns.")] = "",
    device: Annotated[str, typer.Option(help="Only packs in which this AE title sent something.")] = "",
    study: Annotated[str, typer.Option(help="Only packs of the study with this UID.")] = "",
    series: Annotated[str, typer.Option(help="Of that study, only packs of the series with this UID.")] = "",
    from_store: Annotated[
        bool,
        typer.Option(
            "--from-store", help="Index all packs in the object store that the database does not know."
        ),
    ] = False,
    proceed: Annotated[
        bool, typer.Option("--continue", help="Mark nothing: go on with what is marked.")
    ] = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Take the marks back: what is not done stays as it is indexed.")
    ] = False,
    clear: Annotated[
        bool,
        typer.Option(
            "--clear",
            help="At the end remove from the store what a former index wrote. Only where no other database uses it.",
        ),
    ] = False,
    wait: Annotated[bool, typer.Option(help="Help with the work until it is done.")] = True,
) -> None:
    """Index anew what is stored, as it is read now.

    After a device's character set was registered, after an upgrade that reads better, or into an empty database
    (--from-store).

    Packs are marked; the workers of the running server come to them when nothing new waits, and this command helps.
    All stays searchable meanwhile, and no stored byte changes. Stopped or killed, it is gone on with by the workers, or
    by --continue.

    In no pack are users, devices, remotes, rules, the worklist, performed steps and what waits to be sent: with
    --from-store they come from a backup of the database, or are registered anew. What lies in a pack is shown, but for
    what is rejected or erased.
    """
    scope = Scope(facility, device, study, series)
    if series and not study:
        raise SettingError("a series is named together with its study: --study")
    if sum((from_store, proceed, cancel, scope != Scope())) > 1:
        raise SettingError("--from-store, --continue, --cancel, and a choice of packs exclude each other")
    with opened() as archive, bar_of_progress() as bar:
        if cancel:
            console.print(f"{reindexing.cancel(archive)} packs are marked no more")
            return
        if not proceed:
            _mark(archive, bar, scope, from_store)
        if wait:
            _work(archive, bar)
        failed = reindexing.given_up(archive)
        if clear:
            _clear(archive, bar, failed)
    if failed:
        complaints.print(f"{failed} packs could not be read: /api/incidents, tongying check")
        raise typer.Exit(1)


def _mark(archive: Archive, bar: Progress, scope: Scope, from_store: bool) -> None:
    job = bar.add_task("Listing the store" if from_store else "Marking", total=None)

    def progress(number: int) -> None:
        bar.update(job, advance=number)

    if from_store:
        listed = reindexing.add_from_store(archive, progress)
        said = f"{listed.added} packs found, {listed.known} were known"
        console.print(said + (f", {listed.foreign} objects are no packs" if listed.foreign else ""))
        console.print(NOT_IN_STORE)
        if lost := accept_loss(archive.database, archive.settings, archive.objects, "reindex --from-store"):
            console.print(f"The audit trail was lost with the database too: {lost} entries")
    else:
        console.print(f"{reindexing.mark(archive, OPERATOR, scope, progress)} packs are to be indexed anew")


def _work(archive: Archive, bar: Progress) -> None:
    """Beside the workers, until nothing is marked."""
    turns, counted, total = Turns(), 0.0, reindexing.remaining(archive)
    left, job = total, bar.add_task("Indexing packs anew", total=total)
    while left:
        try:
            outcome = index_next(archive, turns)
        except AGAIN:  # it is tried again later, a few times
            outcome = None
        if outcome is None:
            time.sleep(IDLE_SECONDS)
        if outcome is None or time.monotonic() - counted > COUNT_SECONDS:
            left, counted = reindexing.remaining(archive), time.monotonic()
            bar.update(job, total=max(total, left), completed=max(total, left) - left)
    console.print("Nothing is left to be indexed anew.")


def _clear(archive: Archive, bar: Progress, failed: int) -> None:
    if failed or reindexing.remaining(archive):
        raise SettingError("nothing is removed from the store before all is indexed")
    job = bar.add_task("Clearing the store", total=None)
    removed = reindexing.remove_strays(archive, lambda number: bar.update(job, advance=number))
    console.print(f"{removed} objects of a former index are removed")
