"""Storage Commitment (PS3.4 J): what was asked is kept, examined, and answered for until the answer was taken.

An instance is committed when it is in the index and its bytes in the object store have the SHA-256 that they came
with: they are read again for it (promise P5).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.dialects.postgresql import insert

from pacs.errors import ObjectMissing
from pacs.rejection import KEY_OBJECT_SELECTION
from pacs.uids import uid_hash
from storage import notes
from storage.archive import Archive
from storage.index.exchange import commitments
from storage.index.tables import facilities, facility_key, instances, packs, series_packs
from storage.location import Located
from storage.retrieve import stream

ITEMS_MAX = 10_000  # of one request
LOOK_SECONDS = 2  # between looks at what is not there yet
LEASE_SECONDS = 300  # a claimed row whose process was killed is due again after this
RETRY_SECONDS = (10, 30, 120, 600, 3600)  # after the first report that nobody took, the second, …
GIVE_UP_DAYS = 3
NO_SUCH_INSTANCE, CLASS_CONFLICT, PROCESSING_FAILURE = 0x0112, 0x0119, 0x0110  # PS3.3 C.14.1.1
Item = tuple[str, str]
"""SOP Class UID and SOP Instance UID."""


@dataclass(frozen=True, slots=True)
class Commitment:
    """A request that waits for its answer."""

    id: int
    facility_id: int
    facility: str
    transaction_uid: str
    calling: str
    called: str
    items: tuple[Item, ...]
    tries: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is committed, and what is not, with the failure reason (0008,1197)."""

    committed: tuple[Item, ...]
    failed: tuple[tuple[Item, int], ...]

    @property
    def missing(self) -> bool:
        """Whether something is not there, but may come yet."""
        return any(reason == NO_SUCH_INSTANCE for _, reason in self.failed)


def keep(archive: Archive, facility: str, calling: str, called: str, peer: str, transaction_uid: str,
         items: Iterable[Item], *, held_seconds: float = 0) -> int:  # fmt: skip
    """Keep a request; its number. Asked again under the same transaction UID it is answered again. For `held_seconds`
    nobody else claims it."""
    with archive.database.begin() as connection:
        owner = facility_key(facility).scalar_subquery()
        row = {
            "facility_id": owner, "transaction_uid": transaction_uid, "calling": calling, "called": called,
            "peer": peer, "items": [list(item) for item in items], "state": "waiting", "tries": 0, "error": "",
            "not_before": func.now() + timedelta(seconds=held_seconds), "created_at": func.now(),
            "updated_at": func.now(),
        }  # fmt: skip
        anew = insert(commitments).values(row).on_conflict_do_update(
            index_elements=["facility_id", "calling", "transaction_uid"], set_=row
        )  # fmt: skip
        return int(connection.execute(anew.returning(commitments.c.id)).scalar_one())


def claim(archive: Archive) -> Commitment | None:
    """The request that has waited longest, for LEASE_SECONDS ours."""
    due = (
        select(commitments.c.id)
        .where(commitments.c.state == "waiting", commitments.c.not_before <= func.now())
        .order_by(commitments.c.not_before)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    leased = (
        update(commitments)
        .where(commitments.c.id.in_(due))
        .values(not_before=func.now() + timedelta(seconds=LEASE_SECONDS))
        .returning(commitments.c.id)
    )
    with archive.database.begin() as connection:
        number = connection.execute(leased).scalar()
    return read(archive, number) if number is not None else None


def read(archive: Archive, number: int) -> Commitment:
    """One request by its number."""
    c = commitments.c
    columns: list[ColumnElement[Any]] = [
        c.id, c.facility_id, facilities.c.code, c.transaction_uid, c.calling, c.called, c["items"], c.tries,
        c.created_at,
    ]  # fmt: skip
    statement = select(*columns).join(facilities, facilities.c.id == c.facility_id).where(c.id == number)
    with archive.database.begin() as connection:
        row = connection.execute(statement).one()
    items = tuple((str(sop_class), str(instance)) for sop_class, instance in row.items)
    return Commitment(row.id, row.facility_id, row.code, row.transaction_uid, row.calling, row.called, items,
                      row.tries, row.created_at)  # fmt: skip


def examine(archive: Archive, asked: Commitment) -> Verdict:
    """What of it is committed. Raises OSError where the object store is away."""
    found = _locate(archive, asked)
    sound = _sound(archive, list(found.values()))
    committed, failed = [], []
    for item in asked.items:
        located = found.get(item[1])
        if located is None and _is_kept_note(archive, asked, item):
            committed.append(item)
        elif located is None:
            failed.append((item, NO_SUCH_INSTANCE))
        elif located.entry.sop_class != item[0]:
            failed.append((item, CLASS_CONFLICT))
        elif located.entry.sop_instance not in sound:
            failed.append((item, PROCESSING_FAILURE))
        else:
            committed.append(item)
    return Verdict(tuple(committed), tuple(failed))


def _is_kept_note(archive: Archive, asked: Commitment, item: Item) -> bool:
    """A Rejection Note is kept and not shown: its sender may rely on it all the same."""
    sop_class, sop_instance = item
    return sop_class == KEY_OBJECT_SELECTION and notes.is_kept(archive, asked.facility, sop_instance)


def _locate(archive: Archive, asked: Commitment) -> dict[str, Located]:
    """The facility's own instances of these UIDs, by UID."""
    hashes = {uid_hash(instance) for _, instance in asked.items}
    statement = (
        select(series_packs.c.series_pk, series_packs.c.pack_id, series_packs.c.edition, packs.c.key)
        .join(packs, packs.c.id == series_packs.c.pack_id)
        .where(
            series_packs.c.series_pk.in_(
                select(instances.c.series_pk).where(
                    instances.c.uid_hash.in_(hashes), instances.c.facility_id == asked.facility_id
                )
            ),
            series_packs.c.instance_count > 0,
        )
    )
    with archive.database.begin() as connection:
        places = connection.execute(statement).all()
    wanted, found = {instance for _, instance in asked.items}, {}
    for place in places:
        shown = archive.shelf.shown(archive.objects, place.series_pk, place.pack_id, place.edition)
        for uid in wanted & shown.places.keys():
            found[uid] = Located(shown.entries[shown.places[uid]], place.key, "", "")
    return found


def _sound(archive: Archive, located: list[Located]) -> set[str]:
    """Those whose bytes are what they were: read and hashed anew, a pack at a time."""
    sound: set[str] = set()
    for key in {one.key for one in located}:
        try:
            sound |= _sound_in_pack(archive, [one for one in located if one.key == key])
        except ObjectMissing:
            continue
    return sound


def _sound_in_pack(archive: Archive, located: list[Located]) -> set[str]:
    sound: set[str] = set()
    digest, skip = hashlib.sha256(), 0
    current: Located | None = None

    def settle() -> None:
        if current is not None and digest.hexdigest() == current.entry.sha256:
            sound.add(current.entry.sop_instance)

    for one, piece, begins in stream(archive, located):
        if begins:
            settle()
            current, digest, skip = one, hashlib.sha256(), one.entry.dataset_offset
        digest.update(piece[min(skip, len(piece)) :])
        skip = max(0, skip - len(piece))
    settle()
    return sound


def is_final(archive: Archive, asked: Commitment, verdict: Verdict) -> bool:
    """Whether it may be told: nothing is missing, or what is has had its time to come."""
    patience = timedelta(seconds=archive.settings.commitment_patience_seconds)
    return not verdict.missing or datetime.now(UTC) - asked.created_at > patience


def reported(archive: Archive, number: int) -> None:
    """The answer was taken."""
    _set(archive, number, state="done", error="")


def look_later(archive: Archive, number: int) -> None:
    """Something is not there yet."""
    _set(archive, number, not_before=func.now() + timedelta(seconds=LOOK_SECONDS))


def postpone(archive: Archive, asked: Commitment, error: str) -> None:
    """Nobody took the answer: again later, more and more seldom; at last it is given up, for an operator to see."""
    seconds = RETRY_SECONDS[min(asked.tries, len(RETRY_SECONDS) - 1)]
    given_up = func.now() - commitments.c.created_at > timedelta(days=GIVE_UP_DAYS)
    _set(
        archive,
        asked.id,
        tries=asked.tries + 1,
        error=error[:500],
        not_before=func.now() + timedelta(seconds=seconds),
    )
    with archive.database.begin() as connection:
        connection.execute(
            update(commitments).where(commitments.c.id == asked.id, given_up).values(state="failed")
        )


def _set(archive: Archive, number: int, **values: object) -> None:
    with archive.database.begin() as connection:
        connection.execute(
            update(commitments).where(commitments.c.id == number).values(updated_at=func.now(), **values)
        )
