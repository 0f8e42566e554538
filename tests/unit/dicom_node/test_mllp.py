"""MLLP frames however the bytes come: joined, split, broken, endless."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.mllp import Frames, framed
from pacs.errors import TooLarge

bodies = st.binary(max_size=20).map(lambda b: bytes(x for x in b if x not in (0x0B, 0x1C)))


@given(st.lists(bodies, max_size=5), st.data())
def test_split_anywhere(messages: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(framed(m) for m in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    frames = Frames()
    found = [
        m for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True) for m in frames.feed(stream[a:b])
    ]
    assert found == messages
    assert not frames.inside


def test_between_and_within() -> None:
    frames = Frames()
    assert frames.feed(b"junk\r\n" + framed(b"one") + b"\r\n" + framed(b"two")) == [b"one", b"two"]
    assert frames.feed(b"\x0bbroken off") == []
    assert frames.inside
    assert frames.feed(framed(b"begun anew")) == [b"begun anew"]
    assert frames.feed(b"\x0bno return\x1c\x0bnext\x1c\r") == [b"no return", b"next"]


def test_bounds() -> None:
    assert Frames(10).feed(framed(b"x" * 10)) == [b"x" * 10]
    with pytest.raises(TooLarge):
        Frames(10).feed(b"\x0b" + b"x" * 11)
    frames = Frames(10)
    frames.feed(b"\x0b" + b"x" * 10)
    with pytest.raises(TooLarge):
        frames.feed(b"x")
    with pytest.raises(TooLarge):
        Frames(10).feed(b"x" * 11)
    lasting = Frames(10)
    for _ in range(100):
        assert lasting.feed(b"xx" + framed(b"m")) == [b"m"]
