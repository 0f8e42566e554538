"""Who administers: administrators, and of facilities those that they look after."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends

from pacs.access import Principal, Role, may_administer
from pacs.errors import Forbidden, NotFound
from viewer_api.audited import owned_by, tell
from viewer_api.auth import Who


def administrator(who: Who) -> Principal:
    """Only administrators come here; raises Forbidden for others."""
    if who.role is not Role.ADMINISTRATOR:
        raise Forbidden("only administrators may do this")
    return who


Administrator = Annotated[Principal, Depends(administrator)]


def check_facility(who: Principal, code: str) -> None:
    """Raises NotFound: a facility that the administrator does not look after answers as one that does not exist."""
    if not may_administer(who, code):
        raise NotFound(f"there is no facility {code}")
    tell(subjects=owned_by(code))
