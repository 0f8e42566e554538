"""Multipart answers (RFC 2387) whose length is known beforehand, so that bytes pass through unframed."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

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

    def answer(self, pieces: Iterable[Piece], length: int | None = None) -> Response:
        """The response; `length` in bytes, if it is known, includes the heads but not the tail."""
        whole = self._with_tail(pieces)
        if length is not None:
            return single_answer(Part(self.media_type, length + len(self.tail()), whole))
        return StreamingResponse(_gathered(whole), media_type=self.media_type)

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


@dataclass(frozen=True, slots=True)
class Part:
    """A part whose length in bytes is known; its pieces may be read while they are sent."""

    content_type: str
    length: int
    pieces: Iterable[Piece]


def parts_answer(part_type: str, parts: list[Part]) -> Response:
    """A multipart answer of these parts."""
    multipart = Multipart(part_type)
    heads = [multipart.head(part.content_type, first=number == 0) for number, part in enumerate(parts)]
    length = sum(len(head) + part.length for head, part in zip(heads, parts, strict=True))
    pieces = chain.from_iterable(([head], part.pieces) for head, part in zip(heads, parts, strict=True))
    return multipart.answer(chain.from_iterable(pieces), length)


def single_answer(part: Part) -> Response:
    """An answer that is no multipart one. A small one is read before it begins, so that what fails is told."""
    if part.length <= CHUNK_BYTES:
        return Response(b"".join(part.pieces), media_type=part.content_type)
    headers = {"Content-Length": str(part.length)}
    return StreamingResponse(_gathered(part.pieces), headers=headers, media_type=part.content_type)
