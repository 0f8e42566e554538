"""`tongying person`: who is who across facilities."""

from __future__ import annotations

from typing import Annotated

import typer

from deploy.console import OPERATOR, console, opened
from storage import persons
from storage.persons import PAGE_MAX, SeenPatient

person_app = typer.Typer(no_args_is_help=True, help="Who is who: patients linked across facilities.")
Number = Annotated[int, typer.Argument(help="A patient, as tongying person list and review show it.")]
Why = Annotated[str, typer.Option(help="In your own words.")]


@person_app.command("list")
def person_list(after: Annotated[int, typer.Option(help="Begin after this person.")] = 0) -> None:
    """Linked patients: person, patient, facility, patient ID, name, birth date, sex, resident number."""
    with opened() as archive:
        while page := persons.list_persons(archive, OPERATOR, after):
            # A person's patients are shown together: of a full page the last one comes with the next.
            last = page[-1].person or 0
            whole = [p for p in page if len(page) < PAGE_MAX or p.person != last] or page
            for one in whole:
                typer.echo(_line(one))
            after = whole[-1].person or 0


@person_app.command("show")
def person_show(patient: Number) -> None:
    """A patient, who is the same person, and how that came."""
    with opened() as archive:
        for one in persons.patients_of_person(archive, OPERATOR, patient):
            typer.echo(_line(one))
        for step in persons.list_steps(archive, OPERATOR, patient):
            undone = f"undone by {step['undone_by']}" if step["undone_by"] else ""
            bits = "" if step["bits"] is None else f"{step['bits']:.1f} bits"
            fields = (
                step["batch"], f"{step['created_at']:%Y-%m-%d %H:%M}", step["kind"], step["actor"] or "comparison",
                f"{step['from_person'] or '-'} to {step['to_person'] or '-'}", bits, step["why"], undone,
            )  # fmt: skip
            typer.echo("\t".join(map(str, fields)))


@person_app.command("link")
def person_link(patient: Number, other: Number, why: Why = "") -> None:
    """Say that two patients are one person."""
    with opened() as archive:
        batch = persons.link(archive, OPERATOR, patient, other, why)
    console.print(f"linked: tongying person undo {batch}" if batch else "they were linked already")


@person_app.command("unlink")
def person_unlink(patient: Number, why: Why = "") -> None:
    """Take a patient away from its person; comparison does not link it with these again."""
    with opened() as archive:
        batch = persons.unlink(archive, OPERATOR, patient, why)
    console.print(f"unlinked: tongying person undo {batch}")


@person_app.command("undo")
def person_undo(batch: Annotated[int, typer.Argument(help="As tongying person show names it.")]) -> None:
    """Undo a step, with those that were done together with it."""
    with opened() as archive:
        undone = persons.undo(archive, OPERATOR, batch)
    console.print(f"undone: tongying person undo {undone}")


@person_app.command("review")
def person_review(
    accept: Annotated[tuple[int, int] | None, typer.Option(help="These two patients are one person.")] = None,
    refuse: Annotated[tuple[int, int] | None, typer.Option(help="These two patients are two.")] = None,
) -> None:
    """Pairs that comparison leaves to a human, the surest first; or decide one."""
    with opened() as archive:
        if accept:
            batch = persons.link(archive, OPERATOR, *accept)
            console.print(f"linked: tongying person undo {batch}" if batch else "they were linked already")
        elif refuse:
            persons.refuse(archive, OPERATOR, *refuse)
            console.print("they stay apart")
        else:
            for pair in persons.list_reviews(archive, OPERATOR):
                typer.echo(f"{pair.bits or 0:.1f} bits\t{pair.why}")
                typer.echo(_line(pair.low))
                typer.echo(_line(pair.high))


def _line(one: SeenPatient) -> str:
    birth = one.said_birth_date or one.birth_date
    fields = (
        one.person or "-", one.id, one.facility, one.patient_id, one.said_name or one.patient_name, birth or "",
        one.said_sex or one.sex, one.resident_number, "the ID was used for two people" if one.reused else "",
    )  # fmt: skip
    return "\t".join(map(str, fields)).rstrip()
