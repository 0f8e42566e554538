"""Instances as a ZIP file that holds a DICOM File-set (PS3.18 8.6.1.3, PS3.10 8): made while it is sent."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator

File = tuple[str, int, Iterable[bytes]]  # its name, about how many bytes it has, and these
LARGE_BYTES = 2**31 - 1  # from here on a file in a ZIP needs long lengths
ZIP = "application/zip"


class _Sink(io.RawIOBase):
    """What is written into it, until it is taken; it cannot be sought in, so lengths follow their files."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._pieces.append(bytes(data))
        return len(data)

    def taken(self) -> list[bytes]:
        pieces, self._pieces = self._pieces, []
        return pieces


def zip_pieces(files: Iterable[File]) -> Iterator[bytes]:
    """The ZIP file, piece by piece. Deflated at level 0, which takes no time: readers that go from the front to the
    back find the end of a file that is only stored by nothing."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=0) as archive:
        for name, size, pieces in files:
            with archive.open(name, "w", force_zip64=size >= LARGE_BYTES) as file:
                for piece in pieces:
                    file.write(piece)
                    yield from sink.taken()
    yield from sink.taken()
