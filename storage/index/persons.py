"""Persons as somebody may see them: no query here is without `visible` or `facility_visible`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, and_, or_, select

from pacs.access import Principal
from storage.index.identity import demographics, identities, link_events, reviews
from storage.index.tables import facilities, patients, studies
from storage.index.visibility import facility_visible, visible

_SHOWN = (
    patients.c.id, facilities.c.code.label("facility"), patients.c.patient_id, patients.c.issuer,
    patients.c.patient_name, patients.c.birth_date, patients.c.sex, patients.c.person_pk,
    identities.c.phone, identities.c.resident_masked, identities.c.reused,
    identities.c.patient_name.label("said_name"), identities.c.birth_date.label("said_birth_date"),
    identities.c.sex.label("said_sex"),
)  # fmt: skip


def seen_patients(principal: Principal, pks: Collection[int] | None = None) -> Select[Any]:
    """Patients of facilities whose patients the principal may see; of these keys, if some are given."""
    wanted = () if pks is None else (patients.c.id.in_(pks),)
    return (
        select(*_SHOWN)
        .select_from(patients)
        .join(facilities, facilities.c.id == patients.c.facility_id)
        .outerjoin(identities, identities.c.patient_pk == patients.c.id)
        .where(facility_visible(principal, patients.c.facility_id), *wanted)
    )


def patients_of_person(principal: Principal, patient_pk: int) -> Select[Any]:
    """A patient, and those who are the same person, as far as they may be seen."""
    return seen_patients(principal).where(_same_person(patient_pk, patients.c.id, patients.c.person_pk))


def studies_of_person(principal: Principal, patient_pk: int) -> Select[Any]:
    """Keys of the studies of the same person that may be seen: what a list of priors begins with."""
    mine = _same_person(patient_pk, patients.c.id, patients.c.person_pk)
    same = select(patients.c.id).where(mine)
    return (
        select(studies.c.id, studies.c.study_uid, studies.c.facility_id, studies.c.patient_pk)
        .where(studies.c.patient_pk.in_(same), studies.c.instance_count > 0, visible(principal))
        .order_by(studies.c.sort_date.desc(), studies.c.id.desc())
    )


def seen_studies_of_person(principal: Principal, patient_pk: int) -> Select[Any]:
    """The same studies, as a summary tells them."""
    of = studies.c
    return studies_of_person(principal, patient_pk).with_only_columns(
        of.study_uid,
        of.patient_pk,
        of.study_date,
        of.description,
        of.modalities,
        of.series_count,
        of.instance_count,
    )


def patients_of_study(principal: Principal, study_uid: str) -> Select[Any]:
    """The patients of a study that may be seen."""
    return select(studies.c.patient_pk).where(studies.c.study_uid == study_uid, visible(principal))


def _same_person(patient_pk: int, pk: Any, person: Any) -> Any:
    whose = select(patients.c.person_pk).where(patients.c.id == patient_pk).scalar_subquery()
    return or_(pk == patient_pk, person == whose)  # nothing equals NULL


def seen_persons(principal: Principal, after: int) -> Select[Any]:
    """Patients who are linked, by their persons."""
    linked = seen_patients(principal).where(patients.c.person_pk > after)
    return linked.order_by(patients.c.person_pk, patients.c.id)


def seen_reviews(principal: Principal, state: str) -> Select[Any]:
    """Pairs of the queue, the surest first; only where both patients may be seen."""
    low, high = patients.alias("low"), patients.alias("high")
    return (
        select(reviews)
        .join(low, low.c.id == reviews.c.low_pk)
        .join(high, high.c.id == reviews.c.high_pk)
        .where(
            reviews.c.state == state,
            facility_visible(principal, low.c.facility_id),
            facility_visible(principal, high.c.facility_id),
        )
        .order_by(reviews.c.bits.desc(), reviews.c.low_pk, reviews.c.high_pk)
    )


def seen_steps(principal: Principal, patient_pk: int) -> Select[Any]:
    """What was done with a patient, the last first, with corrections of its ID."""
    corrected = and_(
        demographics.c.facility_id == patients.c.facility_id, demographics.c.patient_id == patients.c.patient_id,
        patients.c.patient_id != "",
    )  # fmt: skip
    rows = select(demographics.c.id).join(patients, corrected).where(patients.c.id == patient_pk)
    return (
        select(link_events)
        .where(
            or_(link_events.c.patient_pk == patient_pk, link_events.c.demographics_id.in_(rows)),
            facility_visible(principal, link_events.c.facility_id),
        )
        .order_by(link_events.c.id.desc())
    )


def unseen_steps(principal: Principal, batch: int) -> Select[Any]:
    """Steps of a batch that are not the principal's to see."""
    hidden = ~facility_visible(principal, link_events.c.facility_id)
    return select(link_events.c.id).where(link_events.c.batch == batch, hidden).limit(1)
