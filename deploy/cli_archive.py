"""Commands on the whole archive: `tongying import`, `check`, `stats`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import TaskID

from deploy.console import bar_of_progress, complaints, console, opened
from pacs.errors import NotFound
from storage import check as checking
from storage import health, importing
from storage.facilities import LOCAL, list_facilities

FAILURES_SHOWN = 50


def import_(
    paths: Annotated[
        list[Path], typer.Argument(exists=True, help="Files, folders, ZIPs, or a DICOMDIR's folder.")
    ],
    facility: Annotated[str, typer.Option(help="The facility that owns them.")] = LOCAL,
) -> None:
    """Take files into the archive. Run again after an interruption: what is stored is not read twice."""
    with opened() as archive:
        if facility not in {known.code for known in list_facilities(archive)}:
            raise NotFound(f"there is no facility {facility}: tongying facility add")
        journal = archive.settings.data / "imports" / f"{facility}.journal"
        with importing.Importer(archive, facility, journal) as importer, bar_of_progress() as bar:
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


def check(
    quick: Annotated[
        bool, typer.Option("--quick", help="Rows and counts only, no stored byte is read.")
    ] = False,
) -> None:
    """Verify the archive: every byte, count and row. Exit status 1 if anything is wrong."""
    with opened() as archive, bar_of_progress() as bar:
        jobs: dict[str, TaskID] = {}

        def progress(what: str, number: int) -> None:
            if what not in jobs:
                jobs[what] = bar.add_task(f"Checking {what}", total=None)
            bar.update(jobs[what], advance=number)

        report = checking.check(archive, read_bytes=not quick, progress=progress)
    console.print(
        f"{report.packs} packs, {report.series} series, {report.instances} instances, "
        f"{report.bytes / 1e6:.1f} MB read, {report.audited} audit entries; {report.waiting} packs wait to be indexed, "
        f"{report.incidents} open incidents"
    )
    for line in report.findings[:FAILURES_SHOWN]:
        complaints.print(f"  {line}", markup=False)
    if not report.clean:
        complaints.print(f"{len(report.findings)} findings")
        raise typer.Exit(1)
    console.print("The archive is whole.")


def stats() -> None:
    """What waits, and what an operator must look at."""
    with opened() as archive:
        now = health.waiting(archive)
    console.print(
        f"packs waiting: {now.packs} (the oldest for {now.oldest_seconds:.0f} s), failed: {now.failed}"
    )
    console.print(f"to be indexed anew: {now.again}")
    console.print(f"open incidents: {now.incidents}")
