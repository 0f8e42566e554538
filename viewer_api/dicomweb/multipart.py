"""Multipart answers (RFC 2387) whose length is known beforehand, so that bytes pass through unframed."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from storage.blobs.lent import Piece, in_memory
from viewer_api.wire import LENT

AT_ONCE_BYTES = 1024 * 1024  # an answer up to this is read before it begins
BATCH_BYTES = 1 * 1024 * 1024  # read in one turn of a thread
SMALL_BYTES = 64 * 1024


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
            return _sent(self.media_type, length + len(self.tail()), whole)
        return PiecesResponse(whole, media_type=self.media_type)

    def _with_tail(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        yield from pieces
        yield self.tail()


class PiecesResponse(StreamingResponse):
    """Streams pieces of bytes as they are. Where their length is known, the server sends them itself (`Wire`); else
    no copy is made of large ones, and one turn of a thread reads many."""

    def __init__(self, pieces: Iterable[Piece], **more: Any) -> None:
        self._pieces = iter(pieces)
        batches: Any = _batches(self._pieces)  # which `stream_response` takes apart
        super().__init__(batches, **more)
        self._is_lent = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._is_lent = LENT in scope.get("extensions", {}) and "content-length" in self.headers
        await super().__call__(scope, receive, send)

    async def stream_response(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if self._is_lent:
            await send({"type": LENT, "pieces": self._pieces})
        else:
            await self._send_batches(send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_batches(self, send: Send) -> None:
        batches: Any = self.body_iterator
        async for batch in batches:
            for piece in batch:
                await send({"type": "http.response.body", "body": piece, "more_body": True})


InMemory = bytes | memoryview


def _batches(pieces: Iterable[Piece]) -> Iterator[list[InMemory]]:
    """Some megabytes each; neighbours that are small are joined, since to send a piece costs more than to copy it."""
    batch: list[InMemory] = []
    small: list[InMemory] = []
    size = 0
    for piece in map(in_memory, pieces):
        size += len(piece)
        if len(piece) < SMALL_BYTES:
            small.append(piece)
        else:
            batch += [*_joined(small), piece]
            small = []
        if size >= BATCH_BYTES:
            yield [*batch, *_joined(small)]
            batch, small, size = [], [], 0
    if size:
        yield [*batch, *_joined(small)]


def _joined(small: list[InMemory]) -> list[InMemory]:
    return [b"".join(small)] if small else []


Reading = Callable[[int, int], Iterable[Piece]]  # from a byte on, so many


@dataclass(frozen=True, slots=True)
class Part:
    """A part whose length in bytes is known; it is read while it is sent. `location`: where it is by itself."""

    content_type: str
    length: int
    read: Reading
    location: str = ""

    @classmethod
    def of(cls, content_type: str, data: bytes, location: str = "") -> Part:
        """What is in memory already."""
        return cls(content_type, len(data), lambda start, count: [data[start : start + count]], location)

    @property
    def pieces(self) -> Iterable[Piece]:
        return self.read(0, self.length)

    def cut(self, start: int, end: int) -> Part:
        """From its byte `start` to before `end`."""
        return Part(self.content_type, end - start, lambda at, count: self.read(start + at, count))


def parts_answer(part_type: str, parts: list[Part]) -> Response:
    """A multipart answer of these parts."""
    multipart = Multipart(part_type)
    heads = [multipart.head(one.content_type, one.location, first=n == 0) for n, one in enumerate(parts)]
    length = sum(len(head) + part.length for head, part in zip(heads, parts, strict=True))
    pieces = chain.from_iterable(([head], part.pieces) for head, part in zip(heads, parts, strict=True))
    return multipart.answer(chain.from_iterable(pieces), length)


def single_answer(part: Part) -> Response:
    """An answer that is no multipart one."""
    return _sent(part.content_type, part.length, part.pieces)


def _sent(media_type: str, length: int, pieces: Iterable[Piece]) -> Response:
    """A small answer is read before it begins, so that what fails is told."""
    if length <= AT_ONCE_BYTES:
        return Response(b"".join(map(in_memory, pieces)), media_type=media_type)
    return PiecesResponse(_begun(pieces), headers={"Content-Length": str(length)}, media_type=media_type)


def _begun(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """As far as the first object is open: one that is missing, or too short already, is told."""
    rest, ahead, size = iter(pieces), list[Piece](), 0
    for piece in rest:
        ahead.append(piece)
        size += len(piece)
        if size >= SMALL_BYTES or not isinstance(piece, bytes | memoryview):
            break
    return chain(ahead, rest)
