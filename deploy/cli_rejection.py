"""`tongying reject`, and `tongying rejected`: the recycle bin."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from deploy.console import OPERATOR, console, opened
from pacs.identity import shown_id
from pacs.rejection import REASON_CHARACTERS_MAX, TITLES
from pacs.uids import clean_uid
from storage import recycling
from storage.archive import Archive
from storage.recycling import Choice

PAGE = 200
rejected_app = typer.Typer(no_args_is_help=True, help="What is rejected: look, restore, erase.")
Number = Annotated[int, typer.Argument(help="As tongying rejected list shows it.")]


def reject(
    study: Annotated[str, typer.Argument(help="Its Study Instance UID.")],
    series: Annotated[str, typer.Option(help="Only the series with this UID.")] = "",
    instance: Annotated[
        list[str] | None, typer.Option(help="Only instances with this UID; several times for several.")
    ] = None,
    code: Annotated[
        str, typer.Option(help="; ".join(f"{code} {meaning}" for code, meaning in TITLES.items()))
    ] = "113001",
    reason: Annotated[str, typer.Option(help="In your own words.")] = "",
    facility: Annotated[str, typer.Option(help="Whose study, where several have it.")] = "",
) -> None:
    """Reject a study, a series or instances.

    They are shown no more, and kept in the recycle bin for a while: tongying rejected."""
    choice = Choice(
        study_uid=clean_uid(study), series_uid=clean_uid(series) if series else "",
        sop_instances=frozenset(map(clean_uid, instance or ())), facility=facility, code=code,
        reason=reason.strip()[:REASON_CHARACTERS_MAX],
    )  # fmt: skip
    with opened() as archive, _reception(archive) as reception:
        note, instances = recycling.reject(archive, reception, OPERATOR, choice, "command line")
    console.print(f"{instances} instances are rejected by the note {note}")


@contextlib.contextmanager
def _reception(archive: Archive) -> Iterator[Any]:
    from storage.intake import Intake  # here: who lists needs none

    intake = Intake(archive)
    try:
        reception = intake.reception()
        try:
            yield reception
        finally:
            reception.close()
    finally:
        intake.close()


@rejected_app.command("list")
def rejected_list(
    state: Annotated[str, typer.Option(help="active, restored or erased; all if not given.")] = "",
) -> None:
    """What was rejected, newest first: number, state, facility, study, patient ID, instances, why, by whom, when, and
    until when it is kept."""
    before = None
    with opened() as archive:
        while True:
            page = recycling.list_rejections(archive, OPERATOR, state=state, before=before, limit=PAGE)
            for one in page:
                typer.echo("\t".join(_line(one)))
            if len(page) < PAGE:
                return
            before = page[-1]["id"]


def _line(one: dict[str, Any]) -> Iterator[str]:
    yield from (str(one["id"]), one["state"], one["facility"], ",".join(one["study_uids"]))
    yield shown_id(one["patient_id"])
    yield f"{one['instances']} instances"
    yield one["meaning"] + (f": {one['reason']}" if one["reason"] else "")
    yield f"by {one['author']}"
    yield f"{one['rejected_at']:%Y-%m-%d %H:%M}"
    yield f"until {one['kept_until']:%Y-%m-%d}" if one["kept_until"] else ""


@rejected_app.command("restore")
def rejected_restore(number: Number) -> None:
    """Take a rejection back: what it hid is shown again."""
    with opened() as archive:
        told = recycling.restore(archive, OPERATOR, number)
    console.print(f"{told['instances']} instances are being indexed again")


@rejected_app.command("erase")
def rejected_erase(
    number: Number,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase for good what a rejection hides; nothing brings it back."""
    if not yes:
        typer.confirm(f"Erase for good what rejection {number} hides?", abort=True)
    with opened() as archive:
        told = recycling.erase(archive, OPERATOR, number)
    console.print(f"{told['instances']} instances are given up; the workers take them out of the store")
