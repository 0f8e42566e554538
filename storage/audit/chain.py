"""The one way into the trail: entries get their subjects, their places and their hashes, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Connection

from pacs.audit import GENESIS, NAMED_MAX, Action, Entry, Outcome, Place, Service, chained
from pacs.logs import get
from pacs.settings import Settings
from storage.audit import anchor
from storage.audit.journal import Told
from storage.audit.keys import chain_key
from storage.blobs import ObjectStore
from storage.database import Database
from storage.index import ledger
from storage.index.ledger import Line

log = get("audit")
BEGUN_ANEW = bytes(16)  # the journal of entries that say that the trail begins behind its first entry


def take_in(database: Database, settings: Settings, objects: ObjectStore, told: Sequence[Told]) -> None:
    """Add entries of one journal, in their order; those that are in already are passed over."""
    if not told:
        return
    with database.begin() as connection:
        ledger.take_turn(connection)
        key = chain_key(settings, objects)
        known = ledger.last_number(connection, told[0].place.journal)
        new = [one for one in told if one.place.number > known]
        position, before, lines = _end(connection, objects, key)
        for one in _with_subjects(connection, new):
            position += 1
            before = chained(key, before, position, one.place, one.entry)
            lines.append(Line(position, one.place, one.entry, before))
        if lines:
            ledger.append(connection, lines)


def _end(connection: Connection, objects: ObjectStore, key: bytes) -> tuple[int, bytes, list[Line]]:
    """Where the trail ends. One that is empty though it was not always (its database was lost, or emptied) goes on
    behind its anchor, and says so."""
    found = ledger.head(connection)
    if found is not None:
        return *found, []
    try:
        last = anchor.read(objects, key)
    except anchor.Forged:
        last = None
    if last is None or not last.position:
        return 0, GENESIS, []
    log.error("audit_trail_lost", last=last.position)
    entry = Entry(
        at=datetime.now(UTC), service=Service.EXCHANGE, action=Action.ALERT, outcome=Outcome.FAILED,
        asked=f"the audit trail was lost with its database: up to entry {last.position}, whose hash was {last.hash}",
    )  # fmt: skip
    place = Place(BEGUN_ANEW, last.position)
    position = last.position + 1
    hashed = chained(key, bytes.fromhex(last.hash), position, place, entry)
    return position, hashed, [Line(position, place, entry, hashed)]


def _with_subjects(connection: Connection, told: list[Told]) -> list[Told]:
    """Whose studies they are: asked here, once for many entries, so that no picture waits for it."""
    uids = {uid for one in told for uid in one.entry.studies}
    if not uids:
        return told
    known = ledger.subjects_of(connection, uids)
    found = []
    for one in told:
        subjects = {*one.entry.subjects, *(s for uid in one.entry.studies for s in known.get(uid, ()))}
        found.append(replace(one, entry=replace(one.entry, subjects=tuple(sorted(subjects))[:NAMED_MAX])))
    return found


def move_anchor(database: Database, settings: Settings, objects: ObjectStore) -> bool:
    """Note how far the trail goes. It stays where it is while the trail does not hold what it held there: `check` and
    an alert tell of that. Whether it moved."""
    with database.begin() as connection:
        ledger.take_turn(connection)
        found = ledger.head(connection)
        if found is None:
            return False
        key = chain_key(settings, objects)
        last = anchor.read(objects, key)
        if last is not None and last.position == found[0] and last.hash == found[1].hex():
            return False
        if last is not None and last.position and not _holds(connection, last):
            raise anchor.Forged("the audit trail does not hold the entry that it was anchored at")
        anchor.write(objects, key, *found)
        return True


def _holds(connection: Connection, last: anchor.Anchor) -> bool:
    """A trail that went on behind its anchor, since its database was lost, holds it too."""
    here = ledger.hash_at(connection, last.position)
    if here is not None:
        return here.hex() == last.hash
    return ledger.last_number(connection, BEGUN_ANEW) == last.position
