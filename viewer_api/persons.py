"""Persons, for administrators of the facilities concerned: pairs to review, links, and undoing them."""

from __future__ import annotations

from datetime import datetime
from itertools import groupby
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from pacs.audit import Subject
from storage import persons
from storage.persons import PAGE_MAX, Review, SeenPatient
from viewer_api.administration import Administrator
from viewer_api.audited import tell
from viewer_api.auth import TheArchive

router = APIRouter(prefix="/api/persons", tags=["persons"])
WHY_CHARACTERS_MAX = 200
KEY_MAX = 2**53 - 1  # what every reader of JSON takes for the number it is
Key = Annotated[int, Field(ge=1, le=KEY_MAX)]
InPath = Annotated[int, Path(ge=1, le=KEY_MAX)]


class Person(BaseModel):
    """Patients who are one person."""

    person: int
    patients: list[SeenPatient]


class Persons(BaseModel):
    """A page; the next one begins `after` its last person."""

    persons: list[Person]


class Reviews(BaseModel):
    reviews: list[Review]


class Decision(BaseModel):
    """What somebody says of a pair."""

    model_config = ConfigDict(extra="forbid")
    decision: Literal["accept", "refuse"]
    why: str = Field(default="", max_length=WHY_CHARACTERS_MAX)


class Step(BaseModel):
    """What was done with a patient; `actor` is empty where comparison did it."""

    batch: int
    kind: str
    patient_pk: int | None
    other_pk: int | None
    from_person: int | None
    to_person: int | None
    bits: float | None
    why: str
    actor: str
    created_at: datetime
    undone_by: int | None


class Links(BaseModel):
    """A patient, who is the same person, and how that came."""

    patient: SeenPatient
    same: list[SeenPatient]
    steps: list[Step]


class Batch(BaseModel):
    """The number by which it can be undone; 0: nothing was to be done."""

    batch: int


@router.get("")
def list_persons(
    who: Administrator,
    archive: TheArchive,
    after: Annotated[int, Query(ge=0, le=KEY_MAX)] = 0,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX, description="of patients")] = PAGE_MAX,
) -> Persons:
    """Patients who are linked, by their persons."""
    found = persons.list_persons(archive, who, after, limit)
    by_person = groupby(found, key=lambda p: p.person or 0)
    return Persons(persons=[Person(person=key, patients=list(group)) for key, group in by_person])


@router.get("/reviews")
def list_reviews(
    who: Administrator,
    archive: TheArchive,
    state: Literal["open", "accepted", "refused"] = "open",
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE_MAX,
) -> Reviews:
    """Pairs that comparison leaves to a human, the surest first, or those that were decided."""
    return Reviews(reviews=persons.list_reviews(archive, who, state, limit))


@router.post("/reviews/{one}/{other}")
def decide(one: InPath, other: InPath, said: Decision, who: Administrator, archive: TheArchive) -> Batch:
    """Say that two patients are one person, or two, whether they were asked about or not. Comparison does not decide
    that again."""
    tell(what=f"{said.decision} {one} {other}")
    if said.decision == "accept":
        return Batch(batch=persons.link(archive, who, one, other, said.why))
    persons.refuse(archive, who, one, other)
    return Batch(batch=0)


@router.get("/patients/{patient}")
def links(patient: InPath, who: Administrator, archive: TheArchive) -> Links:
    """A patient, who is the same person as far as the asker may see them, and how that came."""
    same = persons.patients_of_person(archive, who, patient)
    steps = persons.list_steps(archive, who, patient)
    (own,) = (p for p in same if p.id == patient)
    tell(subjects=tuple(Subject(p.facility, p.issuer, p.patient_id) for p in same))
    return Links(
        patient=own,
        same=[p for p in same if p.id != patient],
        steps=[Step.model_validate(s) for s in steps],
    )


@router.delete("/patients/{patient}/person")
def unlink(patient: InPath, who: Administrator, archive: TheArchive) -> Batch:
    """Take a patient away from its person; comparison does not link it with these again."""
    return Batch(batch=persons.unlink(archive, who, patient))


@router.post("/steps/{batch}/undo")
def undo(batch: InPath, who: Administrator, archive: TheArchive) -> Batch:
    """Undo a step, with those that were done together with it."""
    return Batch(batch=persons.undo(archive, who, batch))
