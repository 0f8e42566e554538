"""Rejection: what a Rejection Note names disappears, whichever comes first (docs/decisions/0022).

A rejected instance lies in its pack and in no contents: nothing that reads the index can know of it. A note is an
instance in a pack too, so a reindex finds it again. Beside it an object of the store, the register, holds what it says
and what became of it, so that a reindex into an empty database knows of all notes before it reads the first pack.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from pacs.errors import BadAttributes, ObjectMissing
from pacs.logs import get
from pacs.rejection import Named, Note, read_note
from pacs.values import Json
from storage import contents
from storage.archive import Archive
from storage.contents import Entry
from storage.index import rejections, removes, writes
from storage.index.writes import PackRow, Row
from storage.packnames import contents_key, metadata_key, part_keys, register_key, thumbnail_key
from storage.parsing import Batch, Parsed
from storage.records import Record
from storage.repairs import printable
from storage.retelling import Keys, retell

log = get("rejection")
KIND = "rejection"  # of the incident that a note gives rise to which cannot be followed
ACTIVE, RESTORED, ERASED = "active", "restored", "erased"
NOBODY: Named = frozenset()


@dataclass(slots=True)
class Sifted:
    """What a pack holds, parted."""

    batch: Batch  # to be indexed
    aside: list[Parsed] = field(default_factory=list)  # rejected, and the notes themselves
    named: Named = NOBODY  # by its notes
    malformed: list[tuple[Record, str, str]] = field(
        default_factory=list
    )  # notes: SOP Instance UID, what is wrong


def take_turn(connection: Connection, pack: PackRow, batch: Batch) -> None:
    """Before the pack is locked: what is rejected must not change between the look at it and the commit."""
    alone = any(_is_note(p) for p in batch.parsed)
    rejections.take_turn(connection, pack.facility_id, alone=alone)


def _is_note(one: Parsed) -> bool:
    try:
        return read_note(one.entry.sop_class, one.entry.sop_instance, one.attributes) is not None
    except BadAttributes:
        return False


def sift(archive: Archive, connection: Connection, pack: PackRow, batch: Batch) -> Sifted:
    """Note what the notes among them say, and part what is rejected from what is to be indexed."""
    sifted = Sifted(Batch([], batch.quarantined))
    named: set[tuple[str, str]] = set()
    others = []
    for one in batch.parsed:
        entry = one.entry
        try:
            note = read_note(entry.sop_class, entry.sop_instance, one.attributes)
        except BadAttributes as error:
            sifted.malformed.append((one.record, entry.sop_instance, str(error)))
            note = None
        if note is None:
            others.append(one)
        else:
            sifted.aside.append(one)
            if _register(archive, connection, pack, note, one.record) == ACTIVE:
                named |= note.named
    sifted.named = frozenset(named)
    hidden = _hidden(connection, pack.facility_id, others)
    for one, is_hidden in zip(others, hidden, strict=True):
        (sifted.aside if is_hidden else sifted.batch.parsed).append(one)
    return sifted


def _hidden(connection: Connection, facility_id: int, some: Sequence[Parsed]) -> Iterator[bool]:
    """Whether a note withdraws each of them. After an erasure only what came before it."""
    said: dict[tuple[str, str], list[Any]] = {}
    for row in rejections.rejected_among(connection, facility_id, [p.entry.sop_instance for p in some]):
        said.setdefault((row.study_uid, row.sop_instance), []).append(row)
    for p in some:
        about = said.get((p.study_uid, p.entry.sop_instance), ())
        yield any(row.state == ACTIVE or p.record.header.received_at <= row.ended_at for row in about)


def set_aside(connection: Connection, pack: PackRow, some: Iterable[Parsed]) -> None:
    """Note records that no contents list: they are rejected, or came again."""
    rows = (
        (p.record.body_offset, p.study_uid, p.entry.sop_instance, p.record.header.received_at) for p in some
    )
    rejections.set_aside(connection, pack, rows)


def _register(archive: Archive, connection: Connection, pack: PackRow, note: Note, record: Record) -> str:
    """Keep what a note says, in the store first; its state. The first note of a UID counts."""
    facility = record.header.origin.facility
    key = register_key(facility, note.uid)
    try:
        told = json.loads(gzip.decompress(archive.objects.get(key)))
    except ObjectMissing:
        told = _told(note, record)
        write_register(archive, facility, told)
    return rejections.add_note(connection, *_row(told, pack.facility_id))


def _told(note: Note, record: Record) -> Json:
    return {
        "note": note.uid,
        "code": note.code,
        "reason": note.reason,
        "patient_id": note.patient_id,
        "patient_name": note.patient_name,
        "named": sorted(note.named),
        "author": printable(record.header.origin.calling),
        "rejected_at": record.header.received_at.isoformat(),
        "state": ACTIVE,
        "ended_at": None,
        "ended_by": "",
    }


def write_register(archive: Archive, facility: str, told: Json) -> None:
    """What a note says and what became of it, durable in the store."""
    data = gzip.compress(json.dumps(told, ensure_ascii=False).encode(), mtime=0)
    archive.objects.put(register_key(facility, told["note"]), data)


def _row(told: Json, facility_id: int) -> tuple[Row, Named]:
    named = frozenset((str(study), str(sop)) for study, sop in told["named"])
    same = ("code", "reason", "patient_id", "patient_name", "author", "state", "ended_by")
    row = {name: told[name] for name in same} | {
        "facility_id": facility_id,
        "note_uid": told["note"],
        "study_uids": sorted({study for study, _ in named}),
        "rejected_at": datetime.fromisoformat(told["rejected_at"]),
        "ended_at": datetime.fromisoformat(told["ended_at"]) if told["ended_at"] else None,
    }
    return row, named


def recall(archive: Archive, connection: Connection, facility_id: int, key: str) -> None:
    """Know of a note by its register, before its pack is read."""
    told = json.loads(gzip.decompress(archive.objects.get(key)))
    rejections.add_note(connection, *_row(told, facility_id))


def withdraw(archive: Archive, connection: Connection, facility_id: int, named: Named) -> list[int]:
    """Take instances out of the index; the series whose pictures change. All of it is seen at the commit, or none."""
    if not named:
        return []
    packs = rejections.lock_holders(connection, facility_id, sorted({sop for _, sop in named}))
    touched: dict[Keys, list[Json]] = {}
    for pack in packs:
        for keys, told in _withdraw_from(archive, connection, pack, named):
            touched.setdefault(keys, []).extend(told)
    retell(archive, connection, touched)
    log.info(
        "instances_withdrawn", facility=facility_id, named=len(named), packs=len(packs), series=len(touched)
    )
    patients, studies, series = ({keys[n] for keys in touched} for n in range(3))
    gone = removes.remove_empty(connection, series, studies, patients)
    removes.supersede(connection, facility_id, map(thumbnail_key, gone))
    return sorted(series - set(gone))


def _withdraw_from(
    archive: Archive, connection: Connection, pack: PackRow, named: Named
) -> Iterator[tuple[Keys, list[Json]]]:
    """Patient, study and series of what was withdrawn, and what the first such instance told of them."""
    sops = {sop for _, sop in named}
    for one in removes.held_by(connection, pack.id):
        try:
            entries, lines = _read(archive, pack, one)
        except ObjectMissing:  # its reading anew writes them, and leaves out what is rejected
            rejections.index_again(connection, [pack.id])
            continue
        gone = [e for e in entries if (one.study_uid, e.sop_instance) in named]
        if not gone and any(e.conflict and e.sop_instance in sops for e in entries):
            rejections.index_again(connection, [pack.id])  # it may have lost what is shown in its place
        if gone:
            _without(archive, connection, pack, one, entries, lines, gone)
            shown = (e for e in entries if not e.conflict)
            first = [line for e, line in zip(shown, lines, strict=True) if e in gone[:1]]
            yield (one.patient_pk, one.study_pk, one.series_pk), [json.loads(line) for line in first]


def _read(archive: Archive, pack: PackRow, one: Any) -> tuple[list[Entry], list[bytes]]:
    """A fragment's entries, and the DICOM JSON of those that are shown."""
    entries = contents.decode(archive.objects.get(contents_key(one.series_pk, pack.id, one.edition)), pack.id)
    if not one.instance_count:
        return entries, []
    lines = archive.objects.get(metadata_key(one.series_pk, pack.id, one.edition))
    return entries, contents.decode_metadata(lines)


def _without(
    archive: Archive, connection: Connection, pack: PackRow, one: Any, entries: list[Entry],
    lines: list[bytes], gone: Collection[Entry],
) -> None:  # fmt: skip
    """The fragment anew, without these."""
    places = {e.offset for e in gone}
    shown = [e for e in entries if not e.conflict]
    kept = [e for e in entries if e.offset not in places]
    was_shown = [e for e in gone if not e.conflict]
    old = part_keys(one.series_pk, pack.id, one.edition)
    removes.remove_fragment(connection, pack, one.series_pk, [e.sop_instance for e in was_shown], old)
    if kept:
        told = [line for e, line in zip(shown, lines, strict=True) if e.offset not in places]
        write_fragment(archive, connection, pack, one.series_pk, kept, told)
    rejections.note_edition(connection, pack)
    frames, size = sum(e.frame_count for e in was_shown), sum(e.length for e in was_shown)
    writes.grow_series(connection, one.series_pk, shown=-len(was_shown), frames=-frames, pixels=False)
    writes.grow_study(connection, one.study_pk, shown=-len(was_shown), size=-size)
    removes.derive_anew(connection, one.series_pk)
    now = datetime.now(UTC)
    rejections.set_aside(connection, pack, ((e.offset, one.study_uid, e.sop_instance, now) for e in gone))


def write_fragment(
    archive: Archive, connection: Connection, pack: PackRow, series_pk: int, entries: list[Entry],
    lines: Sequence[bytes],
) -> None:  # fmt: skip
    """Contents and metadata of a series in a pack, in the pack's edition; no row of it may be there."""
    archive.objects.put(contents_key(series_pk, pack.id, pack.edition), contents.encode(entries))
    archive.objects.put(metadata_key(series_pk, pack.id, pack.edition), contents.join_metadata(lines))
    writes.add_fragment(connection, pack, series_pk, sum(not e.conflict for e in entries))
