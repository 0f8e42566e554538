"""MLLP, the framing of HL7 v2 over TCP: <VT> message <FS><CR> (HL7 transport specification, MLLP release 1)."""

from __future__ import annotations

from pacs.errors import TooLarge

BEGIN, END, RETURN = 0x0B, 0x1C, 0x0D
MESSAGE_BYTES_MAX = 1024 * 1024


class Frames:
    """Gathers messages from bytes as they come. What stands between frames is passed over; a frame that begins within
    another one takes its place, because its sender began anew."""

    def __init__(self, bytes_max: int = MESSAGE_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._buffer = bytearray()
        self._inside = False
        self._astray = 0

    @property
    def inside(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._inside

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are whole now; raises TooLarge for one that is longer than allowed, or that much without a
        frame."""
        found: list[bytes] = []
        for at, piece in enumerate(data.split(bytes([BEGIN]))):
            if at:
                self._buffer.clear()
                self._inside = True
            if self._inside:
                message, end, rest = piece.partition(bytes([END]))
                self._take(message)
                if end:
                    found.append(bytes(self._buffer))
                    self._buffer.clear()
                    self._inside = False
                    self._astray = 0
                    self._pass_over(rest)
            else:
                self._pass_over(piece)
        return found

    def _take(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > self._bytes_max:
            raise TooLarge(f"a message has at most {self._bytes_max} bytes")

    def _pass_over(self, data: bytes) -> None:
        self._astray += len(data.replace(bytes([RETURN]), b""))
        if self._astray > self._bytes_max:
            raise TooLarge("these bytes are no MLLP")


def framed(message: bytes) -> bytes:
    """A message in its frame."""
    return bytes([BEGIN]) + message + bytes([END, RETURN])
