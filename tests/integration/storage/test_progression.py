"""HTJ2K renditions on a real PostgreSQL: what is made of a series, when, and what becomes of it."""

from __future__ import annotations

import os
import signal
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import Request
from fastapi.responses import Response
from sqlalchemy import text

from pacs.errors import ObjectMissing
from pacs.pixels.decode import decode_frame
from pacs.pixels.description import describe
from pacs.processes import ProcessDied, in_a_fork
from pacs.settings import Settings
from pacs.transcode import RPCL
from storage import progression
from storage.archive import Archive
from storage.blobs.local import LocalStore
from storage.check import check
from storage.erasing import erase_due
from storage.indexing import index_pack
from storage.location import Located, locate
from storage.progression import make_progressive
from storage.progressive import verify
from storage.recycling import erase
from storage.reindexing import Scope, add_from_store, mark, remove_strays
from storage.renditions import derive_series
from storage.retrieve import progressive_frame, read_progressive
from storage.sweeps import remove_superseded, sweep
from storage.workfile import WorkFile
from tests.integration.storage.test_erasing import newest, swept
from tests.integration.storage.test_indexing import ADMINISTRATOR, Noted, instance, packed
from tests.integration.storage.test_reindexing import emptied, work
from tests.integration.storage.test_rejection import OPERATOR, index, named
from tests.support.notes import note
from viewer_api.dicomweb.frames import retrieve_frames

SMALL = 128 * 128 * 2  # bytes of one image
SECONDS = 20.0


@pytest.fixture
def eager(archive: Archive) -> Archive:
    """An archive in which two images are a large series, and a series is quiet at once."""
    settings = replace(archive.settings, rendition_bytes_min=2 * SMALL, rendition_quiet_seconds=0.0)
    return replace(archive, settings=settings)


def indexed(archive: Archive, *numbers: int, **changes: Any) -> None:
    """A pack of a series, its thumbnail made: nothing else waits."""
    index_pack(archive, packed(archive, *(instance(n, **changes) for n in numbers)))
    drawn(archive)


def drawn(archive: Archive) -> None:
    with archive.database.begin() as connection:
        connection.execute(text("UPDATE series SET updated_at = now() - interval '1 minute'"))
    derive_series(archive, 1)


def shown(archive: Archive) -> list[Located]:
    return locate(archive, ADMINISTRATOR, "1.2.1", "1.2.1.1")


def bytes_of(archive: Archive, one: Located, index: int = 0) -> bytes | None:
    place = progressive_frame(archive, one, index)
    if place is None:
        return None
    found = b"".join(read_progressive(archive, one, place, 0, place.length))
    assert zlib.crc32(found) == place.crc32
    assert place.ends[-1] == place.length
    return found


def row(archive: Archive, columns: str = "rendition_bytes, rendition_tries") -> Any:
    with archive.database.begin() as connection:
        return connection.execute(text(f"SELECT {columns} FROM series_packs")).one()


def is_due(archive: Archive) -> bool:
    with archive.database.begin() as connection:
        return connection.execute(text("SELECT rendition_at FROM series")).scalar() is not None


def objects(archive: Archive) -> list[str]:
    return [key for key in archive.objects.keys("series/") if key.endswith(".htj2k")]


def test_a_large_series_gets_one_without_loss(eager: Archive) -> None:
    indexed(eager, 1, 2)
    assert make_progressive(eager, SECONDS) == 1
    assert make_progressive(eager, SECONDS) == 0
    assert not is_due(eager)
    for one in shown(eager):
        frame = bytes_of(eager, one)
        assert frame is not None
        found = decode_frame(describe(instance()), frame, RPCL).array
        assert np.array_equal(found, instance().pixel_array)
    assert len(objects(eager)) == 1
    assert list((eager.settings.data / "renditions").iterdir()) == []


def test_others_go_first_in_the_processor_too(eager: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    indexed(eager, 1, 2)
    monkeypatch.setattr(progression, "_frame", lambda *_: seen.append(os.sched_getscheduler(0)))
    make_progressive(eager, SECONDS)
    assert seen == [os.SCHED_IDLE] * len(shown(eager))
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_what_gets_none(eager: Archive) -> None:
    """A small series until it grows; lossy frames; where none are wanted; a series that still grows."""
    indexed(eager, 1)
    assert make_progressive(eager, SECONDS) == 0
    assert not is_due(eager)
    indexed(eager, 2)
    for changed in ({"rendition_bytes_min": 0}, {"rendition_quiet_seconds": 60.0}):
        unwilling: Any = replace(eager.settings, **changed)
        assert make_progressive(replace(eager, settings=unwilling), SECONDS) == 0
        assert is_due(eager)
    assert make_progressive(eager, SECONDS) == 2, "one for each pack"


def test_one_that_lacks_frames_promises_nothing(eager: Archive) -> None:
    """Beside two images one with a palette, whose halved indexes would be no picture."""
    coloured = instance(3, PhotometricInterpretation="PALETTE COLOR")
    index_pack(eager, packed(eager, instance(1), instance(2), coloured))
    drawn(eager)
    assert make_progressive(eager, SECONDS) == 1
    assert [bool(bytes_of(eager, one)) for one in sorted(shown(eager), key=lambda one: one.entry.number or 0)] == [
        True, True, False,
    ]  # fmt: skip
    assert {one.rendition.resolutions for one in shown(eager) if one.rendition} == {()}


def test_all_else_comes_first(eager: Archive) -> None:
    indexed(eager, 1, 2)
    hints = Noted()
    packed(eager, instance(3))
    sweep(eager, hints)
    assert (make_progressive(eager, SECONDS), hints.renditions) == (0, 0), "a pack waits"
    work(eager)
    sweep(eager, hints)
    assert (make_progressive(eager, SECONDS), hints.renditions) == (0, 0), "a thumbnail waits"
    drawn(eager)
    sweep(eager, hints)
    assert hints.renditions > 0
    assert make_progressive(eager, SECONDS) == 2


def test_it_stops_for_what_nobody_else_is_free_for(eager: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another worker takes at once does not interrupt it."""
    monkeypatch.setattr(progression, "LOOK_SECONDS", 0.0)

    def looks_until_stopped(*urgent: bool) -> int:
        seen = iter([*urgent, False, False, False])
        monkeypatch.setattr(progression, "_is_urgent", lambda _: next(seen))
        stop, looks = progression._stopper(eager, SECONDS), 1
        while looks <= len(urgent) and not stop():
            looks += 1
        return looks

    assert looks_until_stopped(True) == 1
    assert looks_until_stopped(False, True, False, True, False) == 6
    assert looks_until_stopped(False, True, True, False) == 3
    assert progression._stopper(eager, -1.0)()
    monkeypatch.setattr(progression, "_is_urgent", lambda _: True)
    stop = progression._stopper(eager, SECONDS)
    assert stop()
    monkeypatch.setattr(progression, "LOOK_SECONDS", 60.0)
    assert stop(), "once it is said it stays"
    monkeypatch.setattr(progression, "LOOK_SECONDS", 0.0)
    full = replace(eager, settings=replace(eager.settings, disk_free_bytes_min=1 << 60))
    monkeypatch.setattr(progression, "_is_urgent", lambda _: False)
    assert progression._stopper(full, SECONDS)(), "the disk is low"


def test_it_goes_on_where_it_stopped(eager: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after a kill, of which a torn frame is left."""
    indexed(eager, 1, 2, 3, 4)
    encoded: list[str] = []
    true: Callable[..., Any] = progression._frame

    def noted(archive: Archive, located: Located, *rest: Any) -> Any:
        encoded.append(located.entry.sop_instance)
        return true(archive, located, *rest)

    monkeypatch.setattr(progression, "_frame", noted)
    looks = iter([False] * 3 + [True] * 9)
    monkeypatch.setattr(progression, "_stopper", lambda *_: lambda: next(looks))
    assert make_progressive(eager, SECONDS) == 0
    assert len(encoded) == 2
    assert is_due(eager)
    assert row(eager) == (None, 0)
    assert all(bytes_of(eager, one) is None for one in shown(eager))
    (begun,) = (eager.settings.data / "renditions").glob("*.htj2k")
    with begun.open("ab") as file:
        file.write(b"half a frame")
    monkeypatch.undo()
    monkeypatch.setattr(progression, "_frame", noted)
    assert make_progressive(eager, SECONDS) == 1
    assert sorted(encoded) == sorted(one.entry.sop_instance for one in shown(eager)), "each once"
    assert all(bytes_of(eager, one) for one in shown(eager))


def test_a_frame_that_kills_the_encoder_is_given_up(eager: Archive) -> None:
    indexed(eager, 1, 2)
    for _ in range(3):
        assert is_due(eager)
        with pytest.raises(ProcessDied, match="SIGKILL"):
            in_a_fork(60, encode_and_die, eager.settings)
    assert row(eager) == (None, 3)
    assert make_progressive(eager, SECONDS) == 0
    assert not is_due(eager)
    assert all(one.rendition is None for one in shown(eager))


def encode_and_die(settings: Settings) -> None:
    progression._frame = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    make_progressive(Archive.open(settings), SECONDS)


def test_a_store_that_is_away_costs_no_try(eager: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    indexed(eager, 1, 2)
    with monkeypatch.context() as away:
        away.setattr(progression, "read_frame", lambda *_: (_ for _ in ()).throw(OSError(5, "away")))
        with pytest.raises(OSError, match="away"):
            make_progressive(eager, SECONDS)
    assert row(eager) == (None, 0)
    assert make_progressive(eager, SECONDS) == 1


def test_a_new_edition_has_a_new_one(eager: Archive) -> None:
    indexed(eager, 1, 2)
    make_progressive(eager, SECONDS)
    (old,) = objects(eager)
    mark(eager, ADMINISTRATOR, Scope())
    work(eager)
    assert all(one.rendition is None for one in shown(eager)), "it is not that of the old edition"
    assert eager.objects.size(old), "somebody may be reading it"
    with eager.database.begin() as connection:
        connection.execute(text("UPDATE series SET derived_count = instance_count"))
    assert make_progressive(eager, SECONDS) == 1
    assert len(objects(eager)) == 2
    with eager.database.begin() as connection:
        connection.execute(text("UPDATE superseded SET since = now() - interval '1 hour'"))
    remove_superseded(eager)
    (new,) = objects(eager)
    assert new.endswith(".1.htj2k")
    assert all(bytes_of(eager, one) for one in shown(eager))


def test_indexed_anew_while_it_is_made(eager: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is made of the old edition is thrown away, and the series stays due."""
    indexed(eager, 1, 2)
    true: Callable[..., Any] = progression._store

    def late(*arguments: Any) -> None:
        mark(eager, ADMINISTRATOR, Scope())
        work(eager)
        true(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(progression, "_store", late)
        patched.setattr(progression, "_stopper", lambda *_: iter([False] * 3 + [True] * 9).__next__)
        make_progressive(eager, SECONDS)
    assert objects(eager) == []
    assert is_due(eager)


def test_an_index_from_the_store_alone_has_new_ones(eager: Archive) -> None:
    """Under the numbers of its own series: those of the lost index are strays."""
    indexed(eager, 1, 2)
    make_progressive(eager, SECONDS)
    (old,) = objects(eager)
    emptied(eager)
    add_from_store(eager)
    work(eager)
    with eager.database.begin() as connection:
        connection.execute(text("UPDATE series SET derived_count = instance_count"))
    assert make_progressive(eager, SECONDS) == 1
    assert all(bytes_of(eager, one) for one in shown(eager))
    remove_strays(eager)
    (new,) = objects(eager)
    assert new != old
    with eager.database.begin() as connection:
        connection.execute(text("UPDATE series SET derived_count = 0"))


def test_check_knows_it(eager: Archive) -> None:
    indexed(eager, 1, 2)
    make_progressive(eager, SECONDS)
    assert check(eager).findings == []
    (key,) = objects(eager)
    good = eager.objects.get(key)
    for bad, finding in (
        (good[:-1], "recorded are"), (b"\0" * 8 + good[8:], "a frame has other bytes"),
        (good[:-30] + bytes(14) + good[-16:], "its index has other bytes"), (good[:-16] + bytes(16), "no footer"),
    ):  # fmt: skip
        eager.objects.put(key, bad)
        (found,) = check(eager).findings
        assert finding in found
    assert check(eager, read_bytes=False).findings != []
    eager.objects.delete(key)
    (found,) = check(eager).findings
    assert "not in the object store" in found
    assert all(
        progressive_frame(replace(eager, shelf=type(eager.shelf)(1 << 20)), one, 0) is None
        for one in shown(eager)
    )
    eager.objects.put(key, good)
    assert list(verify(eager.objects, key, len(good), read_bytes=True)) == []


class Counting(LocalStore):
    """Where and how much was read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads: list[tuple[str, int]] = []

    def get(self, key: str) -> bytes:
        found = super().get(key)
        self.reads.append((key, len(found)))
        return found

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        self.reads.append((key, length))
        return super().read_range(key, offset, length)


def test_n_bytes_of_a_frame_cost_a_read_of_n_bytes(eager: Archive) -> None:
    """From the first request for the series on, which reads where its frames are; the pack is never read."""
    indexed(eager, 1, 2)
    make_progressive(eager, SECONDS)
    (key,) = objects(eager)
    store = Counting(eager.settings.data / "objects")
    reader = replace(eager, objects=store)
    first = frame_answer(reader, shown(eager)[0], b"bytes=0-99")
    assert (first.status_code, len(first.body)) == (206, 100)
    assert {name for name, _ in store.reads} == {key}
    assert [count for _, count in store.reads][1:] == [100], "the index before it, once"
    store.reads.clear()
    second = frame_answer(reader, shown(eager)[1], b"bytes=100-299")
    assert store.reads == [(key, 200)]
    assert second.body == (bytes_of(eager, shown(eager)[1]) or b"")[100:300]
    store.reads.clear()
    assert frame_answer(reader, shown(eager)[1], b"bytes=9-8").status_code == 200
    assert store.reads == [(key, len(bytes_of(eager, shown(eager)[1]) or b""))]


def frame_answer(archive: Archive, one: Located, asked: bytes) -> Response:
    headers = [(b"accept", f"image/jphc; transfer-syntax={RPCL}".encode()), (b"range", asked)]
    request = Request({"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers})
    uids = (one.study_uid, one.series_uid, one.entry.sop_instance)
    return retrieve_frames(request, ADMINISTRATOR, archive, *uids, "1")


def test_a_work_file_is_of_its_own(eager: Archive) -> None:
    with WorkFile(eager.settings, "series/1/x.htj2k") as work_file:
        work_file.add("1.2", (b"abc", (1, 3)))
        work_file.add("1.2", None)
    with WorkFile(eager.settings, "series/1/x.htj2k") as again:
        assert (again.frames_of("1.2"), again.frames_of("1.3"), again.count) == (2, 0, 1)
        assert again.lines == [("1.2", [(zlib.crc32(b"abc"), (1, 3)), None])]
    with WorkFile(eager.settings, "series/1/y.htj2k") as other:
        assert other.lines == []
        with pytest.raises(ObjectMissing):
            eager.objects.get("series/1/y.htj2k")


def test_what_is_rejected_is_in_none(eager: Archive) -> None:
    """Neither when it is hidden, nor when its bytes are erased and the others lie elsewhere."""
    indexed(eager, 1, 2, 3)
    assert make_progressive(eager, SECONDS) == 1
    (first,) = objects(eager)
    index(eager, note(named(2)))
    swept(eager)
    assert first not in objects(eager)
    drawn(eager)
    assert make_progressive(eager, SECONDS) == 1
    assert [one.entry.number for one in shown(eager) if bytes_of(eager, one)] == [1, 3]
    (second,) = objects(eager)
    assert b"1.2.1.1.2" not in eager.objects.get(second)
    erase(eager, OPERATOR, newest(eager))
    assert erase_due(eager) == 1
    assert [bytes_of(eager, one) for one in shown(eager)] == [None, None]
    swept(eager)
    assert objects(eager) == []
    drawn(eager)
    assert make_progressive(eager, SECONDS) == 1
    assert [one.entry.number for one in shown(eager) if bytes_of(eager, one)] == [1, 3]
    assert check(eager).findings == []
