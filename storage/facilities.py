"""Facilities: the hospitals and clinics of the region."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from pacs.errors import NotFound, SettingError
from storage.archive import Archive
from storage.index.tables import departments, facilities, facility_key

LOCAL = "LOCAL"  # the facility of a fresh embedded start
NAME_CHARACTERS_MAX, GRADE_CHARACTERS_MAX = 200, 40
TIERS = ("province", "city", "county", "township")  # whose hospital it is; a clinic is of its township
_CODE = re.compile(r"[A-Z0-9][A-Z0-9_-]{0,15}\Z")


@dataclass(frozen=True, slots=True)
class Facility:
    """A hospital or clinic. `tier` is one of TIERS or "" where nobody said, `grade` the class that its authority gave
    it, such as 三级甲等."""

    code: str
    name: str = ""
    name_en: str = ""
    tier: str = ""
    grade: str = ""


def is_code(text: str) -> bool:
    """Whether a facility could have this code."""
    return _CODE.match(text) is not None


def add_facility(archive: Archive, code: str, name: str, **more: str) -> bool:
    """Register a facility; an existing one is left as it is. Returns whether it is new; raises SettingError for an
    unusable code, name, tier or grade."""
    row = insert(facilities).values(asdict(_checked(Facility(code, name or code, **more))))
    with archive.database.begin() as connection:
        added = connection.execute(row.on_conflict_do_nothing().returning(facilities.c.id))
        return added.first() is not None


def change_facility(archive: Archive, code: str, changes: Mapping[str, Any]) -> Facility:
    """Change the fields named; an empty name becomes the code. Raises NotFound, or SettingError."""
    with archive.database.begin() as connection:
        found = connection.execute(_known().where(facilities.c.code == code).with_for_update()).one_or_none()
        if found is None:
            raise NotFound(f"there is no facility {code[:16]}")
        changed = replace(Facility(*found), **changes)
        changed = _checked(replace(changed, name=changed.name or code))
        row = update(facilities).where(facilities.c.code == code).values(asdict(changed))
        connection.execute(row)
    return changed


def list_facilities(archive: Archive) -> list[Facility]:
    """All of them, by code."""
    with archive.database.read() as connection:
        return [Facility(*row) for row in connection.execute(_known().order_by(facilities.c.code))]


def add_department(archive: Archive, facility: str, code: str, name: str = "") -> None:
    """Register a department, or name it anew; raises NotFound, or SettingError."""
    if not is_code(code):
        raise SettingError("a department's code has 1 to 16 of A-Z, 0-9, _ and -")
    _check_line("department's name", name, NAME_CHARACTERS_MAX)
    with archive.database.begin() as connection:
        of = connection.execute(facility_key(facility)).scalar_one_or_none()
        if of is None:
            raise NotFound(f"there is no facility {facility[:16]}")
        row = insert(departments).values(facility_id=of, code=code, name=name or code)
        anew = {"name": row.excluded.name}
        connection.execute(row.on_conflict_do_update(index_elements=["facility_id", "code"], set_=anew))


def list_departments(archive: Archive, facility: str) -> list[tuple[str, str]]:
    """Codes and names, by code."""
    query = select(departments.c.code, departments.c.name).join(
        facilities, facilities.c.id == departments.c.facility_id
    )
    with archive.database.read() as connection:
        found = connection.execute(query.where(facilities.c.code == facility).order_by(departments.c.code))
        return [(row[0], row[1]) for row in found]


def _known() -> Any:
    return select(*(facilities.c[field.name] for field in fields(Facility)))


def _checked(facility: Facility) -> Facility:
    if not is_code(facility.code):
        raise SettingError("a facility code has 1 to 16 of A-Z, 0-9, _ and -")
    _check_line("name", facility.name, NAME_CHARACTERS_MAX)
    _check_line("English name", facility.name_en, NAME_CHARACTERS_MAX)
    _check_line("grade", facility.grade, GRADE_CHARACTERS_MAX)
    if facility.tier not in ("", *TIERS):
        raise SettingError(f"a facility's tier is one of {', '.join(TIERS)}")
    return facility


def _check_line(what: str, text: str, characters_max: int) -> None:
    if len(text) > characters_max or not text.isprintable():
        raise SettingError(f"a facility's {what} is one line of at most {characters_max} characters")
