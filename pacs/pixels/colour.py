"""Colour to 8 bit RGB: palettes and the YBR spaces (PS3.3 C.7.6.3.1.2, C.7.6.3.1.5)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacs.pixels._json import Attributes
from pacs.pixels.description import PixelError
from pacs.pixels.lut import Lut, lut_of, segmented_lut_of

_PALETTE_TAGS = (  # (descriptor, data, segmented data) of red, green and blue
    ("00281101", "00281201", "00281221"),
    ("00281102", "00281202", "00281222"),
    ("00281103", "00281203", "00281223"),
)

# R, G, B from Y, Cb, Cr, and what to take from each first; PARTIAL has Y in 16 to 235, the others to 240.
_FULL = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]], np.float32)
_FULL_OFFSET = np.array([0, 128, 128], np.float32)
_PARTIAL = np.array([[1.1644, 0, 1.5960], [1.1644, -0.3917, -0.8129], [1.1644, 2.0173, 0]], np.float32)
_PARTIAL_OFFSET = np.array([16, 128, 128], np.float32)

_ROWS_AT_ONCE_PIXELS = 1 << 20  # bounds the working copies, not the picture


def to_rgb(array: NDArray[Any], photometric: str, bits: int) -> NDArray[np.uint8]:
    """(rows, columns, 3) of `bits` bits in a colour space of PS3.3 C.7.6.3.1.2 to RGB of 8 bits.

    YBR_RCT and YBR_ICT are taken for RGB: decoders undo both, and no native frame has them.
    Raises PixelError on a space that is none.
    """
    eight = _eight_bits(array, bits)
    if photometric in ("RGB", "YBR_RCT", "YBR_ICT"):
        return eight
    if photometric in ("YBR_FULL", "YBR_FULL_422"):
        return _convert(eight, _FULL, _FULL_OFFSET)
    if photometric.startswith("YBR_PARTIAL"):
        return _convert(eight, _PARTIAL, _PARTIAL_OFFSET)
    raise PixelError(f"colours in {photometric} cannot be shown")


def palette_of(attributes: Attributes) -> tuple[int, NDArray[np.uint8]]:
    """(first value mapped, (entries, 3) of RGB) of the palette, plain or segmented.

    Raises PixelError where one of the three tables is absent or broken.
    """
    luts = [_channel(attributes, *tags) for tags in _PALETTE_TAGS]
    count = min(len(lut.entries) for lut in luts)
    # Entries of 8 bits are often told as 16 bits: only a table that uses its high byte is one of 16.
    is_wide = max(int(lut.entries.max()) for lut in luts) > 0xFF
    shift = max(lut.bits for lut in luts) - 8 if is_wide else 0
    columns = [np.minimum(lut.entries[:count] >> max(shift, 0), 0xFF) for lut in luts]
    return luts[0].first, np.stack(columns, axis=1).astype(np.uint8)


def apply_palette(array: NDArray[Any], first: int, colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(rows, columns) of stored values to (rows, columns, 3), values outside taking the nearest entry."""
    out = np.empty((*array.shape, 3), np.uint8)
    for rows in chunks(array):
        index = np.clip(array[rows].astype(np.int64) - first, 0, len(colours) - 1)
        out[rows] = colours[index]
    return out


def chunks(array: NDArray[Any]) -> list[slice]:
    """The rows of an image in parts of about a million pixels."""
    step = max(1, _ROWS_AT_ONCE_PIXELS // array.shape[1])
    return [slice(start, start + step) for start in range(0, array.shape[0], step)]


def _channel(attributes: Attributes, descriptor: str, data: str, segmented: str) -> Lut:
    if segmented in attributes and data not in attributes:
        return segmented_lut_of(attributes, descriptor, segmented)
    return lut_of(attributes, descriptor, data)


def _eight_bits(array: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    if bits > 8:
        array = array >> (bits - 8)
    return array.astype(np.uint8, copy=False)


def _convert(
    array: NDArray[np.uint8], matrix: NDArray[np.float32], offset: NDArray[np.float32]
) -> NDArray[np.uint8]:
    out = np.empty_like(array)
    for rows in chunks(array):
        rgb = (array[rows].astype(np.float32) - offset) @ matrix.T
        out[rows] = np.clip(np.rint(rgb), 0, 255)
    return out
