"""Bytes on their way from a store to a socket, which need not be in a process' memory.

Both kinds are used up from the front, and are good until the store is asked for the next piece.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from storage.blobs.flow import Flow


@dataclass(slots=True)
class Extent:
    """So many bytes of an open file."""

    file: int  # its descriptor, which the store closes
    offset: int
    length: int

    def __len__(self) -> int:
        return self.length

    def send_to(self, connection: int) -> int:
        """As many as a socket takes now. Raises BlockingIOError if it is full, OSError."""
        sent = os.sendfile(connection, self.file, self.offset, self.length)
        self._use(sent)
        return sent

    def read(self, count: int) -> bytes:
        """So many, or all. Raises OSError."""
        pieces, left = [], min(count, self.length)
        while left:
            pieces.append(os.pread(self.file, left, self.offset))
            self._use(len(pieces[-1]))
            left -= len(pieces[-1])
        return b"".join(pieces)

    def _use(self, count: int) -> None:
        if not count:
            raise OSError(errno.EIO, "the file has become shorter")
        self.offset += count
        self.length -= count


@dataclass(slots=True)
class Arriving:
    """So many bytes of what a store on another machine sends."""

    flow: Flow
    length: int

    def __len__(self) -> int:
        return self.length

    def send_to(self, connection: int) -> int:
        """As many as a socket takes now, at least one. Raises BlockingIOError if it is full, OSError."""
        sent = self.flow.send_to(connection, self.length)
        self.length -= sent
        return sent

    def read(self, count: int) -> bytes:
        """So many, or all. Raises OSError."""
        data = self.flow.read(min(count, self.length))
        self.length -= len(data)
        return data


Lent = Extent | Arriving
Piece = bytes | memoryview | Lent


def in_memory(piece: Piece) -> bytes | memoryview:
    """The bytes, read if they are not in memory yet."""
    return piece if isinstance(piece, bytes | memoryview) else piece.read(len(piece))
