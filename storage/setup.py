"""First steps of an archive: schema, the facility LOCAL, an administrator."""

from __future__ import annotations

from storage.accounts import ensure_administrator, signing_secret
from storage.archive import Archive
from storage.migrate import upgrade
from storage.registry import LOCAL, add_facility


def prepare(archive: Archive) -> str | None:
    """Make an archive usable; returns a made-up administrator's password, to be shown once."""
    upgrade(archive.database)
    add_facility(archive, LOCAL, "This hospital")
    signing_secret(archive)
    return ensure_administrator(archive, archive.settings.admin_password)
