"""Who looked at the studies of a patient, wherever they are known as the same person; and at those of a share link."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice

from pacs.access import Principal, Role
from pacs.audit import Entry, Subject
from pacs.looks import LOOKING, Looked, gather
from storage.archive import Archive
from storage.audit import trail
from storage.facilities import list_facilities
from storage.index import ledger
from storage.index.ledger import Search
from storage.links import OpenLink

ENTRIES_MAX = 20_000  # the last ones, that are read for one answer
DAYS, DAYS_MAX = 365, 3660
TRAIL = Principal("share link", Role.AUDITOR)  # reads for who may not: what it finds is told without names


def of_patient(archive: Archive, principal: Principal, subject: Subject, days: int = DAYS) -> Looked:
    """Of all patients who are the same person, as far as the principal's facility owns them; nothing of an unknown one.
    Raises Forbidden."""
    trail.check(principal)
    persons: set[Subject] = set()
    if principal.facility in (
        None,
        subject.facility,
    ):  # that another's patient is one of theirs they are not told
        with archive.database.read() as connection:
            persons = ledger.same_person(connection, subject) | {subject}
    mine = {s for s in persons if principal.facility in (None, s.facility)}
    return _looked(archive, principal, mine, days)


def of_link(archive: Archive, link: OpenLink, days: int = DAYS) -> Looked:
    """Of the studies of a share link."""
    patient = Subject(link.facility, link.issuer, link.patient_id)
    return _looked(archive, TRAIL, {patient}, days, frozenset(link.studies))


def _looked(
    archive: Archive, principal: Principal, subjects: set[Subject], days: int, studies: frozenset[str] | None = None
) -> Looked:  # fmt: skip
    told = tuple(sorted(subjects))
    since = datetime.now(UTC) - timedelta(days=days)
    search = Search(subjects=told, actions=tuple(a.value for a in LOOKING), outcome="success", since=since)
    lines = list(islice(trail.find_all(archive, principal, search), ENTRIES_MAX + 1)) if told else []
    entries: Iterable[Entry] = (line.entry for line in lines[:ENTRIES_MAX])
    names = {one.code: (one.name, one.name_en) for one in list_facilities(archive)}
    return Looked(told, gather(entries, frozenset(told), studies), names, len(lines) <= ENTRIES_MAX)
