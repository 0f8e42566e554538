"""`visible(principal)`: the SQL twin of `pacs.access.may_see`. No query of studies is written without it.

`tests/house` proves that nothing outside this folder builds a query on the tables of patients, studies and series.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, false, select, true

from pacs.access import SEEING_ROLES, Principal
from storage.index.tables import facilities, studies


def facility_visible(principal: Principal, facility_id: ColumnElement[int]) -> ColumnElement[bool]:
    """The condition under which what a facility owns may be seen."""
    if principal.role not in SEEING_ROLES:
        return false()
    if principal.facility is None:
        return true()
    own = select(facilities.c.id).where(facilities.c.code == principal.facility).scalar_subquery()
    return facility_id == own


def visible(principal: Principal) -> ColumnElement[bool]:
    """The condition under which a row of `studies` may be seen."""
    return facility_visible(principal, studies.c.facility_id)
