"""Renewal: a pack that is indexed anew. What it brought before is taken back in the transaction that writes the new
reading, so that searchers see the one or the other (promise P11).

The bytes are what they were; only how they are read has changed: a device's character set was registered, a parser was
mended, or objects of the index were lost.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, func, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from pacs.errors import ObjectMissing
from pacs.values import Json
from storage import contents
from storage.archive import Archive
from storage.contents import Entry
from storage.index import rejections, removes, writes
from storage.index.tables import incidents
from storage.index.writes import PackRow, Row
from storage.packnames import contents_key, metadata_key, part_keys, thumbnail_key
from storage.records import Record
from storage.retelling import Keys, described

KIND = "unrenewed"
# Kinds that the reading of a pack gives rise to.
RAISED = ("quarantine", "conflict", "patient", "rejection", KIND)
Rows = Sequence[tuple[str, str, Keys]]  # of a reading, by study and series UID


class Lost(Exception):
    """Instances that are indexed cannot be read any more: the index is left as it is."""


@dataclass(slots=True)
class Before:
    """What a pack had brought when it was indexed the last time; nothing, if it never was."""

    entries: dict[int, list[Entry]] = field(default_factory=dict)  # series → its instances in the pack
    first: dict[int, Json] = field(default_factory=dict)  # series → the attributes of one of them

    def mend(self, connection: Connection, keys: Keys, kept: Sequence[tuple[Entry, Json]]) -> None:
        """Give rows the new reading of what they have from the old one."""
        *_, series_pk = keys
        old = self.first.get(series_pk, {})
        uid = contents.sop_of(old)[0]
        new = next((a for e, a in kept if e.sop_instance == uid and not e.conflict), None)
        if new is not None:
            removes.mend(connection, keys, zip(described(old), described(new), strict=True))
        if series_pk in self.entries and _silent(self.entries[series_pk]) != _silent([e for e, _ in kept]):
            removes.derive_anew(connection, series_pk)

    def located(self, records: Sequence[Record]) -> list[tuple[Record, Entry]]:
        """Each instance with its record."""
        known = {record.body_offset: record for record in records}
        return [(known[e.offset], e) for some in self.entries.values() for e in some if e.offset in known]

    def settle_incidents(self, connection: Connection, pack: PackRow, raised: Sequence[Row]) -> list[Row]:
        """Close those that the pack no longer gives rise to; those to add. While the packs of a study are indexed
        anew one by one, its patient may seem to be two: that is no incident."""
        if not pack.again:
            return list(raised)
        key = tuple_(incidents.c.record_offset, incidents.c.kind)
        still = [(row["record_offset"], row["kind"]) for row in raised]
        mine = (
            incidents.c.pack_id == pack.id,
            incidents.c.kind.in_(RAISED),
            incidents.c.resolved_at.is_(None),
        )
        connection.execute(update(incidents).where(*mine, key.not_in(still)).values(resolved_at=func.now()))
        return [row for row in raised if not self.entries or row["kind"] != "patient"]


def take_back(
    archive: Archive, connection: Connection, pack: PackRow, rows: Rows,
    read: Sequence[tuple[Entry, str]],
) -> Before:  # fmt: skip
    """Take what a pack brought out of the index. `rows` are those of the new reading, `read` its
    instances, each with its Series Instance UID. Raises Lost."""
    before, held = Before(), removes.held_by(connection, pack.id)
    rejections.forget_asides(connection, pack.id)
    for one in held:
        entries = _entries(archive, pack, one, read)
        before.entries[one.series_pk] = entries
        before.first |= _first(archive, pack, one)
        shown = [e for e in entries if not e.conflict]
        keys = part_keys(one.series_pk, pack.id, one.edition)
        removes.remove_fragment(connection, pack, one.series_pk, [e.sop_instance for e in shown], keys)
        frames, size = sum(e.frame_count for e in shown), sum(e.length for e in shown)
        writes.grow_series(connection, one.series_pk, shown=-len(shown), frames=-frames, pixels=False)
        writes.grow_study(connection, one.study_pk, shown=-len(shown), size=-size)
    _check_none_lost(before, read)
    _tidy(connection, pack, held, rows)
    return before


def _entries(archive: Archive, pack: PackRow, one: Any, read: Sequence[tuple[Entry, str]]) -> list[Entry]:
    """As they were written; where that object is lost, as they are read now, if these are as many."""
    try:
        key = contents_key(one.series_pk, pack.id, one.edition)
        return contents.decode(archive.objects.get(key), pack.id)
    except ObjectMissing:
        found = {e.sop_instance: e for e, series_uid in read if series_uid == one.series_uid}
        if len(found) != one.instance_count:
            raise Lost("its contents are lost, and it cannot be told which instances were indexed") from None
        return list(found.values())


def _first(archive: Archive, pack: PackRow, one: Any) -> dict[int, Json]:
    try:
        lines = contents.decode_metadata(
            archive.objects.get(metadata_key(one.series_pk, pack.id, one.edition))
        )
    except ObjectMissing:
        return {}
    return {one.series_pk: json.loads(lines[0])} if one.instance_count and lines else {}


def _check_none_lost(before: Before, read: Collection[tuple[Entry, str]]) -> None:
    readable = {e.offset for e, _ in read}
    lost = sum(e.offset not in readable for some in before.entries.values() for e in some)
    if lost:
        raise Lost(f"{lost} instances that are indexed can no longer be read; the index is left as it was")


def _tidy(connection: Connection, pack: PackRow, held: Sequence[Any], rows: Rows) -> None:
    """What the new reading gives to other patients, studies or series leaves no empty rows behind."""
    patients, studies, series = ({keys[n] for _, _, keys in rows} for n in range(3))
    for one in (one for one in held if one.series_pk not in series):
        for new in (keys[2] for *uids, keys in rows if uids == [one.study_uid, one.series_uid]):
            removes.move_sends(connection, pack.id, one.series_pk, new)
    gone = removes.remove_empty(
        connection, {one.series_pk for one in held} - series, {one.study_pk for one in held} - studies,
        {one.patient_pk for one in held} - patients,
    )  # fmt: skip
    removes.supersede(connection, pack.facility_id, map(thumbnail_key, gone))


def _silent(entries: Sequence[Entry]) -> list[Entry]:
    """What pictures depend on: all but the notes."""
    return [replace(e, notes=()) for e in sorted(entries, key=lambda e: e.offset)]


def note_unrenewed(connection: Connection, pack: PackRow, reason: str) -> None:
    """Tell an operator that a pack could not be indexed anew."""
    row: Row = {
        "facility_id": pack.facility_id, "kind": KIND, "pack_id": pack.id, "record_offset": 0, "sop_instance": "",
        "reason": reason,
    }  # fmt: skip
    anew = insert(incidents).values(row)
    connection.execute(
        anew.on_conflict_do_update(
            index_elements=["pack_id", "record_offset", "kind"], set_={"reason": reason, "resolved_at": None}
        )
    )
