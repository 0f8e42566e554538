"""Multipart answers: their length is said beforehand and true, and small pieces travel together."""

from __future__ import annotations

import asyncio

import pytest
from fastapi.responses import Response, StreamingResponse

from viewer_api.dicomweb.multipart import CHUNK_BYTES, Multipart, Part, parts_answer

OCTETS = "application/octet-stream"


def chunks_of(answer: Response) -> list[bytes]:
    if not isinstance(answer, StreamingResponse):
        return [bytes(answer.body)]

    async def gather() -> list[bytes]:
        return [bytes(chunk) async for chunk in answer.body_iterator]  # type: ignore[arg-type]

    return asyncio.run(gather())


@pytest.mark.parametrize("sizes", [[10], [10, 20], [CHUNK_BYTES, 1], [1, 3 * CHUNK_BYTES, 5]])
def test_the_length_is_true_and_the_parts_are_whole(sizes: list[int]) -> None:
    given = [Part(OCTETS, size, [bytes([number]) * size]) for number, size in enumerate(sizes)]
    answer = parts_answer(OCTETS, given)
    body = b"".join(chunks_of(answer))
    assert len(body) == int(answer.headers["content-length"])
    boundary = answer.headers["content-type"].split("boundary=")[1].encode()
    parts = body.split(b"--" + boundary)
    assert parts[-1] == b"--\r\n"
    bodies = [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in parts[1:-1]]
    assert bodies == [bytes([number]) * size for number, size in enumerate(sizes)]


def test_small_pieces_travel_together_and_large_ones_alone() -> None:
    small = [b"x" * (CHUNK_BYTES // 4)] * 9
    chunks = chunks_of(Multipart(OCTETS).answer([*small, b"y" * 2 * CHUNK_BYTES, b"z"]))
    assert len(chunks) == 5  # four and four, one, the large one, and the last with the tail
    assert max(map(len, chunks)) == 2 * CHUNK_BYTES
