"""`tongying audit`: who looked, asked and changed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from deploy.console import bar_of_progress, complaints, console, opened, tables
from pacs.access import Principal, Role
from pacs.audit import Subject, to_json
from pacs.auditevent import audit_event
from pacs.errors import SettingError
from pacs.identity import shown_id
from pacs.looks import as_csv, as_page
from storage.audit import trail
from storage.audit.looked import DAYS, DAYS_MAX, of_patient
from storage.audit.verify import Verified, accept_loss
from storage.audit.verify import verify as verify_trail
from storage.index.ledger import Line, Search

audit_app = typer.Typer(no_args_is_help=True, help="Who looked, asked and changed: the audit trail.")
OPERATOR = Principal("command line", Role.AUDITOR)
SHOWN = 50

Who = Annotated[str, typer.Option(help="Only of this user or AE title.")]
Patient = Annotated[str, typer.Option(help="Only about the patient with this ID.")]
Facility = Annotated[str, typer.Option(help="The facility that knows the patient, or owns the study.")]
Study = Annotated[str, typer.Option(help="Only about the study with this UID.")]
Days = Annotated[int | None, typer.Option(min=1, max=36_500, help="Only of the last so many days.")]


class Form(StrEnum):
    """How entries are written to a file, one a line."""

    JSON = "json"
    FHIR = "fhir"


class Paper(StrEnum):
    """What is handed to a patient."""

    CSV = "csv"
    HTML = "html"


class Language(StrEnum):
    """Of what is handed to a patient."""

    ZH = "zh"
    EN = "en"


@audit_app.command("list")
def list_(who: Who = "", patient: Patient = "", facility: Facility = "", study: Study = "", days: Days = None,
          limit: Annotated[int, typer.Option(min=1, max=10_000)] = SHOWN) -> None:  # fmt: skip
    """The last entries, newest first."""
    with opened() as archive:
        found = trail.find(archive, OPERATOR, _search(who, patient, facility, study, days), limit)
    table = Table(box=None, pad_edge=False)
    for heading in ("entry", "at", "who", "action", "outcome", "from", "patients", "asked"):
        table.add_column(heading, overflow="fold")
    for line in found:
        table.add_row(*_row(line))
    tables.print(table, markup=False)


@audit_app.command("export")
def export(
    path: Annotated[Path, typer.Argument(help="The file to write; there must be none.")],
    form: Annotated[Form, typer.Option(help="Our own fields, or FHIR AuditEvent.")] = Form.JSON,
    who: Who = "",
    patient: Patient = "",
    facility: Facility = "",
    study: Study = "",
    days: Days = None,
) -> None:
    """Write entries to a file, newest first, one JSON object a line."""
    with opened() as archive, bar_of_progress() as bar:
        job, count = bar.add_task("Writing", total=None), 0
        try:
            with path.open("x", encoding="utf-8") as file:
                for line in trail.find_all(archive, OPERATOR, _search(who, patient, facility, study, days)):
                    told = {"position": line.position} | to_json(line.entry)
                    if form is Form.FHIR:
                        told = audit_event(line.position, line.entry, archive.settings.ae_title)
                    file.write(json.dumps(told, ensure_ascii=False) + "\n")
                    count += 1
                    bar.update(job, advance=1)
        except OSError as error:
            raise SettingError(f"{path} cannot be written: {error.strerror}") from None
    console.print(f"{count} entries")


@audit_app.command("who-looked")
def who_looked(
    patient: Annotated[str, typer.Option(help="The patient's ID at the facility.")],
    facility: Annotated[str, typer.Option(help="The facility that knows the patient by this ID.")],
    issuer: Annotated[str, typer.Option(help="The issuer of the ID, if it has one.")] = "",
    days: Annotated[int, typer.Option(min=1, max=DAYS_MAX, help="Of the last so many days.")] = DAYS,
    form: Annotated[Paper, typer.Option(help="Rows, or a page to print.")] = Paper.CSV,
    language: Annotated[Language, typer.Option(help="Of the headings.")] = Language.ZH,
    names: Annotated[bool, typer.Option(help="With names of users.")] = True,
) -> None:
    """Who looked at the studies of a patient, at all facilities that know the same person: to tell it to them."""
    with opened() as archive:
        found = of_patient(archive, OPERATOR, Subject(facility, issuer, patient), days)
    written = as_csv if form is Paper.CSV else as_page
    typer.echo(written(found, language.value, names=names), nl=False)


@audit_app.command("verify")
def verify() -> None:
    """Verify the chain: nothing was changed, taken out, put in, moved or cut off. Exit status 1 if anything was."""
    with opened() as archive, bar_of_progress() as bar:
        job = bar.add_task("Verifying", total=None)
        report = verify_trail(
            archive.database,
            archive.settings,
            archive.objects,
            progress=lambda n: bar.update(job, advance=n),
        )
    _tell(report)
    if not report.sound:
        raise typer.Exit(1)


@audit_app.command("accept")
def accept(reason: Annotated[str, typer.Option(prompt=True, help="Why it is lost, for auditors.")]) -> None:
    """Say that the beginning of the trail is lost with its database, so that what is left can be verified."""
    with opened() as archive:
        lost = accept_loss(archive.database, archive.settings, archive.objects, reason)
    console.print(f"{lost} entries are told as lost")


def _tell(report: Verified) -> None:
    console.print(
        f"{report.entries} entries, from {report.first} to {report.last}; anchored up to {report.anchored}"
        + (f" at {report.anchored_at}" if report.anchored_at else "")
    )
    if report.lost:
        console.print(f"entries before {report.first} are lost: {report.lost}", markup=False)
    for line in report.findings[:SHOWN]:
        complaints.print(f"  {line}", markup=False)
    console.print("The chain is whole." if report.sound else f"{len(report.findings)} findings")


def _search(who: str, patient: str, facility: str, study: str, days: int | None) -> Search:
    since = datetime.now(UTC) - timedelta(days=days) if days else None
    return Search(who=who, patient_id=patient, owner=facility, study_uid=study, since=since)


def _row(line: Line) -> tuple[str, ...]:
    entry = line.entry
    patients = ", ".join(f"{s.facility}/{shown_id(s.patient_id)}" for s in entry.subjects if s.patient_id)
    at = entry.at.astimezone().isoformat(sep=" ", timespec="seconds")
    return (
        str(line.position), at, entry.who, entry.action.value, entry.outcome.value, entry.address, patients, entry.asked
    )  # fmt: skip
