"""Large frames made small before anything else is done with them: each n-th pixel of each n-th row. What is drawn from
them is smaller still, and averages what is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from pydicom import uid

from pacs.pixels.decode import decode_frame
from pacs.pixels.description import Frame, PixelDescription
from pacs.pixels.native import first_bit

SIDE_KEPT = 1024  # pixels of the longer side, at least: four for each of a thumbnail
BAND_BYTES = 4 * 1024 * 1024  # of rows that are read at once
_NATIVE = {str(uid.ImplicitVRLittleEndian), str(uid.ExplicitVRLittleEndian)}
Reader = Callable[[int, int], bytes]  # from a byte of the frame on, so many


def step_of(description: PixelDescription) -> int:
    """How many pixels become one; 1 leaves the frame as it is."""
    return max(1, max(description.rows, description.columns) // SIDE_KEPT)


def decode_shrunk(
    description: PixelDescription, read: Reader, size: int, transfer_syntax: str, index: int
) -> Frame:
    """Every `step_of`-th pixel of a frame of `size` bytes; raises PixelError. Native ones are never in memory as a
    whole."""
    step = step_of(description)
    if step > 1 and _by_rows(description, transfer_syntax, size):
        small = replace(
            description, rows=-(-description.rows // step), columns=-(-description.columns // step)
        )
        return decode_frame(small, _rows(description, read, step), transfer_syntax)
    frame = decode_frame(description, read(0, size), transfer_syntax, first_bit(description, index))
    return Frame(frame.array[::step, ::step], frame.photometric)


def _by_rows(description: PixelDescription, transfer_syntax: str, size: int) -> bool:
    """Whether pixel follows pixel in whole bytes."""
    plain = description.samples == 1 or description.planar_configuration == 0
    whole = description.frame_bytes == description.cells * description.bits_allocated // 8
    cells = description.bits_allocated % 8 == 0 and whole and 0 <= size - description.frame_bytes <= 1
    return transfer_syntax in _NATIVE and plain and cells


def _rows(description: PixelDescription, read: Reader, step: int) -> bytes:
    row_bytes = description.frame_bytes // description.rows
    band = max(1, BAND_BYTES // row_bytes // step) * step
    pixel = np.dtype(f"V{row_bytes // description.columns}")
    kept = []
    for top in range(0, description.rows, band):
        count = min(band, description.rows - top)
        rows = np.frombuffer(read(top * row_bytes, count * row_bytes), pixel)
        kept.append(rows.reshape(count, description.columns)[::step, ::step].tobytes())
    return b"".join(kept)
