"""The object of an HTJ2K rendition: frames, an index behind them, and what is told of damage."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import pytest

from storage.blobs.local import LocalStore
from storage.progressive import (
    TAIL_BYTES,
    Damaged,
    Lines,
    encode_index,
    first_picture_bytes,
    read_index,
    resolutions,
    verify,
)

KEY = "series/1/x.htj2k"


class Counting(LocalStore):
    """How many reads, and how many bytes."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads: list[int] = []

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        self.reads.append(length)
        return super().read_range(key, offset, length)


def written(store: LocalStore, instances: int, frames: int) -> tuple[Lines, list[bytes], int]:
    """An object with frames of random bytes; every fifth frame is not in it."""
    chance = random.Random(instances)
    lines: Lines = []
    data = []
    for number in range(instances):
        lines.append((f"1.2.{chance.randrange(10**30)}.{number}", []))
        for frame in range(frames):
            if frame % 5 == 4:
                lines[-1][1].append(None)
                continue
            data.append(chance.randbytes(chance.randrange(20, 60)))
            lines[-1][1].append((zlib.crc32(data[-1]), (3, 9, len(data[-1]))))
    whole = b"".join(data) + encode_index(lines)
    store.put(KEY, whole)
    return lines, data, len(whole)


@pytest.mark.parametrize(("instances", "frames"), [(1, 1), (300, 1), (2, 4000), (3000, 3)])
def test_each_frame_is_where_the_index_says(tmp_path: Path, instances: int, frames: int) -> None:
    store = Counting(tmp_path)
    lines, data, size = written(store, instances, frames)
    index = read_index(store, KEY, size)
    assert len(store.reads) <= 2
    if size < TAIL_BYTES:
        assert len(store.reads) == 1
    expected = iter(data)
    for uid, of_instance in lines:
        assert len(index[uid]) == len(of_instance)
        for place, line in zip(index[uid], of_instance, strict=True):
            assert (place is None) is (line is None)
            if place:
                assert store.read_range(KEY, place.offset, place.length) == next(expected)
                assert place.ends[-1] == place.length
    assert list(verify(store, KEY, size, read_bytes=True)) == []


def test_any_damage_is_told(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    _, data, size = written(store, 4, 3)
    whole = store.get(KEY)
    for place in range(0, size):
        store.put(KEY, whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
        assert list(verify(store, KEY, size, read_bytes=True)), f"byte {place}"
        if place >= sum(map(len, data)):
            with pytest.raises(Damaged):
                read_index(store, KEY, size)
    store.put(KEY, whole[:9])
    with pytest.raises(Damaged):
        read_index(store, KEY, 9)


def test_resolutions_are_those_of_the_frame_that_needs_most() -> None:
    lines: Lines = [("1", [(0, (10, 40, 160)), None]), ("2", [(0, (5, 12, 50, 120))])]
    assert resolutions(lines) == (160, 50, 12, 5)
    assert resolutions([("1", [None])]) == ()


@pytest.mark.parametrize(
    ("side", "expected"), [(512, 4), (511, 3), (64, 1), (63, 1), (1, 1), (9000, 6), (128, 2)]
)
def test_the_first_picture(side: int, expected: int) -> None:
    """Of 512 pixels at full size, an eighth; and never less than there is."""
    assert first_picture_bytes((1, 2, 3, 4, 5, 6), side, 64) == expected
