"""The shelf: made once, bounded in bytes, the least used goes first."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path

from storage import contents
from storage.blobs.local import LocalStore
from storage.contents import Entry, Frames
from storage.packnames import contents_key, metadata_key
from storage.shelf import Shelf

PACK = uuid.UUID(int=7)
ENTRY = Entry(
    "1.2.3", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1", PACK, 10, 20, 5, "00", number=1,
    frames=Frames(False, (((8, 4),),)),
)  # fmt: skip


def test_what_lies_on_it_is_not_made_again() -> None:
    shelf, made = Shelf(10_000), []
    for _ in range(3):
        assert shelf.take("key", lambda: made.append(1) or "thing", len) == "thing"  # type: ignore[func-returns-value]
    assert made == [1]


def test_the_least_used_goes_first() -> None:
    shelf, made = Shelf(100), []

    def take(key: str) -> None:
        def make() -> str:
            made.append(key)
            return key

        shelf.take(key, make, lambda _: 25)

    for key in "abcd":
        take(key)
    take("a")  # used again: now b is the least used
    take("e")
    take("a")
    take("b")
    assert made == list("abcdeb")


def test_what_would_crowd_out_all_else_is_not_kept() -> None:
    shelf, made = Shelf(100), []
    for _ in range(2):
        shelf.take("big", lambda: made.append(1), lambda _: 26)
    assert made == [1, 1]


def test_conflicting_instances_are_not_shown_and_lines_are_in_the_entries_order(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    conflicting = replace(ENTRY, offset=40, conflict=True)
    other = replace(ENTRY, sop_instance="1.2.4", offset=80)
    store.put(contents_key(1, PACK, 0), contents.encode([ENTRY, conflicting, other]))
    lines = [{"00080018": {"vr": "UI", "Value": [uid]}} for uid in ("1.2.3", "1.2.4")]
    store.put(metadata_key(1, PACK, 0), contents.encode_metadata(lines))
    shelf = Shelf(10_000)
    shown = shelf.shown(store, 1, PACK, 0)
    assert shown.entries == (ENTRY, other)
    assert shown.places == {"1.2.3": 0, "1.2.4": 1}
    assert [b"1.2.3" in line for line in shelf.lines(store, 1, PACK, 0)] == [True, False]
