"""Multipart answers (RFC 2387) whose length is known beforehand, so that bytes pass through unframed."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator

from fastapi.responses import Response, StreamingResponse

Piece = bytes | memoryview
CHUNK_BYTES = 1024 * 1024  # small pieces are sent together: each costs a thread's turn, whatever its size


class Multipart:
    """One answer: a boundary that no other answer has."""

    def __init__(self, part_type: str) -> None:
        self._boundary = uuid.uuid4().hex
        self._part_type = part_type

    @property
    def media_type(self) -> str:
        return f'multipart/related; type="{self._part_type}"; boundary={self._boundary}'

    def head(self, content_type: str, location: str = "", *, first: bool = False) -> bytes:
        """What stands before a part."""
        lines = [f"--{self._boundary}", f"Content-Type: {content_type}"]
        if location:
            lines.append(f"Content-Location: {location}")
        return ("" if first else "\r\n").encode() + "\r\n".join(lines).encode() + b"\r\n\r\n"

    def tail(self) -> bytes:
        """What stands after the last part."""
        return f"\r\n--{self._boundary}--\r\n".encode()

    def answer(self, pieces: Iterable[Piece], length: int | None = None) -> StreamingResponse:
        """The response; `length` in bytes, if it is known, includes the heads but not the tail."""
        headers = {} if length is None else {"Content-Length": str(length + len(self.tail()))}
        return StreamingResponse(
            _gathered(self._with_tail(pieces)), headers=headers, media_type=self.media_type
        )

    def _with_tail(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        yield from pieces
        yield self.tail()


def _gathered(pieces: Iterable[Piece]) -> Iterator[Piece]:
    waiting: list[Piece] = []
    size = 0
    for piece in pieces:
        if waiting and size + len(piece) > CHUNK_BYTES:
            yield waiting[0] if len(waiting) == 1 else b"".join(waiting)
            waiting, size = [], 0
        waiting.append(piece)
        size += len(piece)
    if waiting:
        yield b"".join(waiting)


def whole(part_type: str, parts: list[tuple[str, bytes]]) -> Response:
    """A multipart answer of parts that are in memory: (content type, bytes) each."""
    multipart = Multipart(part_type)
    pieces: list[Piece] = []
    for number, (content_type, data) in enumerate(parts):
        pieces += [multipart.head(content_type, first=number == 0), data]
    length = sum(len(p) for p in pieces)
    if length > CHUNK_BYTES:
        return multipart.answer(pieces, length)
    return Response(b"".join([*pieces, multipart.tail()]), media_type=multipart.media_type)
