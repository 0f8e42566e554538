"""Writing ahead: an instance goes to its segment while it arrives, and whatever happens meanwhile, exactly what was
committed is there."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from pacs.errors import OutOfResources
from pacs.settings import Settings
from storage import records, segments
from storage.reception import AHEAD_BYTES, Reception
from storage.records import Origin
from storage.segments import FileReader
from storage.spool import Spool, recover

ORIGIN = Origin("LOCAL", "CT1", "TONGYING", "127.0.0.1")
CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
LANE = ("LOCAL", False)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path, disk_free_bytes_min=0, object_memory_bytes_max=8 * AHEAD_BYTES)


class Sealed:
    """A spool that is not started: nothing is sealed but by the test."""

    def __init__(self, settings: Settings) -> None:
        self.paths: list[Path] = []
        self.spool = Spool(settings.spool / "node", settings, self.paths.append)

    def read(self) -> dict[str, bytes]:
        """All that was sealed, each segment a row of whole records and nothing else."""
        self.spool.close()
        found: dict[str, bytes] = {}
        for path in self.paths:
            with FileReader(path) as reader:
                end = 0
                for r, _ in records.scan(reader, reader.size, facility="LOCAL"):
                    assert r.offset == end, "bytes between records"
                    end, start = r.end, r.body_offset + r.header.dataset_offset
                    found[r.header.sop_instance] = reader.read_at(start, r.end - start)
                assert end == reader.size, "bytes behind the last record"
        return found


def begin(reception: Reception, uid: str) -> None:
    reception.begin(ORIGIN, CT, uid, EXPLICIT)


def put(reception: Reception, data: bytes) -> None:
    reception.room(len(data))[:] = data
    reception.took(len(data))


def size(sealed: Sealed) -> int:
    (path,) = sealed.spool.root.glob("*/*.seg")
    return path.stat().st_size


def test_it_is_written_while_it_arrives(settings: Settings) -> None:
    sealed = Sealed(settings)
    body = random.Random(1).randbytes(3 * AHEAD_BYTES + 5)
    one = Reception(sealed.spool)
    begin(one, "1.2.3")
    put(one, body[:AHEAD_BYTES])
    assert size(sealed) > AHEAD_BYTES
    put(one, body[AHEAD_BYTES:])
    before = size(sealed)
    one.commit()
    assert size(sealed) == before, "only the frame was left to write"
    assert sealed.read() == {"1.2.3": body}


def test_who_appends_takes_the_place(settings: Settings) -> None:
    sealed = Sealed(settings)
    one, other = Reception(sealed.spool), Reception(sealed.spool)
    long, short = b"a" * 3 * AHEAD_BYTES, b"b" * 100
    begin(one, "1.2.1")
    put(one, long[: 2 * AHEAD_BYTES])
    begin(other, "1.2.2")
    put(other, short)
    other.commit()
    put(one, long[2 * AHEAD_BYTES :])
    one.commit()
    assert sealed.read() == {"1.2.1": long, "1.2.2": short}


def test_what_was_given_up_is_not_sealed(settings: Settings) -> None:
    sealed = Sealed(settings)
    one = Reception(sealed.spool)
    begin(one, "1.2.1")
    put(one, b"a" * 50)
    one.commit()
    begin(one, "1.2.2")
    put(one, b"b" * 3 * AHEAD_BYTES)
    one.close()
    assert sealed.read() == {"1.2.1": b"a" * 50}


def test_its_segment_is_sealed_meanwhile(settings: Settings) -> None:
    sealed = Sealed(settings)
    one = Reception(sealed.spool)
    begin(one, "1.2.1")
    put(one, b"a" * 50)
    one.commit()
    begin(one, "1.2.2")
    put(one, b"b" * 2 * AHEAD_BYTES)
    sealed.spool._seal(LANE)
    put(one, b"c" * 2 * AHEAD_BYTES)
    one.commit()
    assert sealed.read() == {"1.2.1": b"a" * 50, "1.2.2": b"b" * 2 * AHEAD_BYTES + b"c" * 2 * AHEAD_BYTES}
    assert len(sealed.paths) == 2


def test_it_grows_large(settings: Settings) -> None:
    sealed = Sealed(settings)
    body = random.Random(2).randbytes(20 * AHEAD_BYTES)
    one = Reception(sealed.spool)
    begin(one, "1.2.1")
    for start in range(0, len(body), AHEAD_BYTES):
        put(one, body[start : start + AHEAD_BYTES])
    one.commit()
    begin(one, "1.2.2")
    put(one, b"b" * AHEAD_BYTES)
    one.commit()
    assert sealed.read() == {"1.2.1": body, "1.2.2": b"b" * AHEAD_BYTES}


def test_a_disk_that_refuses_is_told_at_the_end_and_costs_no_other(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = Sealed(settings)
    one = Reception(sealed.spool)
    begin(one, "1.2.1")
    put(one, b"a" * 50)
    one.commit()
    with monkeypatch.context() as broken:
        broken.setattr(segments, "write_all", _refuse)
        begin(one, "1.2.2")
        put(one, b"b" * 2 * AHEAD_BYTES)
        with pytest.raises(OutOfResources):
            one.commit()
    begin(one, "1.2.3")
    put(one, b"c" * 2 * AHEAD_BYTES)
    one.commit()
    assert sealed.read() == {"1.2.1": b"a" * 50, "1.2.3": b"c" * 2 * AHEAD_BYTES}


def _refuse(*_: object) -> int:
    raise OSError(28, os.strerror(28))


@pytest.mark.parametrize("pieces", [1, 3])
def test_a_crash_leaves_a_torn_tail(settings: Settings, pieces: int) -> None:
    sealed = Sealed(settings)
    one = Reception(sealed.spool)
    begin(one, "1.2.1")
    put(one, b"a" * 50)
    one.commit()
    begin(one, "1.2.2")
    for _ in range(pieces):
        put(one, b"b" * AHEAD_BYTES)
    (path,) = recover(settings.spool / "node")  # as the next process would, with nothing closed
    with FileReader(path) as reader:
        ((only, _),) = records.scan(reader, reader.size, facility="LOCAL")
        assert (only.header.sop_instance, only.end) == ("1.2.1", reader.size)


@pytest.mark.parametrize("seed", range(40))
def test_any_order_of_events(settings: Settings, seed: int) -> None:
    """Several associations by turns, a piece at a time: commits, drops and seals in between."""
    chance = random.Random(seed)
    sealed = Sealed(settings)
    receptions = [Reception(sealed.spool) for _ in range(chance.choice([1, 2, 3]))]
    under_way: dict[Reception, tuple[str, bytearray]] = {}
    committed: dict[str, bytes] = {}
    for number in range(120):
        one = chance.choice(receptions)
        if one not in under_way:
            begin(one, f"1.2.{number}")
            under_way[one] = f"1.2.{number}", bytearray()
            continue
        uid, body = under_way[one]
        event = chance.random()
        if event < 0.6:
            piece = chance.randbytes(chance.choice([1, 1000, AHEAD_BYTES, 3 * AHEAD_BYTES]))
            put(one, piece)
            body += piece
        elif event < 0.9:
            one.commit()
            committed[uid] = bytes(body)
            del under_way[one]
        elif event < 0.95:
            one.discard()
            del under_way[one]
        else:
            sealed.spool._seal(LANE)
    assert sealed.read() == committed
