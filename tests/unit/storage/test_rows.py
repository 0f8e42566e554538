"""Which spans are asked for together."""

from __future__ import annotations

from storage.blobs.rows import GAP_BYTES_MAX, rows

NEAR = [("a", 0, 10), ("a", 10, 5), ("a", 20, 1), ("a", 21 + GAP_BYTES_MAX, 7)]
FAR = ("a", 29 + 2 * GAP_BYTES_MAX, 3)


def test_each_behind_the_last_and_close_to_it() -> None:
    assert list(rows(NEAR)) == [NEAR]
    assert list(rows([*NEAR, FAR])) == [NEAR, [FAR]]
    assert list(rows([])) == []


def test_another_object_or_a_step_back_begins_anew() -> None:
    assert list(rows([("a", 0, 10), ("b", 10, 1)])) == [[("a", 0, 10)], [("b", 10, 1)]]
    assert list(rows([("a", 5, 10), ("a", 0, 5)])) == [[("a", 5, 10)], [("a", 0, 5)]]
    assert list(rows([("a", 5, 10), ("a", 14, 5)])) == [[("a", 5, 10)], [("a", 14, 5)]]
