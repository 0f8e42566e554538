"""What is the same for all studies that somebody asks for: asked once, so that `visible` need not for each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import ARRAY, BigInteger, Boolean, Connection, Integer, any_, bindparam, literal, select, text

from pacs.access import CARE, PROFESSIONALS, WORKING, Principal
from storage.index.tables import patients, studies
from storage.index.visibility import NAMED_MAX, Closed, Standing, granted, opened_to

_ASKED = text("""
    WITH own AS (SELECT id FROM facilities WHERE code = :own),
         shared AS (SELECT facility_id, scope, modalities = '{}' AND sensitive_body_parts = '{}' AS whole
                    FROM sharing_policies WHERE scope <> 'none' AND facility_id IS DISTINCT FROM (SELECT id FROM own)),
         mine AS (SELECT since, until FROM grants WHERE to_facility_id = (SELECT id FROM own)
                  UNION ALL SELECT since, until FROM grants
                  WHERE to_user_id = (SELECT id FROM users WHERE name = :name)
                  UNION ALL SELECT since, until FROM grants WHERE to_department_id =
                      (SELECT id FROM departments WHERE code = :department AND facility_id = (SELECT id FROM own)))
    SELECT (SELECT id FROM own) AS own,
           ARRAY(SELECT facility_id FROM shared WHERE whole AND scope = 'region' ORDER BY 1) AS region,
           ARRAY(SELECT facility_id FROM shared WHERE whole AND scope = 'registered' ORDER BY 1) AS registered,
           ARRAY(SELECT facility_id FROM shared WHERE NOT whole ORDER BY 1) AS narrowed,
           EXISTS (SELECT FROM restrictions WHERE everywhere AND since <= now() AND (until IS NULL OR until > now()))
               AS everywhere,
           EXISTS (SELECT FROM mine WHERE since <= now() AND until > now()) AS has_grants
    """)

_CLOSED = text("""
    WITH said AS MATERIALIZED (
             SELECT facility_id, patient_pk, study_uid, everywhere, kind IN ('embargo', 'sensitive') AS at_home
             FROM restrictions WHERE since <= now() AND (until IS NULL OR until > now())),
         whom AS (
             SELECT p.id, p.facility_id, at_home FROM said
             JOIN patients p ON p.id = said.patient_pk AND p.facility_id = said.facility_id
             UNION SELECT there.id, there.facility_id, at_home FROM said
             JOIN patients here ON here.id = said.patient_pk JOIN patients there ON there.person_pk = here.person_pk
             WHERE everywhere)
    SELECT id, NULL AS facility_id, NULL AS study_uid FROM whom
    WHERE (facility_id = ANY(:whole) OR (facility_id = ANY(:registered) AND (:many OR id = ANY(:patients))))
          AND facility_id IS DISTINCT FROM :own OR (facility_id = :own AND at_home AND :at_home)
    UNION SELECT NULL, facility_id, study_uid FROM said
    WHERE study_uid <> '' AND facility_id = ANY(:whole || :registered) AND facility_id IS DISTINCT FROM :own
          OR study_uid <> '' AND facility_id = :own AND at_home AND :at_home
    ORDER BY 1, 2, 3 LIMIT :most
    """).bindparams(
    bindparam("own", type_=Integer), bindparam("many", type_=Boolean), bindparam("at_home", type_=Boolean),
    *(bindparam(name, type_=ARRAY(Integer)) for name in ("whole", "registered")),
    bindparam("patients", type_=ARRAY(BigInteger)), bindparam("most", type_=Integer),
)  # fmt: skip


def find_standing(connection: Connection, principal: Principal) -> Standing | None:
    """None for those of whom nothing need be known before."""
    if principal.role not in PROFESSIONALS:
        return None  # nothing is asked, so nobody need remember it
    asked = {"own": principal.facility, "name": principal.name, "department": principal.department}
    row = connection.execute(_ASKED, asked).one()
    care = principal.purpose in CARE
    registered = care and row.own is not None
    standing = Standing(
        own=row.own,
        region=tuple(row.region) if care else (),
        registered=tuple(row.registered) if registered else (),
        narrowed=tuple(row.narrowed) if care else (),
        patients=_patients(connection, row.own, row.registered) if registered else (),
        patients_narrowed=_patients(connection, row.own, row.narrowed) if registered else (),
        everywhere=row.everywhere,
        closed=None,
        opened=_opened(connection, principal) if row.has_grants else (),
    )
    return replace(standing, closed=_closed(connection, principal, standing) if care else None)


def _closed(connection: Connection, principal: Principal, standing: Standing) -> Closed | None:
    """What restrictions keep from them of what they would see else; None where it is much."""
    asked = {
        "own": standing.own, "at_home": principal.role not in WORKING,
        "whole": [*standing.region, *standing.narrowed], "registered": list(standing.registered),
        "many": standing.patients is None, "patients": list(standing.patients or ()), "most": NAMED_MAX + 1,
    }  # fmt: skip
    rows = connection.execute(_CLOSED, asked).all()
    if len(rows) > NAMED_MAX:
        return None
    named = [row for row in rows if row.id is None]
    return Closed(
        tuple(row.id for row in rows if row.id is not None),
        tuple(sorted({row.study_uid for row in named})),
        tuple(f"{row.facility_id}:{row.study_uid}" for row in named),
    )


def _opened(connection: Connection, principal: Principal) -> tuple[int, ...] | None:
    """The studies that were opened to them by name, and that nothing keeps closed; None where they are many."""
    query = select(studies.c.id).where(opened_to(principal), granted(principal))
    return _few(connection.execute(query.limit(NAMED_MAX + 1)).scalars().all())


def _patients(connection: Connection, own: int, owners: Sequence[int]) -> tuple[int, ...] | None:
    """The patients of these facilities who were found to be the same persons as patients of this one."""
    if not owners:
        return ()
    here, there = patients.alias(), patients.alias()
    query = (
        select(there.c.id)
        .join(here, here.c.person_pk == there.c.person_pk)
        .where(here.c.facility_id == own, there.c.facility_id == any_(literal(owners, ARRAY(Integer))))
        .distinct()
    )
    return _few(connection.execute(query.limit(NAMED_MAX + 1)).scalars().all())


def _few(keys: Sequence[int]) -> tuple[int, ...] | None:
    return tuple(sorted(keys)) if len(keys) <= NAMED_MAX else None
