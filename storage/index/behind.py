"""What somebody could possibly see, coarsely: what the second wall (`storage.index.wall`) lets through to them.

Asked by itself, and not of `visible` or a standing, so that a fault in those is not a fault here. Whatever `visible`
shows is among it; not the other way round: restrictions, body parts and who is registered where are not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Row, text

from pacs.access import CARE, PROFESSIONALS, Principal, Role, reads_own

OPENED_MAX = 500  # studies that are named one by one; beyond them all of their facilities are let through
_OWN = text("SELECT id FROM facilities WHERE code = :own")
_LINKED = text("""
    SELECT ARRAY(SELECT s.id FROM share_links l JOIN studies s
                     ON s.facility_id = l.facility_id AND s.study_uid = ANY (l.study_uids)
                 WHERE l.id = :link) AS opened
    """)
_PROFESSIONAL = text("""
    WITH own AS (SELECT id FROM facilities WHERE code = :own),
         mine AS MATERIALIZED (
             SELECT facility_id, study_uid, patient_pk, since, until FROM grants
                 WHERE to_user_id = (SELECT id FROM users WHERE name = :name)
             UNION ALL SELECT facility_id, study_uid, patient_pk, since, until FROM grants
                 WHERE to_facility_id = (SELECT id FROM own)
             UNION ALL SELECT facility_id, study_uid, patient_pk, since, until FROM grants
                 WHERE to_department_id = (SELECT d.id FROM departments d, own
                                           WHERE d.facility_id = own.id AND d.code = :department)),
         now AS MATERIALIZED (SELECT * FROM mine WHERE since <= now() AND until > now())
    SELECT ARRAY(SELECT id FROM own WHERE :reads_own
                 UNION ALL SELECT facility_id FROM sharing_policies WHERE :cares AND scope <> 'none') AS facilities,
           ARRAY(SELECT DISTINCT facility_id FROM now) AS openers,
           ARRAY(SELECT id FROM (
               SELECT s.id FROM now JOIN studies s ON s.patient_pk = now.patient_pk
               UNION SELECT s.id FROM now JOIN studies s
                   ON s.study_uid = now.study_uid AND s.facility_id = now.facility_id WHERE now.study_uid <> '') named
               LIMIT :most) AS opened
    """)


@dataclass(frozen=True, slots=True)
class Wall:
    """As PostgreSQL is told: a bit for each key of a facility, from 0 on; an array of keys of studies besides."""

    facilities: str = ""
    studies: str = "{}"


def find_wall(connection: Connection, principal: Principal) -> Wall:
    """Of anybody but the region's administrator, who sees everything."""
    if principal.role is Role.LINK:
        return _wall((), connection.execute(_LINKED, {"link": principal.link}).scalar_one())
    own = reads_own(principal.role, principal.purpose)
    if principal.role not in PROFESSIONALS:
        known = connection.execute(_OWN, {"own": principal.facility}).scalars().all() if own else ()
        return _wall(known)
    found = _of_professional(connection, principal, own)
    if len(found.opened) > OPENED_MAX:
        return _wall([*found.facilities, *found.openers])
    return _wall(found.facilities, found.opened)


def _of_professional(
    connection: Connection, principal: Principal, own: bool
) -> Row[tuple[list[int], list[int], list[int]]]:
    asked = {
        "own": principal.facility, "name": principal.name, "department": principal.department, "reads_own": own,
        "cares": principal.purpose in CARE, "most": OPENED_MAX + 1,
    }  # fmt: skip
    return connection.execute(_PROFESSIONAL, asked).one()


def _wall(facilities: Sequence[int], studies: Sequence[int] = ()) -> Wall:
    let = set(facilities)
    bits = "".join("1" if key in let else "0" for key in range(max(let, default=-1) + 1))
    return Wall(bits, "{" + ",".join(map(str, sorted(studies))) + "}")
