"""Reading the trail: for auditors, and for administrators of the facilities concerned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pacs.access import Principal, Role
from pacs.errors import Forbidden, NotFound
from storage.archive import Archive
from storage.audit.verify import Verified, verify
from storage.index import ledger
from storage.index.ledger import Line, Search

READING_ROLES = frozenset({Role.AUDITOR, Role.ADMINISTRATOR})
PAGE = 1000
STATE_ENTRIES = 5000  # the last ones, that are verified while somebody waits


def find(archive: Archive, principal: Principal, search: Search, limit: int) -> list[Line]:
    """Entries that fit and concern the principal, newest first; raises Forbidden."""
    check(principal)
    with archive.database.read() as connection:
        return ledger.find(connection, principal, search, limit)


def find_all(archive: Archive, principal: Principal, search: Search) -> Iterator[Line]:
    """The same without an end, page by page."""
    while page := find(archive, principal, search, PAGE):
        yield from page
        search = replace(search, before=page[-1].position)


def read(archive: Archive, principal: Principal, position: int) -> Line:
    """One entry; raises Forbidden, or NotFound also where it does not concern the principal."""
    found = find(archive, principal, Search(before=position + 1), 1)
    if not found or found[0].position != position:
        raise NotFound("there is no such entry")
    return found[0]


def state(archive: Archive, principal: Principal) -> Verified:
    """Whether the last entries hold each other; raises Forbidden."""
    check(principal)
    return verify(archive.database, archive.settings, archive.objects, last_entries=STATE_ENTRIES)


def check(principal: Principal) -> None:
    """Raises Forbidden unless they may read the trail."""
    if principal.role not in READING_ROLES:
        raise Forbidden("only auditors and administrators may read the audit trail")
