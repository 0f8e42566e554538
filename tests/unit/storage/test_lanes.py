"""Whose turn it is: facilities one after the other, emergencies before them, and nobody for ever."""

from __future__ import annotations

import threading
import time
import uuid
from pathlib import Path

from storage.lanes import ORDINARY_TURN, SegmentQueue, Turns
from storage.packnames import is_urgent, new_pack_id, pack_of, segment_name

Lane = tuple[str, bool]


def served(waiting: list[Lane], number: int) -> list[Lane]:
    """Who is served, one after the other, while more of each comes all the time."""
    turns, order = Turns(), []
    for _ in range(number):
        chosen = turns.order(waiting, lambda lane: lane)[0]
        turns.served(chosen[0])
        order.append(chosen)
    return order


def test_facilities_take_turns() -> None:
    order = served([("A", False), ("B", False), ("C", False)], 30)
    assert all(order[n : n + 3].count(("A", False)) == 1 for n in range(0, 30, 3))


def test_an_emergency_goes_before_but_not_for_ever() -> None:
    order = served([("A", False), ("B", True)], 40)
    assert order[0] == ("B", True)
    assert order.count(("A", False)) == 40 // ORDINARY_TURN


def test_emergencies_take_turns_too() -> None:
    order = served([("A", True), ("B", True), ("C", False)], 80)
    assert abs(order.count(("A", True)) - order.count(("B", True))) <= 2


def segment(facility: str, *, urgent: bool = False) -> Path:
    return Path("spool/node-0") / facility / segment_name(new_pack_id(), urgent=urgent)


def test_a_name_tells_pack_and_lane() -> None:
    pack = new_pack_id()
    for urgent in (True, False):
        path = Path("A") / segment_name(pack, urgent=urgent)
        assert (pack_of(path), is_urgent(path), path.suffix) == (pack, urgent, ".seg")
        assert is_urgent(path.with_suffix(".part").with_suffix(".seg")) == urgent
    assert isinstance(pack_of(segment("A")), uuid.UUID)


def test_a_backlog_holds_up_nobody() -> None:
    waiting = SegmentQueue()
    backlog = [segment("BACKFILL") for _ in range(1000)]
    for one in backlog:
        waiting.put(one)
    other, stroke = segment("OTHER"), segment("BACKFILL", urgent=True)
    waiting.put(other)
    waiting.put(stroke)
    first = [waiting.get(0) for _ in range(3)]
    assert first[0] == stroke
    assert other in first
    rest = [waiting.get(0) for _ in range(999)]
    assert [one for one in [*first, *rest] if one in backlog] == backlog, "of one facility in their order"
    assert waiting.get(0) is None


def test_the_urgent_line_takes_nothing_else() -> None:
    waiting = SegmentQueue()
    waiting.put(segment("A"))
    assert waiting.get(0, urgent_only=True) is None
    stroke = segment("A", urgent=True)
    got: list[Path | None] = []
    thread = threading.Thread(target=lambda: got.append(waiting.get(10, urgent_only=True)))
    thread.start()
    waiting.put(stroke)
    thread.join(10)
    assert got == [stroke]


def test_who_waits_is_told_of_the_end() -> None:
    waiting = SegmentQueue()
    last = segment("A")
    waiting.put(last)
    waiting.close()
    began = time.monotonic()
    assert waiting.get(10) == last
    assert waiting.get(10) is None
    assert time.monotonic() - began < 1
