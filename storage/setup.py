"""First steps of an archive: schema, the facility LOCAL, an administrator."""

from __future__ import annotations

from storage.accounts import ensure_administrator
from storage.archive import Archive
from storage.facilities import LOCAL, add_facility
from storage.migrate import upgrade


def prepare(archive: Archive) -> str | None:
    """Make an archive usable; returns a made-up administrator's password, to be shown once."""
    upgrade(archive.database)
    add_facility(archive, LOCAL, "本院", name_en="This hospital")
    return ensure_administrator(archive, archive.settings.admin_password)
