"""Whom and what a grant or a restriction is about: studies and patients by the names that people know them by."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, or_, select

from pacs.access import Principal
from storage.index.tables import facilities, facility_key, patients, studies
from storage.index.visibility import visible


@dataclass(frozen=True, slots=True)
class Named:
    """A study by its UID, or a patient by ID and issuer."""

    study_uid: str = ""
    patient_id: str = ""
    issuer: str = ""


def find_owned(
    connection: Connection, principal: Principal, facility: str, named: Named
) -> dict[str, Any] | None:
    """Columns of what is said about it, if a facility has it and the principal may see of it."""
    query = (
        select(studies.c.facility_id, studies.c.patient_pk)
        .join(facilities, facilities.c.id == studies.c.facility_id)
        .join(patients, patients.c.id == studies.c.patient_pk)
        .where(visible(principal), facilities.c.code == facility, _is_named(named))
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    about = {"facility_id": row.facility_id, "study_uid": named.study_uid, "patient_pk": None}
    return about if named.study_uid else about | {"patient_pk": row.patient_pk}


def patients_with(
    connection: Connection, principal: Principal, facility: str, study_uids: list[str]
) -> list[tuple[int, int]] | None:
    """Facility and key of each patient of a facility who has all of these studies; None where one of them may not be
    seen, or is not there."""
    query = (
        select(studies.c.facility_id, studies.c.patient_pk, studies.c.study_uid)
        .join(facilities, facilities.c.id == studies.c.facility_id)
        .where(visible(principal), facilities.c.code == facility, studies.c.instance_count > 0)
        .where(studies.c.study_uid.in_(study_uids))
    )
    found = connection.execute(query).all()
    if {row.study_uid for row in found} != set(study_uids):
        return None
    held = Counter((row.facility_id, row.patient_pk) for row in found)
    return [one for one, count in held.items() if count == len(study_uids)]


def find_person(connection: Connection, facility: str, named: Named) -> list[tuple[int, int]]:
    """Facility and key of every patient who is the person that was named, by a study of any facility, or by a patient
    of this one. Who may see them is not asked: it is for an emergency."""
    here, there = patients.alias(), patients.alias()
    same = or_(there.c.id == here.c.id, there.c.person_pk == here.c.person_pk)
    query = select(there.c.facility_id, there.c.id).select_from(here.join(there, same)).distinct()
    if named.study_uid:
        of = select(studies.c.patient_pk).where(studies.c.study_uid == named.study_uid)
        query = query.where(here.c.id.in_(of))
    else:
        known = facility_key(facility).scalar_subquery()
        query = query.where(
            here.c.patient_id == named.patient_id, here.c.issuer == named.issuer, here.c.facility_id == known
        )
    return [(row[0], row[1]) for row in connection.execute(query.order_by(there.c.id))]


def shown_of(connection: Connection, principal: Principal, patient_pks: list[int]) -> list[str]:
    """The UIDs of these patients' studies that the principal may see."""
    query = select(studies.c.study_uid).where(visible(principal), studies.c.patient_pk.in_(patient_pks))
    return list(
        connection.execute(query.where(studies.c.instance_count > 0).order_by(studies.c.id)).scalars()
    )


def known_as(patient_pk: ColumnElement[Any]) -> tuple[ColumnElement[Any], ...]:
    """A patient's ID and issuer, for who looks after its facility."""
    of = patients.c
    return tuple(
        select(column).where(of.id == patient_pk).scalar_subquery().label(column.name)
        for column in (of.patient_id, of.issuer)
    )


def _is_named(named: Named) -> ColumnElement[bool]:
    if named.study_uid:
        return studies.c.study_uid == named.study_uid
    return and_(patients.c.patient_id == named.patient_id, patients.c.issuer == named.issuer)
