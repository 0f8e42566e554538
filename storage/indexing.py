"""Index a pack: from bytes that nobody has read to rows, contents and metadata, in one transaction.

Running it twice, or twice at once, changes nothing. A record that cannot be read is quarantined, with its bytes
kept in the pack, and the others flow (promise P9).
"""

from __future__ import annotations

import contextlib
import itertools
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError, StatementError

from pacs.encoded import EncodedError, Recall
from pacs.errors import InvalidUID
from pacs.logs import get
from pacs.processes import in_a_fork
from pacs.uids import is_uid, uid_hash
from storage import contents, describe, records, rejection, renewal
from storage.archive import Archive
from storage.audit import arrivals
from storage.blobs import ObjectReader
from storage.claims import claimed, of_pack
from storage.contents import Entry
from storage.database import AWAY
from storage.identity import Hearing
from storage.index import writes
from storage.index.writes import PackRow
from storage.lanes import Turns, waiting_packs
from storage.packnames import contents_key, metadata_key
from storage.parsing import Batch, Body, Parsed, parse
from storage.records import Origin, Record
from storage.renewal import Before, Lost
from storage.repairs import DeviceCharsets, device_charsets, note_repairs, printable
from storage.routing import Arrival, forward

log = get("indexing")

NOTHING = "nothing to do"
TRIES_MAX = 3  # then the pack is marked failed, for an operator; its bytes stay
RECORD_SECONDS_MAX = 30  # to read one, where it has a process of its own
RACES_MAX = 5
RECALLS_MAX = 16
REFUSED = frozenset({"23", "54"})  # classes of SQLSTATE, beside DataError: integrity, program limits


class Recalls:
    """The last instance of each device, kind and transfer syntax of a pack: the next is likely to be of its series."""

    def __init__(self) -> None:
        self._by_kind: dict[tuple[Origin, str, str], Recall] = {}

    def of(self, record: Record) -> Recall:
        header = record.header
        kind = (header.origin, header.sop_class, header.transfer_syntax)
        if kind not in self._by_kind:
            if len(self._by_kind) >= RECALLS_MAX:
                self._by_kind.clear()
            self._by_kind[kind] = Recall()
        return self._by_kind[kind]


@dataclass(slots=True)
class Outcome:
    """What came of a pack: numbers of instances, and the series that wait for their first thumbnail. Of one that
    grew the sweep has a new one made when it is quiet."""

    state: str
    shown: int = 0
    repeated: int = 0
    rejected: int = 0  # by notes, and the notes
    conflicts: int = 0
    quarantined: int = 0
    series: list[int] = field(default_factory=list)
    repairs: Counter[str] = field(default_factory=Counter)

    def said(self) -> dict[str, Any]:
        """What the log says of character sets, if there is something to say."""
        return {"charsets": dict(self.repairs)} if self.repairs else {}


class _Race(Exception):
    """Another transaction inserted one of our instances meanwhile."""


def index_next(archive: Archive, turns: Turns) -> Outcome | None:
    """Index the pack whose turn it is; None if none waits, or others are at those that do. Raises as `index_pack`."""
    return _next(archive, turns, again=False) or _next(archive, turns, again=True)


def _next(archive: Archive, turns: Turns, *, again: bool) -> Outcome | None:
    with archive.database.begin() as connection:
        waiting = waiting_packs(connection, again=again)
    for pack in turns.order(waiting, lambda p: (p.facility_id, p.urgent)):
        with claimed(archive, of_pack(pack.id)) as mine:
            outcome = _index_claimed(archive, pack.id) if mine else None
        if outcome is not None and outcome.state != NOTHING:
            turns.served(pack.facility_id)
            return outcome
    return None


def _index_claimed(archive: Archive, pack_id: uuid.UUID) -> Outcome:
    try:
        return index_pack(archive, pack_id)
    except AWAY:
        with contextlib.suppress(*AWAY), archive.database.begin() as connection:
            writes.take_back_try(connection, pack_id)
        raise


def index_pack(archive: Archive, pack_id: uuid.UUID) -> Outcome:
    """Index one pack; raises OSError or a database error where a dependency is away (then the sweep tries again)."""
    with archive.database.begin() as connection:
        pack = writes.count_try(connection, pack_id)
        if pack is not None and pack.tries > TRIES_MAX:
            return _give_up(connection, pack, f"it could not be indexed anew in {TRIES_MAX} tries")
        charsets = device_charsets(connection, pack.facility_id) if pack else DeviceCharsets()
    if pack is None:
        return Outcome(NOTHING)
    batch = _read(archive, pack, charsets)
    for _ in range(RACES_MAX):
        try:
            with archive.database.begin() as connection:
                rejection.take_turn(connection, pack, batch)
                if not writes.lock_pack(connection, pack):
                    return Outcome(NOTHING)
                outcome = _write(archive, connection, pack, batch)
        except _Race:
            continue
        except Lost as error:
            with archive.database.begin() as connection:
                return _give_up(connection, pack, str(error))
        except Exception as error:
            if not (is_poison(error) and _set_apart(archive, pack, batch)):
                raise
            continue
        if not pack.again:
            arrivals.tell(archive.audit, batch)
        log.info(
            "pack_indexed", pack=str(pack_id), shown=outcome.shown, repeated=outcome.repeated,
            conflicts=outcome.conflicts, quarantined=outcome.quarantined, rejected=outcome.rejected,
            **outcome.said(),
        )  # fmt: skip
        return outcome
    raise OSError(11, "too many races for the same instances")


def _give_up(connection: Connection, pack: PackRow, reason: str) -> Outcome:
    """What was indexed of it before stays as it is, and an operator is told."""
    writes.give_up_pack(connection, pack)
    log.error("pack_failed", pack=str(pack.id), tries=pack.tries, again=pack.again)
    if pack.again:
        renewal.note_unrenewed(connection, pack, reason)
    return Outcome("failed")


def _read(archive: Archive, pack: PackRow, charsets: DeviceCharsets) -> Batch:
    """At the last try each record is read in a process of its own: those before may have ended with theirs."""
    batch, recalls = Batch(), Recalls()
    for record, body in _bodies(archive, pack):
        charset = charsets.of(record.header.origin)
        try:
            if pack.tries < TRIES_MAX:
                parsed = parse(record, body, pack.id, charset, recalls.of(record))
            else:
                parsed = in_a_fork(RECORD_SECONDS_MAX, parse, record, body, pack.id, charset)
            batch.parsed.append(parsed)
        except (EncodedError, InvalidUID) as error:
            batch.quarantined.append((record, str(error)))
        except Exception as error:
            if pack.tries < 2:
                raise  # it may be the moment (memory); at the second try it is the file
            log.error("record_unreadable", pack=str(pack.id), offset=record.offset, exc_info=error)
            batch.quarantined.append((record, f"it cannot be read ({type(error).__name__})"))
    batch.parsed.sort(key=lambda p: (p.key, p.record.offset))
    return batch


def _bodies(archive: Archive, pack: PackRow) -> Iterator[tuple[Record, Body]]:
    reader = ObjectReader(archive.objects, pack.key)
    facility = pack.key.split("/")[1]
    for record, body in records.scan(reader, reader.size, facility=facility):
        if body is None:
            yield record, archive.objects.map_range(pack.key, record.body_offset, record.body_length)
        else:
            yield record, body


def _write(archive: Archive, connection: Connection, pack: PackRow, batch: Batch) -> Outcome:
    outcome = Outcome("indexed", quarantined=len(batch.quarantined))
    incidents = [_incident(pack, r, "quarantine", r.header.sop_instance, why) for r, why in batch.quarantined]
    sifted = rejection.sift(archive, connection, pack, batch)
    incidents += [_incident(pack, record, rejection.KIND, uid, why) for record, uid, why in sifted.malformed]
    before = Before()
    if pack.again:
        before = _take_back(archive, connection, pack, batch, sifted.batch)
    outcome.series += rejection.withdraw(archive, connection, pack.facility_id, sifted.named)
    sorter = _Sorter(archive, connection, pack, sifted.batch)
    hearing = Hearing(archive, connection, pack.facility_id)
    shown: list[tuple[Record, Entry]] = []
    arrived = []
    for key, group in _grouped(sifted.batch.parsed):
        patient_pk, study_pk, series_pk = _rows(connection, pack.facility_id, group[0])
        hearing.note(patient_pk, group[0].attributes)
        if key[1] and writes.other_patients(connection, pack.facility_id, group[0].study_uid, patient_pk):
            reason = "the same Study Instance UID came under another patient"
            incidents.append(_incident(pack, group[0].record, "patient", group[0].entry.sop_instance, reason))
        kept = sorter.sort(series_pk, group)
        outcome.repeated += len(group) - len(kept)
        if kept:
            incidents += [_conflict(pack, p) for p in kept if p.entry.conflict]
            shown += [(p.record, p.entry) for p in kept]
            outcome.conflicts += sum(p.entry.conflict for p in kept)
            _add(archive, connection, pack, study_pk, series_pk, kept, outcome)
            before.mend(
                connection, (patient_pk, study_pk, series_pk), [(p.entry, p.attributes) for p in kept]
            )
            arrived.append(_arrival(series_pk, kept))
    if not writes.insert_instances(connection, pack.facility_id, sorter.new_rows):
        raise _Race
    if not pack.again:  # what was here before was sent on before
        forward(connection, pack.facility_id, pack.id, [a for a in arrived if a.count])
    writes.add_incidents(connection, before.settle_incidents(connection, pack, incidents))
    outcome.rejected = len(sifted.aside)
    rejection.set_aside(connection, pack, itertools.chain(sifted.aside, sorter.repeated))
    outcome.repairs = note_repairs(connection, pack, shown, before.located(batch.records))
    callings = (printable(r.header.origin.calling) for r in batch.records)
    writes.finish_pack(connection, pack, len(batch.records), callings)
    return outcome


def _take_back(
    archive: Archive, connection: Connection, pack: PackRow, batch: Batch, shown: Batch
) -> Before:  # fmt: skip
    """The rows of the new reading are made or locked first, in the order in which all others lock them."""
    rows = [
        (p.study_uid, p.series_uid, _rows(connection, pack.facility_id, p))
        for p in (group[0] for _, group in _grouped(shown.parsed))
    ]
    read = [(p.entry, p.series_uid) for p in batch.parsed]
    return renewal.take_back(archive, connection, pack, rows, read)


def _arrival(series_pk: int, kept: list[Parsed]) -> Arrival:
    """What the rules of forwarding are asked about."""
    shown = [p for p in kept if not p.entry.conflict]
    row = describe.series_row(kept[0].attributes, 0, "")
    origins = frozenset(p.record.header.origin for p in shown)
    return Arrival(series_pk, len(shown), row["modality"], row["body_part"], origins)


def is_poison(error: Exception) -> bool:
    """Whether the database refuses a value, and will the next time too."""
    if isinstance(error, DBAPIError) and not isinstance(error, DataError):
        return str(getattr(error.orig, "sqlstate", None) or "")[:2] in REFUSED
    return isinstance(error, StatementError | UnicodeError)


def _set_apart(archive: Archive, pack: PackRow, batch: Batch) -> bool:
    """Quarantine the instances whose rows the database refuses, each tried alone; whether there were any."""
    good = []
    for one in batch.parsed:
        try:
            with archive.database.begin() as connection, connection.begin_nested() as trial:
                _rows(connection, pack.facility_id, one)
                trial.rollback()
        except Exception as error:
            if not is_poison(error):
                raise
            batch.quarantined.append((one.record, "the index cannot hold its values"))
        else:
            good.append(one)
    found = len(good) < len(batch.parsed)
    batch.parsed = good
    return found


def _grouped(parsed: list[Parsed]) -> Iterator[tuple[tuple[str, str, str], list[Parsed]]]:
    groups: dict[tuple[str, str, str], list[Parsed]] = {}
    for p in parsed:  # sorted by key already
        groups.setdefault(p.key, []).append(p)
    yield from groups.items()


def _rows(connection: Connection, facility_id: int, one: Parsed) -> tuple[int, int, int]:
    a = one.attributes
    patient = writes.upsert_patient(connection, describe.patient_row(a, facility_id, one.study_uid))
    received = {"received_at": one.record.header.received_at}
    study = writes.upsert_study(
        connection, describe.study_row(a, facility_id, one.study_uid) | received | {"patient_pk": patient}
    )
    series = writes.upsert_series(
        connection, describe.series_row(a, facility_id, one.series_uid) | {"study_pk": study}
    )
    return patient, study, series


def _add(archive: Archive, connection: Connection, pack: PackRow, study_pk: int, series_pk: int,
         kept: list[Parsed], outcome: Outcome) -> None:  # fmt: skip
    entries = [p.entry for p in kept]
    shown = [e for e in entries if not e.conflict]
    archive.objects.put(contents_key(series_pk, pack.id, pack.edition), contents.encode(entries))
    archive.objects.put(
        metadata_key(series_pk, pack.id, pack.edition),
        contents.encode_metadata([p.attributes for p in kept if not p.entry.conflict]),
    )
    writes.add_fragment(connection, pack, series_pk, len(shown))
    frames = sum(e.frame_count for e in shown)
    pixels = frames > 0
    if (
        writes.grow_series(connection, series_pk, shown=len(shown), frames=frames, pixels=pixels)
        or pack.again
    ):
        outcome.series.append(series_pk)
    classes = {e.sop_class for e in shown if is_uid(e.sop_class)}
    regions = {r for p in kept if not p.entry.conflict for r in describe.regions(p.attributes)}
    writes.grow_study(
        connection, study_pk, shown=len(shown), size=sum(e.length for e in shown), sop_classes=classes,
        regions=regions,
    )  # fmt: skip
    outcome.shown += len(shown)


class _Sorter:
    """Tells the new from the repeated and the conflicting (promise P4)."""

    def __init__(self, archive: Archive, connection: Connection, pack: PackRow, batch: Batch) -> None:
        self._archive, self._connection, self._facility = archive, connection, pack.facility_id
        hashes = [uid_hash(p.entry.sop_instance) for p in batch.parsed]
        self._known = writes.known_instances(connection, pack.facility_id, hashes) if hashes else {}
        self._entries: dict[int, list[Entry]] = {}
        self._mine: dict[str, list[tuple[int, Entry]]] = {}
        self.new_rows: list[writes.InstanceRow] = []
        self.repeated: list[Parsed] = []

    def sort(self, series_pk: int, group: list[Parsed]) -> list[Parsed]:
        """Those to keep; the conflicting ones are marked. Rows for the new ones gather in `new_rows`."""
        kept = []
        for p in group:
            uid = p.entry.sop_instance
            same_uid = self._same_uid(uid)
            if any(series == series_pk and e.sha256 == p.entry.sha256 for series, e in same_uid):
                self.repeated.append(p)
                continue
            if same_uid:
                p = p.as_conflict()
            else:
                taken = {rank for rank, _ in self._known.get(uid_hash(uid), ())}
                rank = next(n for n in itertools.count() if n not in taken)
                self.new_rows.append(writes.instance_row(series_pk, uid, rank))
            self._mine.setdefault(uid, []).append((series_pk, p.entry))
            kept.append(p)
        return kept

    def _same_uid(self, uid: str) -> list[tuple[int, Entry]]:
        found = list(self._mine.get(uid, ()))
        for _rank, series_pk in self._known.get(uid_hash(uid), ()):
            if series_pk not in self._entries:
                self._entries[series_pk] = self._archive.entries(self._connection, series_pk)
            found += [(series_pk, e) for e in self._entries[series_pk] if e.sop_instance == uid]
        return found


def _conflict(pack: PackRow, parsed: Parsed) -> dict[str, Any]:
    reason = "other content under a SOP Instance UID that is known; both are kept, the first is shown"
    return _incident(pack, parsed.record, "conflict", parsed.entry.sop_instance, reason)


def _incident(pack: PackRow, record: Record, kind: str, sop_instance: str, reason: str) -> dict[str, Any]:
    return {
        "facility_id": pack.facility_id, "kind": kind, "pack_id": pack.id, "record_offset": record.offset,
        "sop_instance": sop_instance, "reason": reason,
    }  # fmt: skip
