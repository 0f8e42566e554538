"""Bytes that lie in an open file: sent from there (sendfile(2)), or read."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Extent:
    """`length` bytes of an open file, which the one who lends them closes."""

    file: int  # its descriptor
    offset: int
    length: int

    def __len__(self) -> int:
        return self.length

    def cut(self, start: int, end: int) -> Extent:
        """From its byte `start` to before `end`, or its own end."""
        start, end = min(start, self.length), min(end, self.length)
        return Extent(self.file, self.offset + start, end - start)

    def read(self) -> bytes:
        """Fewer only where the file has become shorter."""
        return os.pread(self.file, self.length, self.offset)


Piece = bytes | memoryview | Extent


def in_memory(piece: Piece) -> bytes | memoryview:
    """The bytes, read if they are in a file still."""
    return piece.read() if isinstance(piece, Extent) else piece
