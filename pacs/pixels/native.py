"""Native cells to values (PS3.5 8.1 and annex D): packed bits, byte order, unused bits, signs, planes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacs.pixels.description import Frame, PixelDescription, PixelError, integer_dtype


def decode_little(description: PixelDescription, frame: bytes, first_bit: int = 0) -> Frame:
    """A native little endian frame of exactly `frame_bytes` bytes, one byte of padding allowed.

    `first_bit` (0 to 7) is where a frame of 1 bit cells starts in its first byte, as frames of them need not
    start on one (PS3.5 8.1.1). Raises PixelError where the bytes are too few or too many.
    """
    return _decode(description, frame, "<", first_bit)


def decode_big(description: PixelDescription, frame: bytes, first_bit: int = 0) -> Frame:
    """A native frame of a big endian file (PS3.5 A.3, retired); 8 bit cells in OW lie swapped in pairs."""
    if description.bits_allocated <= 8 and description.is_word:
        frame = _swap_pairs(frame)
    return _decode(description, frame, ">", first_bit)


def first_bit(description: PixelDescription, index: int) -> int:
    """Where frame `index` (from 0) of 1 bit cells starts in its first byte, 0 for all other cells."""
    if description.bits_allocated == 1:
        return index * description.cells % 8
    return 0


def sign(array: NDArray[Any], bits: int, is_signed: bool) -> NDArray[Any]:
    """Integers of which the low `bits` bits count, read as signed (two's complement) or unsigned.

    The result has the type of the same size; the array may be changed in place.
    """
    size = array.dtype.itemsize
    unused = 8 * size - bits
    viewed = array.view(f"{'i' if is_signed else 'u'}{size}")
    if unused <= 0:
        return viewed
    if not is_signed:
        return np.asarray(np.bitwise_and(viewed, viewed.dtype.type((1 << bits) - 1)))
    return np.asarray(np.right_shift(np.left_shift(viewed, unused), unused))


def _decode(description: PixelDescription, frame: bytes, order: str, first_bit: int) -> Frame:
    photometric = description.photometric
    if len(frame) == description.cells != description.frame_bytes and photometric == "YBR_FULL_422":
        return Frame(_planes(description, np.frombuffer(frame, np.uint8)), "YBR_FULL")  # said, but not done
    _check_length(description, frame, first_bit)
    if description.bits_allocated == 1:
        return Frame(_bits(description, frame, first_bit), photometric)
    if description.bits_allocated == 12:
        twelve = _used_bits(description, _twelve(description, frame))
        return Frame(twelve.reshape(description.shape), photometric)
    cells = _cells(description, frame, order)
    if photometric in ("YBR_FULL_422", "YBR_PARTIAL_422"):
        return Frame(_unpack_422(description, cells), photometric.removesuffix("_422"))
    return Frame(_planes(description, cells), photometric)


def _check_length(description: PixelDescription, frame: bytes, first_bit: int) -> None:
    expected = description.frame_bytes
    if description.bits_allocated == 1:
        expected = (first_bit + description.cells + 7) // 8
    if not expected <= len(frame) <= expected + 1:
        raise PixelError(f"the frame has {len(frame)} bytes where {expected} are needed")


def _cells(description: PixelDescription, frame: bytes, order: str) -> NDArray[Any]:
    size = description.bits_allocated // 8
    kind = "f" if description.is_float else "u"
    cells = np.frombuffer(frame, f"{order}{kind}{size}", count=description.frame_bytes // size)
    cells = cells.astype(cells.dtype.newbyteorder("="), copy=False)
    return cells if description.is_float else _used_bits(description, cells)


def _used_bits(description: PixelDescription, cells: NDArray[Any]) -> NDArray[Any]:
    """Only Bits Stored bits from High Bit down: what lies beside them may be an overlay (PS3.5 8.1.1)."""
    below = description.high_bit + 1 - description.bits_stored
    if below:
        cells = cells >> cells.dtype.type(below)
    return sign(cells, description.bits_stored, description.is_signed)


def _planes(description: PixelDescription, cells: NDArray[Any]) -> NDArray[Any]:
    if description.samples == 1 or description.planar_configuration == 0:
        return cells.reshape(description.shape)
    planes = cells.reshape(description.samples, description.rows, description.columns)
    return np.ascontiguousarray(np.moveaxis(planes, 0, -1))


def _bits(description: PixelDescription, frame: bytes, first_bit: int) -> NDArray[Any]:
    """1 bit cells, the first in the least significant bit (PS3.5 annex D)."""
    bits = np.unpackbits(np.frombuffer(frame, np.uint8), bitorder="little")
    return bits[first_bit : first_bit + description.cells].reshape(description.shape)


def _twelve(description: PixelDescription, frame: bytes) -> NDArray[Any]:
    """Cells of 12 bits, two in three bytes, low bits first (PS3.5 annex D)."""
    padded = np.zeros((description.frame_bytes + 2) // 3 * 3, np.uint16)
    padded[: description.frame_bytes] = np.frombuffer(frame, np.uint8, count=description.frame_bytes)
    low, middle, high = padded.reshape(-1, 3).T
    pairs = np.stack([low | (middle & 0x0F) << 8, middle >> 4 | high << 4], axis=1)
    return pairs.reshape(-1)[: description.cells].astype(integer_dtype(12, False))


def _unpack_422(description: PixelDescription, cells: NDArray[Any]) -> NDArray[Any]:
    """Y Y Cb Cr for each two pixels along a row (PS3.3 C.7.6.3.1.2) to Y Cb Cr for each."""
    if description.columns % 2:
        raise PixelError("YBR_FULL_422 needs an even number of columns")
    fours = cells.reshape(description.rows, description.columns // 2, 4)
    out = np.empty(description.shape, cells.dtype)
    out[:, 0::2, 0], out[:, 1::2, 0] = fours[..., 0], fours[..., 1]
    out[:, 0::2, 1:], out[:, 1::2, 1:] = fours[..., 2:], fours[..., 2:]
    return out


def _swap_pairs(frame: bytes) -> bytes:
    even = frame + b"\0" * (len(frame) % 2)
    return np.frombuffer(even, np.uint16).byteswap().tobytes()
