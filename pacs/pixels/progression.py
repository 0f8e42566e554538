"""How far a codestream of JPEG 2000 must have come until it is a whole picture, small or large."""

from __future__ import annotations

import struct

from pacs.pixels.description import PixelError

BASE_SIDE_MAX = 64  # pixels, of the lowest resolution of HTJ2K Lossless RPCL (PS3.5 10.18)
LEVELS_MIN, LEVELS_MAX = 5, 32  # decompositions; ISO/IEC 15444-1 table A.15
_SOC, _SOT = b"\xff\x4f", b"\xff\x90"


def decompositions(rows: int, columns: int) -> int:
    """How often a picture is halved until neither side of it is longer than BASE_SIDE_MAX; five times at least, as that
    costs nothing and compresses best."""
    return max(LEVELS_MIN, (-(-max(rows, columns) // BASE_SIDE_MAX) - 1).bit_length())


def resolution_ends(codestream: bytes) -> tuple[int, ...]:
    """After how many bytes each resolution is whole, the lowest first, the last one being all; for codestreams of one
    tile with a tile part for each resolution (ISO/IEC 15444-1 A.4.2). Raises PixelError."""
    position = _main_header(codestream)
    ends: list[int] = []
    while codestream[position : position + 2] == _SOT and position + 12 <= len(codestream):
        tile, length, part = struct.unpack_from(">HIB", codestream, position + 4)
        if tile or part != len(ends) or length < 12:
            raise PixelError("the codestream's tile parts are no resolutions")
        position += length
        ends.append(position)
    if not ends or position > len(codestream) or len(ends) > LEVELS_MAX + 1:
        raise PixelError("the codestream has no tile parts, or is cut")
    return (*ends[:-1], len(codestream))


def _main_header(codestream: bytes) -> int:
    """Its length: where the first tile part begins."""
    if codestream[:2] != _SOC:
        raise PixelError("it is no JPEG 2000 codestream")
    position = 2
    while codestream[position : position + 2] != _SOT:
        if position + 4 > len(codestream):
            raise PixelError("the codestream's main header is cut")
        position += 2 + max(2, int.from_bytes(codestream[position + 2 : position + 4], "big"))
    return position
