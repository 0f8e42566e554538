"""The spool: records whole, syncs shared, crashes survived, nothing believed that is damaged."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pacs.errors import OutOfResources
from pacs.settings import Settings
from storage import records, segments
from storage.reception import Reception
from storage.records import Origin
from storage.segments import FileReader
from storage.spool import Spool, recover

ORIGIN = Origin("LOCAL", "CT1", "TONGYING", "127.0.0.1")
CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path, object_memory_bytes_max=64 * 1024, disk_free_bytes_min=0)


def store(reception: Reception, uid: str, body: bytes, origin: Origin = ORIGIN) -> None:
    reception.begin(origin, CT, uid, EXPLICIT)
    for start in range(0, len(body), 10_000):
        piece = body[start : start + 10_000]
        reception.room(len(piece))[:] = piece
        reception.took(len(piece))
    reception.commit()


def read_all(path: Path, facility: str = "LOCAL") -> dict[str, bytes]:
    with FileReader(path) as reader:
        return {
            r.header.sop_instance: reader.read_at(
                r.body_offset + r.header.dataset_offset, r.body_length - r.header.dataset_offset
            )
            for r, _ in records.scan(reader, reader.size, facility=facility)
        }


def test_what_was_committed_is_there(settings: Settings) -> None:
    sealed: list[Path] = []
    spool = Spool(settings.spool / "node", settings, sealed.append)
    bodies = {f"1.2.{n}": random.Random(n).randbytes(n * 7_000) for n in range(1, 8)}
    reception = Reception(spool)
    for uid, body in bodies.items():
        store(reception, uid, body)
    spool.close()
    assert {u: b for path in sealed for u, b in read_all(path).items()} == bodies


def test_a_large_object_has_a_segment_of_its_own(settings: Settings) -> None:
    sealed: list[Path] = []
    spool = Spool(settings.spool / "node", settings, sealed.append)
    body = random.Random(1).randbytes(1_000_000)
    store(Reception(spool), "1.2.9", body)
    (path,) = sealed
    assert read_all(path) == {"1.2.9": body}
    spool.close()


def test_many_threads_share_syncs(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs: list[int] = []
    real: Callable[[int], None] = segments.os.fdatasync  # type: ignore[attr-defined]
    slow = threading.Event()

    def counted(file: int) -> None:
        syncs.append(file)
        slow.wait(0.005)
        real(file)

    monkeypatch.setattr(segments.os, "fdatasync", counted)  # type: ignore[attr-defined]
    sealed: list[Path] = []
    spool = Spool(settings.spool / "node", settings, sealed.append)

    def sender(number: int) -> None:
        reception = Reception(spool)
        for each in range(20):
            store(reception, f"1.{number + 1}.{each}", b"x" * 2000)

    threads = [threading.Thread(target=sender, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spool.close()
    assert sum(len(read_all(p)) for p in sealed) == 160
    assert len(syncs) < 120, "group commit: fewer syncs than instances"


@pytest.mark.parametrize("cut", [1, 20, 100, 5_000])
def test_a_torn_tail_is_cut_off(settings: Settings, cut: int) -> None:
    path = crashed(settings, 3)
    whole = read_all(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - cut)
    (recovered,) = recover(settings.spool / "node")
    assert recovered == path
    kept = read_all(path)
    assert kept == {u: whole[u] for u in list(whole)[:2]}
    with FileReader(path) as reader:
        ends = [r.end for r, _ in records.scan(reader, reader.size, facility="LOCAL")]
        assert ends[-1] == reader.size


def test_damage_costs_one_record_alone(settings: Settings) -> None:
    path = crashed(settings, 3)
    data = bytearray(path.read_bytes())
    middle = data.index(b"TYR1", 100) + 2_000
    data[middle] ^= 0xFF
    path.write_bytes(data)
    assert sorted(read_all(path)) == ["1.2.0", "1.2.2"]


def test_a_record_inside_an_instance_is_not_believed(settings: Settings) -> None:
    """An instance may hold the bytes of a record of another facility; damage before it must not bring it to light."""
    forged_header = records.RecordHeader(replace(ORIGIN, facility="OTHER"), 1, CT, "6.6.6", EXPLICIT, 0)
    forged = records.frame(forged_header, 4, 0x9BE3E0A3) + b"1234"
    sealed: list[Path] = []
    spool = Spool(settings.spool / "node", settings, sealed.append)
    store(Reception(spool), "1.2.3", b"y" * 500 + forged + b"z" * 500)
    spool.close()
    data = bytearray(sealed[0].read_bytes())
    data[0] ^= 0xFF
    sealed[0].write_bytes(data)
    assert "6.6.6" not in read_all(sealed[0])


def test_an_unfinished_large_object_is_forgotten(settings: Settings) -> None:
    sealed: list[Path] = []
    spool = Spool(settings.spool / "node", settings, sealed.append)
    reception = Reception(spool)
    reception.begin(ORIGIN, CT, "1.2.3", EXPLICIT)
    for _ in range(20):
        reception.room(10_000)[:] = b"x" * 10_000
        reception.took(10_000)
    assert list((settings.spool / "node").glob("*/*.part"))
    assert recover(settings.spool / "node") == []
    assert not list((settings.spool / "node").glob("*/*.part"))


def test_a_failed_sync_acknowledges_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed: list[Path] = []
    spool = Spool(settings.spool / "node", settings, sealed.append)
    reception = Reception(spool)
    store(reception, "1.2.1", b"a" * 100)

    def failing(_file: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(segments.os, "fdatasync", failing)  # type: ignore[attr-defined]
        with pytest.raises(OutOfResources):
            store(reception, "1.2.2", b"b" * 100)
    store(reception, "1.2.3", b"c" * 100)
    spool.close()
    kept = {u for path in sealed for u in read_all(path)}
    assert {"1.2.1", "1.2.3"} <= kept


def test_low_disk_is_refused_early(settings: Settings) -> None:
    spool = Spool(settings.spool / "node", replace(settings, disk_free_bytes_min=2**60), lambda _p: None)
    with pytest.raises(OutOfResources, match="disk low"):
        Reception(spool).begin(ORIGIN, CT, "1.2.3", EXPLICIT)


def test_a_spool_has_one_owner(settings: Settings) -> None:
    spool = Spool(settings.spool / "node", settings, lambda _p: None)
    with pytest.raises(BlockingIOError):
        Spool(settings.spool / "node", settings, lambda _p: None)
    spool.close()


def crashed(settings: Settings, count: int) -> Path:
    """A segment as a killed node leaves it."""
    spool = Spool(settings.spool / "node", settings, lambda _p: None)
    reception = Reception(spool)
    for number in range(count):
        store(reception, f"1.2.{number}", bytes([number]) * 6_000)
    (path,) = (settings.spool / "node").glob("*/*.seg")
    spool.close()
    return path
