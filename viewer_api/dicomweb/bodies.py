"""Bodies of requests, read in a thread while they arrive: as they are, gunzipped, or by parts (RFC 2387, 2046)."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterator
from typing import Any

import anyio
from anyio import from_thread
from fastapi import Request
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser
from starlette.exceptions import HTTPException

CHUNK_BYTES = 256 * 1024  # gathered before a thread has its turn
SILENCE_SECONDS = 60  # of a client within its body
GZIP_RATIO_MAX = 200  # more is a bomb, not a picture
PREAMBLE_BYTES_MAX = 64 * 1024
BOUNDARY_CHARACTERS_MAX = 200  # RFC 2046 5.1.1 allows 70; Orthanc sends 73
HEADER_BYTES_MAX, HEADERS_MAX = 8 * 1024, 32
PARTS_MAX = 32_768  # of a body: what is answered of each stays in memory


def chunks_of(request: Request) -> Iterator[bytes]:
    """The body as it comes, for a route that runs in a thread. Raises BadBody."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("gzip", "x-gzip"):
        return _gunzipped(_received(request))
    if encoding != "identity":
        raise BadBody(415, "the only Content-Encoding that is read is gzip")
    return _received(request)


def _received(request: Request) -> Iterator[bytes]:
    async def gathered() -> tuple[bytes, bool]:
        pieces, size, more = [], 0, True
        with anyio.fail_after(SILENCE_SECONDS):
            while more and size < CHUNK_BYTES:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise Cut(400, "the client went away")
                pieces.append(message.get("body", b""))
                size, more = size + len(pieces[-1]), message.get("more_body", False)
        return b"".join(pieces), more

    more = True
    while more:
        try:
            chunk, more = from_thread.run(gathered)
        except TimeoutError:
            raise Cut(408, f"nothing came for {SILENCE_SECONDS} s") from None
        if chunk:
            yield chunk


def _gunzipped(chunks: Iterator[bytes]) -> Iterator[bytes]:
    unzip, come, gone = zlib.decompressobj(31), 0, 0
    try:
        for chunk in chunks:
            come += len(chunk)
            while chunk:
                piece = unzip.decompress(chunk, CHUNK_BYTES)
                chunk, gone = unzip.unconsumed_tail, gone + len(piece)
                if gone > GZIP_RATIO_MAX * come + CHUNK_BYTES:
                    raise BadBody(413, "it is compressed beyond belief")
                if piece:
                    yield piece
                if unzip.eof:
                    return
    except zlib.error:
        raise BadBody(400, "the body is no gzip, or broken") from None
    raise Cut(400, "the gzip ends before its end")


class BadBody(HTTPException):
    """A body that cannot be read."""


class Cut(BadBody):
    """A body that ended too soon: what came whole before is whole."""


class Part:
    """One part, while it arrives."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}  # names in lower case
        self._pieces: deque[bytes] = deque()
        self._whole = False

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class Parts:
    """The parts of a multipart body, one after the other; what was not read of one is passed over."""

    def __init__(self, chunks: Iterator[bytes], boundary: str) -> None:
        if not 0 < len(boundary) <= BOUNDARY_CHARACTERS_MAX or not boundary.isascii():
            raise BadBody(
                400, f"the Content-Type has no boundary of 1 to {BOUNDARY_CHARACTERS_MAX} characters"
            )
        self._chunks = _from_boundary(chunks, b"--" + boundary.encode())
        self._coming: deque[Part] = deque()
        self._now: Part | None = None
        self._count = 0
        self._name = self._value = b""
        self._over = False
        events = ("part_begin", "part_data", "part_end", "header_field", "header_value", "header_end",
                  "headers_finished", "end")  # fmt: skip
        callbacks: Any = {f"on_{event}": getattr(self, f"_{event}") for event in events}
        self._parser = MultipartParser(
            boundary.encode(), callbacks, max_header_count=HEADERS_MAX, max_header_size=HEADER_BYTES_MAX
        )

    def __iter__(self) -> Iterator[Part]:
        while True:
            while not self._coming and self._feed():
                pass
            if not self._coming:
                return
            part = self._coming.popleft()
            self._count += 1
            if self._count > PARTS_MAX:
                raise BadBody(413, f"more than {PARTS_MAX} parts")
            yield part
            while not part._whole and self._feed():
                part._pieces.clear()
            part._pieces.clear()

    def read(self, part: Part, size: int) -> bytes:
        """So many bytes of the part that is open, fewer at its end. Raises BadBody where the body ends within it."""
        taken, left = [], size
        while left:
            while not part._pieces and not part._whole and self._feed():
                pass
            if not part._pieces:
                break
            piece = part._pieces.popleft()
            if len(piece) > left:
                part._pieces.appendleft(piece[left:])
            taken.append(piece[:left])
            left -= len(taken[-1])
        return b"".join(taken)

    def _feed(self) -> bool:
        """Parse a chunk more; False after the last part."""
        if self._over:
            return False
        chunk = next(self._chunks, None)
        if chunk is None:
            raise Cut(400, "the body ends before its last boundary")
        try:
            self._parser.write(chunk)
        except MultipartParseError as error:
            raise BadBody(400, f"the body is no multipart, or broken ({type(error).__name__})") from None
        return True

    def _part_begin(self) -> None:
        self._now = Part()

    def _headers_finished(self) -> None:
        assert self._now is not None, "after part_begin"
        self._coming.append(self._now)

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        assert self._now is not None, "after part_begin"
        self._now._pieces.append(data[start:end])

    def _part_end(self) -> None:
        assert self._now is not None, "after part_begin"
        self._now._whole = True

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        assert self._now is not None, "after part_begin"
        self._now.headers[self._name.decode("latin-1").lower()] = self._value.decode("latin-1").strip()
        self._name = self._value = b""

    def _end(self) -> None:
        self._over = True


class Rest:
    """What of a part has not been read yet, as a file is read."""

    def __init__(self, parts: Parts, part: Part) -> None:
        self._parts, self._part = parts, part

    def read(self, size: int, /) -> bytes:
        return self._parts.read(self._part, size)


class Whole:
    """A body without parts, as a file is read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._left = chunks, bytearray()

    def read(self, size: int, /) -> bytes:
        while len(self._left) < size and (chunk := next(self._chunks, b"")):
            self._left += chunk
        piece = bytes(self._left[:size])
        del self._left[:size]
        return piece


def _from_boundary(chunks: Iterator[bytes], boundary: bytes) -> Iterator[bytes]:
    """Without what stands before the first boundary, which nobody reads (RFC 2046 5.1.1)."""
    begin = b""
    for chunk in chunks:
        begin += chunk
        at = begin.find(boundary)
        if at >= 0:
            yield begin[at:]
            break
        if len(begin) > PREAMBLE_BYTES_MAX:
            raise BadBody(400, "there is no boundary")
    yield from chunks
