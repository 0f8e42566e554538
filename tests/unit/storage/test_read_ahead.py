"""Reading ahead: the next read runs while the bytes of the last one are used, and no further one does."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import pytest

from pacs.errors import ObjectMissing
from storage.blobs.ahead import read_spans
from storage.blobs.local import LocalStore

DATA = bytes(range(250)) * 40
SPANS = [("packs/one", start, 1000) for start in range(0, len(DATA), 1000)]


class Distant(LocalStore):
    """A store that waits, and remembers who asked."""

    waits = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked: list[tuple[int, bool]] = []  # where from, and whether by a thread of its own
        self.came = threading.Condition()

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        with self.came:
            self.asked.append((offset, threading.current_thread() is not threading.main_thread()))
            self.came.notify_all()
        return super().read_range(key, offset, length)


@pytest.fixture
def store(tmp_path: Path) -> Distant:
    made = Distant(tmp_path)
    made.put("packs/one", DATA)
    return made


def test_one_read_is_ahead_and_no_more(store: Distant) -> None:
    found = []
    for number, data in enumerate(read_spans(store, SPANS)):
        found.append(data)
        wanted = min(number + 2, len(SPANS))
        with store.came:
            assert store.came.wait_for(lambda: len(store.asked) == wanted, 5)  # noqa: B023  asked within the loop
            assert not store.came.wait_for(lambda: len(store.asked) > wanted, 0.02)  # noqa: B023
    assert b"".join(found) == DATA
    assert [ahead for _, ahead in store.asked] == [False] + [True] * (len(SPANS) - 1)


def test_a_single_read_takes_no_thread(store: Distant) -> None:
    assert list(read_spans(store, SPANS[:1])) == [DATA[:1000]]
    assert list(read_spans(store, [])) == []
    assert store.asked == [(0, False)]


def test_who_leaves_leaves_nothing_running(store: Distant) -> None:
    with contextlib.closing(read_spans(store, SPANS)) as reads:
        next(reads)
    assert len(store.asked) <= 2


def test_errors_come_in_their_turn(store: Distant) -> None:
    reads = read_spans(store, [SPANS[0], ("packs/none", 0, 1), SPANS[1]])
    assert next(reads) == DATA[:1000]
    with pytest.raises(ObjectMissing):
        next(reads)


def test_files_are_read_as_they_are_asked_for(store: Distant) -> None:
    store.waits = False
    reads = read_spans(store, SPANS)
    next(reads)
    assert store.asked == [(0, False)]
    assert b"".join(reads) == DATA[1000:]
