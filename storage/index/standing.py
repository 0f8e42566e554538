"""What is the same for all studies that somebody asks for: asked once, so that `visible` need not for each row."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Integer, bindparam, select, text

from pacs.access import CARE, PROFESSIONALS, Principal
from storage.index.tables import studies
from storage.index.visibility import NAMED_MAX, Narrowed, Standing, granted, opened_to

_ASKED = text("""
    WITH own AS (SELECT id FROM facilities WHERE code = :own),
         shared AS (SELECT facility_id, scope, modalities, sensitive_body_parts,
                           modalities = '{}' AND sensitive_body_parts = '{}' AS whole
                    FROM sharing_policies WHERE scope <> 'none' AND facility_id IS DISTINCT FROM (SELECT id FROM own)),
         mine AS (SELECT since, until FROM grants WHERE to_facility_id = (SELECT id FROM own)
                  UNION ALL SELECT since, until FROM grants
                  WHERE to_user_id = (SELECT id FROM users WHERE name = :name)
                  UNION ALL SELECT since, until FROM grants WHERE to_department_id =
                      (SELECT id FROM departments WHERE code = :department AND facility_id = (SELECT id FROM own)))
    SELECT (SELECT id FROM own) AS own,
           ARRAY(SELECT facility_id FROM shared WHERE scope = 'region' ORDER BY 1) AS region,
           ARRAY(SELECT facility_id FROM shared WHERE scope = 'registered' ORDER BY 1) AS registered,
           ARRAY(SELECT json_build_array(array_agg(facility_id ORDER BY facility_id), modalities, sensitive_body_parts)
                 FROM shared WHERE NOT whole GROUP BY modalities, sensitive_body_parts ORDER BY min(facility_id))
               AS narrowed,
           EXISTS (SELECT FROM restrictions WHERE everywhere AND since <= now() AND (until IS NULL OR until > now()))
               AS everywhere,
           EXISTS (SELECT FROM mine WHERE since <= now() AND until > now()) AS has_grants
    """)

# Where a restriction says `everywhere`, the patients who are the same person: of their own facility what keeps studies
# closed there too.
_CLOSED = text("""
    SELECT DISTINCT there.id FROM restrictions said
    JOIN patients here ON here.id = said.patient_pk JOIN patients there ON there.person_pk = here.person_pk
    WHERE said.everywhere AND said.since <= now() AND (said.until IS NULL OR said.until > now())
          AND (there.facility_id IS DISTINCT FROM :own OR said.kind IN ('embargo', 'sensitive'))
    ORDER BY 1 LIMIT :most
    """).bindparams(bindparam("own", type_=Integer), bindparam("most", type_=Integer))


def find_standing(connection: Connection, principal: Principal) -> Standing | None:
    """None for those of whom nothing need be known before."""
    if principal.role not in PROFESSIONALS:
        return None  # nothing is asked, so nobody need remember it
    asked = {"own": principal.facility, "name": principal.name, "department": principal.department}
    row = connection.execute(_ASKED, asked).one()
    care = principal.purpose in CARE
    return Standing(
        own=row.own,
        region=tuple(row.region) if care else (),
        registered=tuple(row.registered) if care and row.own is not None else (),
        narrowed=tuple(Narrowed(*map(tuple, one)) for one in row.narrowed) if care else (),
        closed=_closed(connection, row.own) if row.everywhere and care else (),
        opened=_opened(connection, principal) if row.has_grants else (),
    )


def _closed(connection: Connection, own: int | None) -> tuple[int, ...] | None:
    asked = {"own": own, "most": NAMED_MAX + 1}
    return _few(connection.execute(_CLOSED, asked).scalars().all())


def _opened(connection: Connection, principal: Principal) -> tuple[int, ...] | None:
    """The studies that were opened to them by name, and that nothing keeps closed; None where they are many."""
    query = select(studies.c.id).where(opened_to(principal), granted(principal))
    return _few(connection.execute(query.limit(NAMED_MAX + 1)).scalars().all())


def _few(keys: Sequence[int]) -> tuple[int, ...] | None:
    return tuple(sorted(keys)) if len(keys) <= NAMED_MAX else None
