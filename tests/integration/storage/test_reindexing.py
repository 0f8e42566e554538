"""Reindexing on a real PostgreSQL: what is read anew takes the place of what was read before, and an empty database is
filled from the object store alone (promise P11)."""

from __future__ import annotations

import json
import os
import signal
import threading
from typing import Any

import pytest
from sqlalchemy import text

from pacs.access import Principal, Role
from pacs.attributes import Level
from pacs.errors import NotFound
from pacs.processes import ProcessDied, in_a_fork
from pacs.query import Query
from storage import location, registry, reindexing, renewal, retrieve
from storage.answers import Answers
from storage.archive import Archive
from storage.facilities import list_facilities
from storage.index.tables import superseded
from storage.indexing import Outcome, index_next, index_pack
from storage.lanes import Turns
from storage.packnames import contents_key
from storage.registry import RegisteredDevice
from storage.reindexing import Scope, add_from_store, mark
from storage.remotes import Remote, add_remote
from storage.renditions import derive_series
from storage.routing import Route, add_route
from storage.sending import enqueue
from storage.setup import prepare
from storage.sweeps import remove_superseded, sweep
from tests.integration.storage.test_indexing import Noted, encoded, instance, packed, studies
from tests.support.server import eventually

OPERATOR = Principal("test", Role.ADMINISTRATOR)
GREEK = "Διονυσιος^Άγγελος"
ALL = Scope()


def greek(number: int = 1, **changes: Any) -> bytes:
    """Greek bytes under ISO_IR 100, which nobody can tell from Latin accents."""
    dataset = instance(number, SpecificCharacterSet="ISO_IR 126", PatientName=GREEK, **changes)
    return encoded(dataset).replace(b"ISO_IR 126", b"ISO_IR 100")


def register_greek(archive: Archive) -> None:
    registry.add_device(archive, RegisteredDevice("LOCAL", "CT1", "127.0.0.0/8", charset="ISO_IR 126"))


def work(archive: Archive) -> list[Outcome]:
    turns, outcomes = Turns(), []
    while (outcome := index_next(archive, turns)) is not None:
        outcomes.append(outcome)
    assert reindexing.remaining(archive) == 0
    return outcomes


def answers(archive: Archive) -> dict[str, list[Any]]:
    """All that a query can be told, in an order that does not depend on keys of rows."""
    found = {level: list(Answers(archive, Query(level), OPERATOR, deep=True)) for level in Level}
    return {level: sorted(some, key=lambda a: json.dumps(a, sort_keys=True)) for level, some in found.items()}


def open_incidents(archive: Archive) -> list[tuple[str, dict[str, Any]]]:
    query = "SELECT kind, details FROM incidents WHERE resolved_at IS NULL ORDER BY id"
    with archive.database.begin() as connection:
        return [(kind, details) for kind, details in connection.execute(text(query))]


def names(archive: Archive) -> set[str]:
    """As the index and the metadata of the instances tell them."""
    told = answers(archive)
    told_at = (Level.STUDY, Level.IMAGE)
    return {a["00100010"]["Value"][0]["Alphabetic"] for level in told_at for a in told[level]}


def test_a_charset_that_is_registered_later_mends_what_is_indexed(archive: Archive) -> None:
    packs = [packed(archive, greek(1), greek(2)), packed(archive, greek(3, SeriesInstanceUID="1.2.1.2"))]
    for pack in packs:
        index_pack(archive, pack)
    before = answers(archive)
    assert names(archive) != {GREEK}
    original = [retrieve.read_part10(archive, one) for one in location.locate(archive, OPERATOR, "1.2.1")]
    register_greek(archive)
    assert mark(archive, OPERATOR, ALL) == 2
    assert answers(archive) == before, "all is searchable meanwhile, as it was"
    assert [o.repairs for o in work(archive)] == [
        {"ISO_IR 100->ISO_IR 126 (device)": 2}, {"ISO_IR 100->ISO_IR 126 (device)": 1},
    ]  # fmt: skip
    assert names(archive) == {GREEK}
    (study,) = studies(archive)
    assert (study.series_count, study.study_instance_count) == (2, 3)
    assert "διονυσιος" in study.patient_name.lower()
    with archive.database.begin() as connection:
        assert connection.execute(text("SELECT patient_name FROM patients")).scalars().all() == [GREEK]
    located = location.locate(archive, OPERATOR, "1.2.1")
    assert [retrieve.read_part10(archive, one) for one in located] == original
    assert {one.entry.notes for one in located} == {("charset:ISO_IR 100->ISO_IR 126 (device)",)}


def test_twice_changes_nothing_more(archive: Archive) -> None:
    packs = [packed(archive, instance(1), instance(2)), packed(archive, instance(2), instance(3))]
    for pack in packs:
        index_pack(archive, pack)
    before = answers(archive)
    for _ in range(3):
        assert mark(archive, OPERATOR, ALL) == 2
        work(archive)
        assert answers(archive) == before


def test_conflicts_stay_what_they_are(archive: Archive) -> None:
    index_pack(archive, packed(archive, instance(1)))
    index_pack(archive, packed(archive, instance(1, ImageComments="other"), instance(2)))
    before, told = answers(archive), open_incidents(archive)
    mark(archive, OPERATOR, ALL)
    assert [(o.shown, o.conflicts) for o in work(archive)] == [(1, 0), (1, 1)]
    assert (answers(archive), open_incidents(archive)) == (before, told)


def test_an_incident_ends_with_its_cause(archive: Archive) -> None:
    name = "王^志誠".encode("gb18030")
    gbk = encoded(instance(1, PatientName="A^BCDEFGH")).replace(b"A^BCDEFGH", name.ljust(9))
    packs = [packed(archive, gbk), packed(archive, gbk.replace(b"1.2.1.1.1", b"1.2.1.1.7"))]
    for pack in packs:
        index_pack(archive, pack)
    ((kind, details),) = open_incidents(archive)
    assert (kind, details["instances"]) == ("charset", 2)
    mark(archive, OPERATOR, ALL)
    work(archive)
    assert open_incidents(archive) == [(kind, details)], "counted once, however often it is read"
    registry.add_device(archive, RegisteredDevice("LOCAL", "CT1", "127.0.0.0/8", charset="GB18030"))
    mark(archive, OPERATOR, ALL)
    work(archive)
    assert open_incidents(archive) == []


def test_a_patient_told_by_the_name_alone_moves_with_it(archive: Archive) -> None:
    """Without a PatientID another name is another patient: no empty row stays, and what waits to be sent goes on."""
    add_remote(archive, Remote("pacs", "PACS", "127.0.0.1", 104))
    bodies = [greek(n, PatientID="", SeriesInstanceUID=f"1.2.1.{n}") for n in (1, 2)]
    for body in bodies:
        index_pack(archive, packed(archive, body))
    (first, *_) = enqueue(archive, OPERATOR, "1.2.1", "pacs")
    for series_pk in (1, 2):
        derive_series(archive, series_pk)
    register_greek(archive)
    mark(archive, OPERATOR, ALL)
    work(archive)
    assert names(archive) == {GREEK}
    counts = "SELECT (SELECT count(*) FROM patients), (SELECT count(*) FROM studies), (SELECT count(*) FROM series)"
    sent = "SELECT count(*) FROM sends JOIN series ON series.id = sends.series_pk WHERE sends.id >= :first"
    with archive.database.begin() as connection:
        assert tuple(connection.execute(text(counts)).one()) == (1, 1, 2)
        assert connection.execute(text(sent), {"first": first}).scalar() == 2
    assert open_incidents(archive) == []


def test_what_cannot_be_read_any_more_is_not_forgotten(archive: Archive) -> None:
    pack = packed(archive, instance(1), instance(2))
    index_pack(archive, pack)
    before = answers(archive)
    (key,) = archive.objects.keys("packs/")
    data = archive.objects.get(key)
    archive.objects.put(key, data.replace(b"1.2.1.1.2", b"1.2.1.1.9"))
    mark(archive, OPERATOR, ALL)
    assert [o.state for o in work(archive)] == ["failed"]
    assert answers(archive) == before
    assert [kind for kind, _ in open_incidents(archive)] == [renewal.KIND]
    assert reindexing.given_up(archive) == 1
    archive.objects.put(key, data)
    mark(archive, OPERATOR, ALL)
    work(archive)
    assert (answers(archive), open_incidents(archive), reindexing.given_up(archive)) == (before, [], 0)


def test_lost_contents_are_written_anew(archive: Archive) -> None:
    pack = packed(archive, instance(1), instance(2))
    index_pack(archive, pack)
    before = answers(archive)
    for key in list(archive.objects.keys("series/")):
        archive.objects.delete(key)
    mark(archive, OPERATOR, ALL)
    assert [o.shown for o in work(archive)] == [2]
    assert answers(archive) == before


def test_a_pack_that_failed_is_tried_again(archive: Archive) -> None:
    index_pack(archive, packed(archive, instance(1)))
    failed = packed(archive, instance(2))
    with archive.database.begin() as connection:
        connection.execute(text("UPDATE packs SET state = 'failed' WHERE id = :id"), {"id": failed})
    mark(archive, OPERATOR, ALL)
    assert sorted(o.shown for o in work(archive)) == [1, 1]
    assert reindexing.given_up(archive) == 0


@pytest.mark.parametrize(
    ("scope", "marked"),
    [
        (ALL, 4),
        (Scope(facility="OTHER"), 1),
        (Scope(device="CT1"), 4),
        (Scope(device="MR1"), 1),
        (Scope(facility="LOCAL", device="CT1"), 3),
        (Scope(study_uid="1.2.1"), 2),
        (Scope(study_uid="1.2.1", series_uid="1.2.1.5"), 1),
    ],
)
def test_scopes(archive: Archive, scope: Scope, marked: int) -> None:
    """One pack was indexed before titles were kept: it may hold anybody's."""
    other = {"StudyInstanceUID": "1.2.2", "SeriesInstanceUID": "1.2.2.1", "SOPInstanceUID": "1.2.2.1.1"}
    packs = [
        packed(archive, instance(1)),
        packed(archive, instance(2, SeriesInstanceUID="1.2.1.5")),
        packed(archive, instance(1, **other)),
        packed(archive, instance(1, **other), facility="OTHER"),
    ]
    for pack in packs:
        index_pack(archive, pack)
    with archive.database.begin() as connection:
        connection.execute(text("UPDATE packs SET callings = NULL WHERE id = :id"), {"id": packs[0]})
    packed(archive, instance(9))  # waits for the first time, and is not marked
    assert mark(archive, OPERATOR, scope) == marked
    assert reindexing.remaining(archive) == marked
    assert reindexing.cancel(archive) == marked
    assert reindexing.remaining(archive) == 0


@pytest.mark.parametrize(
    "scope", [Scope(facility="NONE"), Scope(study_uid="9.9"), Scope(study_uid="1.2.1", series_uid="9")]
)
def test_what_is_not_there(archive: Archive, scope: Scope) -> None:
    index_pack(archive, packed(archive, instance(1)))
    with pytest.raises(NotFound):
        mark(archive, OPERATOR, scope)


def test_what_is_new_goes_before(archive: Archive) -> None:
    for number in range(1, 5):
        index_pack(archive, packed(archive, instance(number)))
    mark(archive, OPERATOR, ALL)
    turns = Turns()
    assert index_next(archive, turns) is not None
    fresh = packed(archive, instance(9))
    outcome = index_next(archive, turns)
    assert outcome is not None
    with archive.database.begin() as connection:
        state = "SELECT state FROM packs WHERE id = :id"
        assert connection.execute(text(state), {"id": fresh}).scalar() == "indexed"
    assert reindexing.remaining(archive) == 3
    hints = Noted()
    sweep(archive, hints)
    assert len(hints.packs) == 3, "the sweep tells the workers of it"


def test_nothing_is_sent_on_twice(archive: Archive) -> None:
    add_remote(archive, Remote("pacs", "PACS", "127.0.0.1", 104))
    add_route(archive, Route("pacs", "LOCAL"))
    index_pack(archive, packed(archive, instance(1)))
    with archive.database.begin() as connection:
        connection.execute(text("DELETE FROM sends"))  # as after a month
    mark(archive, OPERATOR, ALL)
    work(archive)
    with archive.database.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM sends")).scalar() == 0


def test_at_once_and_marked_again_meanwhile(archive: Archive) -> None:
    for number in range(1, 9):
        index_pack(archive, packed(archive, instance(number, SeriesInstanceUID=f"1.2.1.{number % 3}")))
    before = answers(archive)
    mark(archive, OPERATOR, ALL)

    def worker() -> None:
        turns = Turns()
        while index_next(archive, turns) is not None:
            pass

    threads = [threading.Thread(target=worker) for _ in range(3)]
    for thread in threads:
        thread.start()
    mark(archive, OPERATOR, ALL)
    for thread in threads:
        thread.join(60)
    work(archive)
    assert answers(archive) == before


@pytest.mark.parametrize("place", ["take_back", "finish_pack"])
def test_killed_in_the_midst_it_goes_on(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    for number in (1, 2, 3):
        index_pack(archive, packed(archive, greek(number)))
    before = answers(archive)
    register_greek(archive)
    mark(archive, OPERATOR, ALL)
    module = "storage.renewal" if place == "take_back" else "storage.indexing.writes"
    with monkeypatch.context() as dying:
        dying.setattr(f"{module}.{place}", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        with pytest.raises(ProcessDied):
            in_a_fork(30, _index_one, archive)
    assert answers(archive) == before
    with archive.database.begin() as connection:
        connection.execute(text("UPDATE packs SET hinted_at = now() - interval '1 hour'"))
    work(archive)
    assert names(archive) == {GREEK}


def _index_one(archive: Archive) -> None:
    archive.database.engine.dispose(close=False)
    index_next(archive, Turns())


def test_old_objects_go_when_nobody_reads_them_any_more(archive: Archive) -> None:
    pack = packed(archive, instance(1))
    index_pack(archive, pack)
    old = contents_key(1, pack, 0)
    mark(archive, OPERATOR, ALL)
    work(archive)
    assert remove_superseded(archive) == 0
    assert archive.objects.size(old), "somebody may be reading it"
    with archive.database.begin() as connection:
        connection.execute(superseded.update().values(since=text("now() - interval '1 hour'")))
    assert remove_superseded(archive) == 3, "contents, metadata, and a rendition if there was one"
    assert sorted(archive.objects.keys("series/")) == [
        f"series/1/{pack}.1.contents.json.gz", f"series/1/{pack}.1.metadata.json.gz",
    ]  # fmt: skip


def test_pictures_are_made_anew_only_where_they_would_differ(archive: Archive) -> None:
    index_pack(archive, packed(archive, greek(1)))
    assert derive_series(archive, 1)
    register_greek(archive)
    mark(archive, OPERATOR, ALL)
    work(archive)
    assert not derive_series(archive, 1)
    with archive.database.begin() as connection:
        assert connection.execute(text("SELECT derived_count FROM series")).scalar() == 1


def emptied(archive: Archive) -> None:
    eventually(lambda: not archive.audit._waits, 10, "the trail has all: it locks what is dropped here")
    with archive.database.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    archive.database.engine.dispose()
    prepare(archive)


def a_bit_of_everything(archive: Archive) -> None:
    """Two facilities, conflicts, repeats, what cannot be read, several packs of a series."""
    second = {"StudyInstanceUID": "1.2.2", "SeriesInstanceUID": "1.2.2.1", "PatientID": "P2"}
    for bodies, facility in (
        ((instance(1), instance(2)), "LOCAL"),
        ((instance(2), instance(3), b"\0\1garbage" * 50), "LOCAL"),
        ((instance(1, ImageComments="other"),), "LOCAL"),
        ((instance(1), instance(2, PatientName="王^志誠", SpecificCharacterSet="GB18030")), "HOSP2"),
        ((instance(1, SOPInstanceUID="1.2.2.1.1", PatientName="Zweite^Frau", **second),), "HOSP2"),
    ):
        index_pack(archive, packed(archive, *bodies, facility=facility))


def test_an_empty_database_is_filled_from_the_store_alone(archive: Archive) -> None:
    a_bit_of_everything(archive)
    with archive.database.begin() as connection:
        received = "SELECT study_uid, facility_id, received_at FROM studies ORDER BY 1, 2"
        then = connection.execute(text(received)).all()
        series = set(connection.execute(text("SELECT id FROM series")).scalars())
    before, told = answers(archive), sorted(kind for kind, _ in open_incidents(archive))
    emptied(archive)
    assert answers(archive)[Level.STUDY] == []
    listed = add_from_store(archive)
    assert (listed.added, listed.known, listed.foreign) == (5, 0, 0)
    assert add_from_store(archive).added == 0
    work(archive)
    assert answers(archive) == before
    assert sorted(kind for kind, _ in open_incidents(archive)) == told
    assert [f.code for f in list_facilities(archive)] == ["HOSP2", "LOCAL"]
    with archive.database.begin() as connection:
        assert [r[0::2] for r in connection.execute(text(received))] == [r[0::2] for r in then]
        anew = set(connection.execute(text("SELECT id FROM series")).scalars())
    assert not anew & series, "an old picture must not be taken for another series'"
    strays = reindexing.remove_strays(archive)
    assert strays == 2 * 6 - 2, "one pack brought nothing to a series"
    assert answers(archive) == before


def test_what_is_no_pack_is_told_and_left(archive: Archive) -> None:
    index_pack(archive, packed(archive, instance(1)))
    archive.objects.put("packs/LOCAL/readme", b"no pack")
    listed = add_from_store(archive)
    assert (listed.added, listed.known, listed.foreign) == (0, 1, 1)
    archive.objects.delete("packs/LOCAL/readme")
