"""Multipart answers: their length is said beforehand and true, and small pieces travel together."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest
from fastapi.responses import Response

from viewer_api.dicomweb.multipart import AT_ONCE_BYTES, SMALL_BYTES, Multipart, Part, parts_answer

OCTETS = "application/octet-stream"


def chunks_of(answer: Response) -> list[bytes]:
    """The bodies that are sent."""
    sent: list[bytes] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        if message.get("body"):
            sent.append(bytes(message["body"]))

    async def receive() -> MutableMapping[str, Any]:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    scope = {"type": "http", "asgi": {"spec_version": "2.4"}}
    asyncio.run(answer(scope, receive, send))
    return sent


@pytest.mark.parametrize("sizes", [[10], [10, 20], [AT_ONCE_BYTES, 1], [1, 3 * AT_ONCE_BYTES, 5]])
def test_the_length_is_true_and_the_parts_are_whole(sizes: list[int]) -> None:
    given = [Part.of(OCTETS, bytes([number]) * size) for number, size in enumerate(sizes)]
    answer = parts_answer(OCTETS, given)
    body = b"".join(chunks_of(answer))
    assert len(body) == int(answer.headers["content-length"])
    boundary = answer.headers["content-type"].split("boundary=")[1].encode()
    parts = body.split(b"--" + boundary)
    assert parts[-1] == b"--\r\n"
    bodies = [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in parts[1:-1]]
    assert bodies == [bytes([number]) * size for number, size in enumerate(sizes)]


def test_small_pieces_travel_together_and_large_ones_alone() -> None:
    small, large = [b"x" * (SMALL_BYTES // 4)] * 9, b"y" * 2 * AT_ONCE_BYTES
    chunks = chunks_of(Multipart(OCTETS).answer([*small, large, b"z"]))
    assert [len(chunk) for chunk in chunks[:2]] == [9 * len(small[0]), len(large)]
    assert len(chunks) == 3, "the last has the tail"
