"""Erasing on a real PostgreSQL: the bytes are gone, the others are what they were, and a kill at any step costs
nothing (promises P3, P7, P11)."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from pacs.processes import ProcessDied, in_a_fork
from storage.archive import Archive
from storage.check import check
from storage.erasing import erase_due
from storage.index.tables import superseded
from storage.indexing import index_pack
from storage.recycling import erase, expire, list_rejections
from storage.reindexing import Scope, add_from_store, mark
from storage.sweeps import remove_superseded
from tests.integration.storage.test_indexing import instance, packed
from tests.integration.storage.test_reindexing import answers, emptied, work
from tests.integration.storage.test_rejection import OPERATOR, index, named, read_all, shown, sound
from tests.support.notes import note

SECRET = "QNTMZK-{}"  # in the pixels' stead: what must not be found afterwards


@pytest.fixture(autouse=True)
def _no_other_ships(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.reindexing.SETTLE_SECONDS", 0)


def secret(number: int, **changes: Any) -> Any:
    return instance(number, ImageComments=SECRET.format(number), **changes)


def found(archive: Archive, number: int) -> list[str]:
    """The packs that hold it."""
    wanted = SECRET.format(number).encode()
    return [key for key in archive.objects.keys("packs/") if wanted in archive.objects.get(key)]


def swept(archive: Archive) -> None:
    with archive.database.begin() as connection:
        connection.execute(superseded.update().values(since=text("now() - interval '1 hour'")))
    while remove_superseded(archive):
        pass


def newest(archive: Archive) -> int:
    return int(list_rejections(archive, OPERATOR)[0]["id"])


def test_the_bytes_are_gone_and_the_others_stay(archive: Archive) -> None:
    index(archive, secret(1), secret(2), secret(3))
    index(archive, secret(1), secret(4))  # a copy
    index(archive, secret(2, PatientComments="other"))  # in conflict
    index(archive, secret(5), b"\0\1garbage" * 50, secret(6, SeriesInstanceUID="1.2.1.2"))
    everything = read_all(archive)
    index(archive, note(named(1, 2, 5)))
    before = answers(archive)
    assert erase_due(archive) == 0, "nothing is erased before its time"
    erase(archive, OPERATOR, newest(archive))
    sound(archive)
    assert erase_due(archive) == 4
    sound(archive)
    assert found(archive, 1), "somebody may be reading it"
    swept(archive)
    sound(archive)
    assert [found(archive, n) for n in (1, 2, 5)] == [[], [], []]
    assert answers(archive) == before
    left = read_all(archive)
    assert left == {uid: data for uid, data in everything.items() if uid[-1] in "346"}
    assert erase_due(archive) == 0
    (one,) = list_rejections(archive, OPERATOR)
    assert (one["state"], one["instances"]) == ("erased", 0)
    mark(archive, OPERATOR, Scope())
    work(archive)
    assert (answers(archive), read_all(archive)) == (before, left)
    emptied(archive)
    add_from_store(archive)
    work(archive)
    assert (answers(archive), read_all(archive)) == (before, left)
    sound(archive)


def test_damage_in_the_bin_is_seen_and_erased(archive: Archive) -> None:
    index(archive, secret(1), secret(2))
    index(archive, note(named(1)))
    key = min(archive.objects.keys("packs/"))
    data = archive.objects.get(key)
    archive.objects.put(key, data.replace(SECRET.format(1).encode(), b"DAMAGED!"))
    assert len(SECRET.format(1)) == len("DAMAGED!"), "nothing is moved"
    (finding,) = check(archive).findings
    assert "not shown" in finding
    erase(archive, OPERATOR, newest(archive))
    assert erase_due(archive) == 1
    sound(archive)
    swept(archive)
    assert [k for k in archive.objects.keys("packs/") if b"DAMAGED!" in archive.objects.get(k)] == []
    assert shown(archive) == ["1.2.1.1.2"]


def test_sent_again_afterwards_it_is_new(archive: Archive) -> None:
    index(archive, secret(1), secret(2))
    index(archive, note(named(1)))
    erase(archive, OPERATOR, newest(archive))
    erase_due(archive)
    index(archive, secret(1))
    index(archive, secret(1))
    assert shown(archive) == ["1.2.1.1.1", "1.2.1.1.2"]
    assert erase_due(archive) == 0
    swept(archive)
    sound(archive)
    emptied(archive)
    add_from_store(archive)
    work(archive)
    assert shown(archive) == ["1.2.1.1.1", "1.2.1.1.2"]
    index(archive, note(named(1)))
    assert shown(archive) == ["1.2.1.1.2"]
    assert erase_due(archive) == 0, "the old note does not erase what came after it"
    sound(archive)


def test_an_old_object_in_the_store_does_not_bring_it_back(archive: Archive) -> None:
    """The database is lost while the old objects wait to be swept."""
    index(archive, secret(1), secret(2))
    index(archive, secret(3))
    index(archive, note(named(1, 3)))
    erase(archive, OPERATOR, newest(archive))
    erase_due(archive)
    assert add_from_store(archive).added == 0
    emptied(archive)
    add_from_store(archive)
    work(archive)
    assert shown(archive) == ["1.2.1.1.2"]
    erase_due(archive)
    swept(archive)
    assert (found(archive, 1), found(archive, 3)) == ([], [])
    sound(archive)


def test_after_its_time(archive: Archive) -> None:
    index(archive, secret(1))
    index(archive, note(named(1), code="113039"))
    for days, ended in ((0, 0), (30, 0), (1, 1)):
        kept = replace(archive, settings=replace(archive.settings, rejected_days=days))
        with archive.database.begin() as connection:
            connection.execute(text("UPDATE rejections SET rejected_at = now() - interval '2 days'"))
        assert expire(kept) == ended
    (one,) = list_rejections(archive, OPERATOR)
    assert (one["state"], one["ended_by"]) == ("erased", "retention")
    assert erase_due(archive) == 1
    swept(archive)
    assert found(archive, 1) == []
    sound(archive)


STEPS = (
    "storage.erasing._cut", "storage.erasing.erasures.announce", "storage.erasing._write_anew",
    "storage.erasing._replace", "storage.erasing.erasures.claim", "storage.erasing.erasures.set_fragment",
    "storage.erasing.erasures.replace_pack", "storage.erasing.removes.supersede",
    "storage.erasing.erasures.remove_pack",
)  # fmt: skip


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_it_begins_again(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    packs = [packed(archive, secret(1), secret(2), secret(3)), packed(archive, secret(4))]
    for pack in packs:
        index_pack(archive, pack)
    everything = read_all(archive)
    index(archive, note(named(1, 4)))
    erase(archive, OPERATOR, newest(archive))
    with monkeypatch.context() as dying:
        dying.setattr(step, deadly(step, after))
        with pytest.raises(ProcessDied):
            in_a_fork(30, _in_the_fork, archive)
    sound(archive)
    kept = {uid: data for uid, data in everything.items() if uid[-1] in "23"}
    assert read_all(archive) == kept
    swept(archive)
    _erase_all(archive)
    sound(archive)
    swept(archive)
    assert read_all(archive) == kept
    assert (found(archive, 1), found(archive, 4)) == ([], [])
    assert check(archive).findings == []


def deadly(step: str, after: bool) -> Any:
    """What does the step, and dies before or after it."""
    from importlib import import_module

    parts = step.split(".")
    place: Any = import_module("storage.erasing")
    for part in parts[2:]:
        place = getattr(place, part)
    real = place

    def dying(*given: Any, **named_: Any) -> Any:
        if after:
            real(*given, **named_)
        os.kill(os.getpid(), signal.SIGKILL)

    return dying


def _in_the_fork(archive: Archive) -> None:
    archive.database.engine.dispose(close=False)
    _erase_all(archive)


def _erase_all(archive: Archive) -> None:
    while erase_due(archive):
        pass
