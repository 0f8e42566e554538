"""The queue of sends and the rules that fill it, on a real PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, text

from pacs.access import Principal, Role
from pacs.errors import NotFound, SettingError
from storage import remotes, routing, sending
from storage.archive import Archive
from storage.facilities import add_facility
from storage.indexing import index_pack
from storage.registry import RegisteredDevice, add_device
from storage.remotes import Remote, add_remote, list_remotes, remote_called, remote_named
from storage.routing import Route, add_route
from storage.sending import REFUSALS_MAX, Lane, Send
from tests.integration.storage.test_indexing import instance, packed

ADMINISTRATOR = Principal("admin", Role.ADMINISTRATOR)
WAITING_MANY = 30_000


def remote(archive: Archive, name: str, **more: Any) -> Remote:
    add_remote(archive, Remote(name, **{"ae_title": "PEER", "host": "10.0.0.1", "port": 104, **more}))
    return remote_named(archive, name)


def claimed(archive: Archive, rows_max: int = 100) -> list[Send]:
    return [send for lane in sending.lanes(archive) for send in sending.claim(archive, lane, rows_max)]


def rows(archive: Archive) -> list[Any]:
    with archive.database.begin() as connection:
        return list(connection.execute(text("SELECT * FROM sends ORDER BY id")))


def later(archive: Archive, seconds: int) -> None:
    """As if so much time had gone by."""
    with archive.database.begin() as connection:
        for column in ("not_before", "created_at"):
            change = f"UPDATE sends SET {column} = {column} - :s * interval '1 s'"
            connection.execute(text(change), {"s": seconds})


def test_remotes_are_kept_and_found(archive: Archive) -> None:
    add_facility(archive, "EAST", "")
    remote(archive, "a", syntaxes=("1.2.840.10008.1.2.1",), associations_max=3)
    remote(archive, "b", facility="EAST", tls=True)
    assert [r.name for r in list_remotes(archive)] == ["a", "b"]
    assert [r.name for r in list_remotes(archive, "EAST")] == ["b"]
    assert remote_called(archive, "EAST", "PEER ").tls
    assert remote_called(archive, "LOCAL", "PEER").associations_max == 3
    remote(archive, "a", port=105)
    assert (remote_named(archive, "a").port, remote_named(archive, "a").syntaxes) == (105, ())
    remote(archive, "a", active=False)
    with pytest.raises(NotFound, match="no remote with the AE title PEER"):
        remote_called(archive, "LOCAL", "PEER")
    assert remotes.remove_remote(archive, "a")
    assert not remotes.remove_remote(archive, "a")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"ae_title": "A" * 17}, "AE title"),
        ({"ae_title": "A\\B"}, "AE title"),
        ({"ae_title": "影像"}, "AE title"),
        ({"port": 70_000}, "port"),
        ({"port": None}, "port"),
        ({"host": " "}, "host"),
        ({"associations_max": 0}, "associations"),
        ({"syntaxes": ("JPEG",)}, "not the UID"),
        ({"name": ""}, "name"),
    ],
)
def test_remotes_that_cannot_be_used_are_refused(archive: Archive, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        add_remote(archive, Remote(**{"name": "x", "ae_title": "A", "host": "h", "port": 104, **wrong}))
    with pytest.raises(NotFound, match="facility"):
        add_remote(archive, Remote("x", "A", "h", 104, facility="NONE"))


def test_rules_queue_what_fits_with_the_index(archive: Archive) -> None:
    for name in ("all", "ct", "knee", "other-device", "other-facility"):
        remote(archive, name)
    add_facility(archive, "EAST", "")
    add_route(archive, Route("all", "LOCAL"))
    add_route(archive, Route("ct", "LOCAL", modality=" ct "))
    add_route(archive, Route("ct", "LOCAL", calling="CT1", called="TONGYING"))
    add_route(archive, Route("knee", "LOCAL", body_part="knee"))
    add_route(archive, Route("other-device", "LOCAL", calling="MR1"))
    add_route(archive, Route("other-facility", "EAST"))
    pack = packed(archive, instance(1), instance(2, SeriesInstanceUID="1.2.1.2", BodyPartExamined="KNEE"))
    index_pack(archive, pack)
    named = {r.id: r.name for r in list_remotes(archive)}
    assert sorted((named[r.remote_id], r.total) for r in rows(archive)) == [
        ("all", 1), ("all", 1), ("ct", 1), ("ct", 1), ("knee", 1),
    ]  # fmt: skip
    index_pack(archive, pack)
    index_pack(archive, packed(archive, instance(1)))  # the same again: it is there already
    assert len(rows(archive)) == 5
    (one,) = sending.locate(archive, next(s for s in claimed(archive) if s.total == 1))
    assert one.entry.sop_instance in ("1.2.1.1.1", "1.2.1.1.2")


def test_what_is_not_indexed_is_not_queued(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both or neither: the transaction is one."""
    remote(archive, "all")
    add_route(archive, Route("all", "LOCAL"))
    pack = packed(archive, instance(1))

    def broken(*_: object) -> None:
        raise OSError("the store is away")

    with monkeypatch.context() as away:
        away.setattr("storage.indexing.writes.finish_pack", broken)
        with pytest.raises(OSError, match="away"):
            index_pack(archive, pack)
    assert rows(archive) == []
    index_pack(archive, pack)
    assert len(rows(archive)) == 1


def test_looking_up_rules_costs_one_query_a_pack(archive: Archive) -> None:
    asked: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if "routes" in statement:
            asked.append(statement)

    event.listen(archive.database.engine, "before_cursor_execute", note)
    index_pack(archive, packed(archive, *(instance(n, SeriesInstanceUID=f"1.2.1.{n}") for n in range(1, 30))))
    assert len(asked) == 1


def test_emergencies_go_first_and_notifications_wait_for_the_series(archive: Archive) -> None:
    remote(archive, "pacs")
    remote(archive, "ris", notify=True)
    add_route(archive, Route("pacs", "LOCAL"))
    index_pack(archive, packed(archive, instance(1)))
    add_device(archive, RegisteredDevice("LOCAL", "CT1", "10.0.0.0/8", emergency=True))
    index_pack(archive, packed(archive, instance(2)))
    assert [s.priority for s in claimed(archive)] == [routing.URGENT, 0], "none for the RIS yet"
    later(archive, routing.NOTIFY_SECONDS)
    ris = remote_named(archive, "ris").id
    assert [lane.remote_id for lane in sending.lanes(archive)] == [ris]


def test_a_lease_ends_and_can_be_prolonged(archive: Archive) -> None:
    study(archive)
    remote(archive, "pacs")
    sending.enqueue(archive, ADMINISTRATOR, "1.2.1", "pacs")
    (send,) = claimed(archive)
    assert claimed(archive) == [], "it is taken"
    later(archive, sending.LEASE_SECONDS - 5)
    sending.renew(archive, [send.id])
    later(archive, sending.LEASE_SECONDS - 5)
    assert claimed(archive) == [], "it was prolonged"
    later(archive, 10)
    (again,) = claimed(archive)
    assert (again.id, again.tries) == (send.id, 2), "its sender was killed"


def study(archive: Archive) -> None:
    index_pack(archive, packed(archive, instance(1), instance(2)))


def test_what_fails_is_tried_ever_later_and_given_up(archive: Archive) -> None:
    study(archive)
    remote(archive, "pacs")
    ids = sending.enqueue(archive, ADMINISTRATOR, "1.2.1", "pacs")
    for wait in (10, 30, 120, 600, 3600, 3600):
        (send,) = claimed(archive)
        sending.postpone(archive, send, "it broke", sent=1, refused=False)
        later(archive, wait - 2)
        assert claimed(archive) == []
        later(archive, 3)
    later(archive, sending.GIVE_UP_DAYS * 86_400)
    (send,) = claimed(archive)
    assert send.sent == 1
    sending.postpone(archive, send, "it broke", sent=1, refused=False)
    assert sending.progress(archive, ids) == sending.Progress(2, 1, {"failed": 1}, "it broke")
    sending.enqueue(archive, ADMINISTRATOR, "1.2.1", "pacs")
    assert sending.progress(archive, ids) == sending.Progress(2, 0, {"waiting": 1}, "")
    for _ in range(REFUSALS_MAX):
        (send,) = claimed(archive)
        sending.postpone(archive, send, "not wanted", sent=0, refused=True)
        later(archive, 3600)
    assert sending.queues(archive)["pacs"] == sending.Queue({"failed": 1}, "not wanted")


def test_what_was_not_tried_is_due_at_once(archive: Archive) -> None:
    study(archive)
    remote(archive, "pacs")
    sending.enqueue(archive, ADMINISTRATOR, "1.2.1", "pacs")
    (send,) = claimed(archive)
    sending.release(archive, [send.id], "no connection")
    (again,) = claimed(archive)
    assert again.tries == 1
    later(archive, sending.GIVE_UP_DAYS * 86_400 + 1)
    sending.release(archive, [send.id], "no connection")
    assert sending.queues(archive)["pacs"].states == {"failed": 1}


def test_what_is_queued_anew_under_way_is_sent_anew(archive: Archive) -> None:
    study(archive)
    remote(archive, "pacs")
    ids = sending.enqueue(archive, ADMINISTRATOR, "1.2.1", "pacs")
    (send,) = claimed(archive)
    assert sending.enqueue(archive, ADMINISTRATOR, "1.2.1", "pacs") == ids
    sending.finish(archive, send.id, 2)
    assert len(claimed(archive)) == 1


def test_done_rows_are_forgotten_after_a_month(archive: Archive) -> None:
    study(archive)
    remote(archive, "pacs")
    sending.enqueue(archive, ADMINISTRATOR, "1.2.1", "pacs")
    (send,) = claimed(archive)
    sending.finish(archive, send.id, 2)
    assert sending.forget(archive) == 0
    with archive.database.begin() as connection:
        connection.execute(text("UPDATE sends SET updated_at = now() - interval '31 days'"))
    assert sending.forget(archive) == 1


def test_nobody_sends_what_they_may_not_see(archive: Archive) -> None:
    study(archive)
    remote(archive, "pacs")
    with pytest.raises(NotFound):
        sending.enqueue(archive, Principal("d", Role.DEVICE, "EAST"), "1.2.1", "pacs")
    with pytest.raises(NotFound):
        sending.enqueue(archive, ADMINISTRATOR, "1.2.1", "nobody")


@contextmanager
def crowd(archive: Archive, remote_id: int) -> Iterator[None]:
    """Many rows that wait for a remote. They are gone again before the archive is checked."""
    series = """INSERT INTO series (facility_id, study_pk, series_uid)
        SELECT facility_id, id, '9.' || n FROM studies, generate_series(1, :n) n"""
    queued = """INSERT INTO sends (facility_id, remote_id, series_pk, not_before)
        SELECT facility_id, :remote, id, now() - interval '1 day' FROM series WHERE series_uid LIKE '9.%'"""
    with archive.database.begin() as connection:
        connection.execute(text(series), {"n": WAITING_MANY})
        connection.execute(text(queued), {"remote": remote_id})
    with archive.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE sends"))
    try:
        yield
    finally:
        with archive.database.begin() as connection:
            connection.execute(text("DELETE FROM series WHERE series_uid LIKE '9.%'"))


def test_a_crowd_that_waits_for_one_remote_delays_no_other(archive: Archive) -> None:
    study(archive)
    crowded, quiet = remote(archive, "crowded"), remote(archive, "quiet")
    with crowd(archive, crowded.id):
        sending.enqueue(archive, ADMINISTRATOR, "1.2.1", "quiet")
        waiting = sending.lanes(archive)
        assert {lane.remote_id for lane in waiting} == {crowded.id, quiet.id}
        began = time.perf_counter()
        for _ in range(10):
            sending.lanes(archive)
            assert len(sending.claim(archive, lane_of(waiting, crowded), 32)) == 32
        assert (time.perf_counter() - began) / 10 < 0.1
        assert len(sending.claim(archive, lane_of(waiting, quiet), 32)) == 1


def lane_of(waiting: list[Lane], one: Remote) -> Lane:
    return next(lane for lane in waiting if lane.remote_id == one.id)
