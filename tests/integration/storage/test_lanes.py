"""Packs are indexed by turns, one worker at each, and a dependency that is away costs no pack its tries."""

from __future__ import annotations

import threading
import time
import uuid
from pathlib import Path

import pytest
from sqlalchemy import text

from storage.archive import Archive
from storage.claims import claimed, of_pack
from storage.facilities import add_facility
from storage.indexing import TRIES_MAX, index_next
from storage.lanes import Turns, waiting_packs
from storage.reception import Reception
from storage.records import Origin
from storage.shipping import ship
from storage.spool import Spool, recover
from tests.integration.storage.test_indexing import encoded, instance, packed
from tests.support.pdu import CT, EXPLICIT


def indexed_in_order(archive: Archive, turns: Turns) -> list[uuid.UUID]:
    """All packs, in the order in which they are indexed."""
    order: list[uuid.UUID] = []
    while index_next(archive, turns) is not None:
        with archive.database.begin() as connection:
            rows = connection.execute(text("SELECT id FROM packs WHERE state = 'indexed'")).scalars()
            order += [row for row in rows if row not in order]
    return order


def urgent(archive: Archive, pack: uuid.UUID) -> uuid.UUID:
    with archive.database.begin() as connection:
        connection.execute(text("UPDATE packs SET urgent = true WHERE id = :id"), {"id": pack})
    return pack


def test_facilities_take_turns_and_emergencies_go_before(archive: Archive) -> None:
    for code in ("BACKFILL", "OTHER"):
        add_facility(archive, code, "")
    backlog = [packed(archive, instance(n), facility="BACKFILL") for n in range(20)]
    other = [packed(archive, instance(100 + n), facility="OTHER") for n in range(2)]
    stroke = urgent(archive, packed(archive, instance(200), facility="BACKFILL"))
    order = indexed_in_order(archive, Turns())
    assert order[0] == stroke
    assert set(other) <= set(order[:5])
    assert [p for p in order if p in backlog] == backlog
    assert len(order) == 23


def test_urgency_outlives_a_crash(archive: Archive) -> None:
    """It stands in the segment's name; the next owner of the spool ships it as such."""
    sealed: list[Path] = []
    spool = Spool(archive.settings.spool / "node", archive.settings, sealed.append)
    for number, hurry in enumerate((False, True)):
        reception = Reception(spool)
        data = encoded(instance(number))
        origin = Origin("LOCAL", "CT1", "TONGYING", "127.0.0.1")
        reception.begin(origin, CT, f"1.2.1.1.{number}", EXPLICIT, urgent=hurry)
        reception.room(len(data))[:] = data
        reception.took(len(data))
        reception.commit()
    assert sealed == [], "both lie in open segments, each in its own"
    recovered = recover(spool.root)
    for path in recovered:
        ship(archive, path)
    with archive.database.begin() as connection:
        assert sorted(p.urgent for p in waiting_packs(connection)) == [False, True]
    indexed_in_order(archive, Turns())
    spool.close()


def test_two_workers_are_never_at_one_pack(archive: Archive) -> None:
    pack = packed(archive, instance(1))
    with claimed(archive, of_pack(pack)) as mine:
        assert mine
        assert index_next(archive, Turns()) is None
        with claimed(archive, of_pack(pack)) as again:
            assert not again
    outcome = index_next(archive, Turns())
    assert outcome is not None
    assert outcome.shown == 1


def test_several_workers_share_a_backlog(archive: Archive) -> None:
    for n in range(30):
        packed(archive, instance(n))
    shown: list[int] = []

    def work() -> None:
        turns = Turns()
        while (outcome := index_next(archive, turns)) is not None:
            shown.append(outcome.shown)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert shown == [1] * 30


def test_a_store_that_fails_costs_no_tries(archive: Archive) -> None:
    """Else what was acknowledged would be given up after four attempts within an outage (promise P6)."""
    packed(archive, instance(1))
    (stored,) = (archive.settings.data / "objects" / "packs").rglob("*.pack")
    aside = stored.rename(stored.with_suffix(".aside"))
    stored.symlink_to(stored)  # to open it is an error of the file system: ELOOP
    turns = Turns()
    for _ in range(TRIES_MAX + 3):
        with pytest.raises(OSError):
            index_next(archive, turns)
    aside.replace(stored)
    outcome = index_next(archive, turns)
    assert outcome is not None
    assert (outcome.state, outcome.shown) == ("indexed", 1)


def test_what_was_tried_waits_a_moment(archive: Archive) -> None:
    """A worker died of it: the others first."""
    first, second = packed(archive, instance(1)), packed(archive, instance(2))
    with archive.database.begin() as connection:
        connection.execute(
            text("UPDATE packs SET tries = 1, hinted_at = now() WHERE id = :id"), {"id": first}
        )
    with archive.database.begin() as connection:
        assert [p.id for p in waiting_packs(connection)] == [second]
        connection.execute(text("UPDATE packs SET hinted_at = now() - interval '1 minute'"))
    with archive.database.begin() as connection:
        assert [p.id for p in waiting_packs(connection)] == [first, second]
    indexed_in_order(archive, Turns())


def test_the_next_one_is_found_as_fast_in_a_long_line(archive: Archive) -> None:
    add_facility(archive, "BACKFILL", "")
    other = packed(archive, instance(1))
    with archive.database.begin() as connection:
        connection.execute(text(
            "INSERT INTO packs (id, facility_id, key, bytes) SELECT gen_random_uuid(), f.id, 'packs/' || n, 0 "
            "FROM generate_series(1, 100000) n, facilities f WHERE f.code = 'BACKFILL'"
        ))  # fmt: skip
        connection.execute(text("ANALYZE packs"))
    with archive.database.begin() as connection:
        waiting_packs(connection)
        took = []
        for _ in range(20):
            began = time.monotonic()
            found = waiting_packs(connection)
            took.append(time.monotonic() - began)
        assert min(took) < 0.02
        assert other in {p.id for p in found}
        connection.execute(text("DELETE FROM packs WHERE key LIKE 'packs/_' OR bytes = 0"))
    assert index_next(archive, Turns()) is not None
