"""What the Image Pixel module says of a frame (PS3.3 C.7.6.3), read and checked before any decoder runs."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from pydicom.dataset import Dataset

from pacs.pixels import _json
from pacs.pixels._json import Attributes

SIDE_MAX = 65_535  # pixels: Rows and Columns are US
FRAME_BYTES_MAX = 1 << 30  # one decoded frame

_CELL_BITS = (1, 8, 12, 16, 32, 64)
_MONOCHROME_LIKE = {"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"}


class PixelError(ValueError):
    """Pixel data that cannot be decoded or rendered; the message says why, without patient data."""


@dataclass(frozen=True, slots=True)
class PixelDescription:
    """The Image Pixel attributes of an instance (PS3.3 C.7.6.3), checked on construction.

    `is_float` stands for Float or Double Float Pixel Data (PS3.3 C.7.6.24, 25); `is_word` for pixel data of
    VR OW, which decides how 8 bit cells lie in a big endian file (PS3.5 8.1.1).
    Raises PixelError on values that no frame can have.
    """

    rows: int
    columns: int
    samples: int = 1
    bits_allocated: int = 16
    bits_stored: int = 16
    high_bit: int = 15
    is_signed: bool = False
    photometric: str = "MONOCHROME2"
    planar_configuration: int = 0
    frames: int = 1
    is_float: bool = False
    is_word: bool = True
    frame_bytes: int = field(init=False)
    """Bytes of one native frame; 1 bit cells rounded up to bytes."""

    def __post_init__(self) -> None:
        _check_shape(self)
        _check_bits(self)
        object.__setattr__(self, "frame_bytes", _frame_bytes(self))
        if self.decoded_bytes > FRAME_BYTES_MAX:
            raise PixelError(f"a frame of {self.decoded_bytes} bytes is over the limit of {FRAME_BYTES_MAX}")

    @property
    def pixels(self) -> int:
        """Pixels of a frame."""
        return self.rows * self.columns

    @property
    def cells(self) -> int:
        """Sample values of a frame."""
        return self.pixels * self.samples

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The type that holds decoded stored values, in the order of this machine."""
        if self.is_float:
            return np.dtype(np.float32 if self.bits_allocated == 32 else np.float64)
        return integer_dtype(self.bits_allocated, self.is_signed)

    @property
    def decoded_bytes(self) -> int:
        """Bytes of the decoded array."""
        return self.cells * self.dtype.itemsize

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, columns) or (rows, columns, samples) of the decoded array."""
        return (self.rows, self.columns) if self.samples == 1 else (self.rows, self.columns, self.samples)


@dataclass(frozen=True, slots=True)
class Frame:
    """Decoded stored values, (rows, columns) or (rows, columns, samples), and what they now mean."""

    array: NDArray[Any]
    photometric: str


def integer_dtype(bits: int, is_signed: bool) -> np.dtype[np.generic]:
    """The smallest integer type of at least `bits` bits."""
    size = next(size for size in (1, 2, 4, 8) if size * 8 >= bits)
    kind: DTypeLike = f"{'i' if is_signed else 'u'}{size}"
    return np.dtype(kind)


def describe(attributes: Attributes | Dataset) -> PixelDescription:
    """The description of an instance's pixels, from DICOM JSON or a pydicom data set.

    Raises PixelError where a needed attribute is absent or impossible.
    """
    return from_dataset(attributes) if isinstance(attributes, Dataset) else from_json(attributes)


def from_dataset(dataset: Dataset) -> PixelDescription:
    """`describe` for a pydicom data set."""
    return from_json(_json.from_dataset(dataset))


def from_json(attributes: Attributes) -> PixelDescription:
    """`describe` for a DICOM JSON object."""
    allocated = _needed(attributes, "00280100", "Bits Allocated")
    stored = _json.integer(attributes, "00280101")
    is_float = _is_float(attributes, allocated, stored)
    stored = stored or allocated
    high_bit = _json.integer(attributes, "00280102")
    samples = _json.integer(attributes, "00280002") or 1
    return PixelDescription(
        rows=_needed(attributes, "00280010", "Rows"),
        columns=_needed(attributes, "00280011", "Columns"),
        samples=samples,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=stored - 1 if high_bit is None else high_bit,
        is_signed=_json.integer(attributes, "00280103") == 1,
        photometric=_json.text(attributes, "00280004") or ("MONOCHROME2" if samples == 1 else "RGB"),
        planar_configuration=_json.integer(attributes, "00280006") or 0,
        frames=max(1, _json.integer(attributes, "00280008") or 1),
        is_float=is_float,
        is_word=_json.vr_of(attributes, "7FE00010") != "OB",
    )


def _needed(attributes: Attributes, tag: str, name: str) -> int:
    found = _json.integer(attributes, tag)
    if found is None:
        raise PixelError(f"{name} is absent")
    return found


def _is_float(attributes: Attributes, allocated: int, stored: int | None) -> bool:
    """Float pixel data has no Bits Stored (PS3.3 C.7.6.24), which tells it also where no element is left."""
    named = "7FE00008" in attributes or "7FE00009" in attributes
    told = stored is None and "7FE00010" not in attributes
    return allocated in (32, 64) and (named or told)


def _check_shape(description: PixelDescription) -> None:
    for name, side in (("Rows", description.rows), ("Columns", description.columns)):
        if not 1 <= side <= SIDE_MAX:
            raise PixelError(f"{name} is {side}, not 1 to {SIDE_MAX}")
    if description.samples not in (1, 3):
        raise PixelError(f"{description.samples} Samples per Pixel, where 1 or 3 can be shown")
    if description.samples == 3 and description.photometric in _MONOCHROME_LIKE:
        raise PixelError(f"3 Samples per Pixel do not go with {description.photometric}")
    if description.planar_configuration not in (0, 1):
        raise PixelError(f"Planar Configuration is {description.planar_configuration}, not 0 or 1")


def _check_bits(description: PixelDescription) -> None:
    allocated, stored = description.bits_allocated, description.bits_stored
    if allocated not in _CELL_BITS:
        raise PixelError(f"Bits Allocated is {allocated}, not one of {_CELL_BITS}")
    if not 1 <= stored <= allocated:
        raise PixelError(f"Bits Stored is {stored} of {allocated} allocated")
    if not stored - 1 <= description.high_bit < allocated:
        raise PixelError(f"High Bit is {description.high_bit} for {stored} of {allocated} bits")
    if description.samples != 1 and allocated in (1, 12):
        raise PixelError(f"{description.samples} samples of {allocated} bits")


def _frame_bytes(description: PixelDescription) -> int:
    cells = description.cells
    if description.photometric in ("YBR_FULL_422", "YBR_PARTIAL_422") and description.samples == 3:
        cells = description.pixels * 2  # two Y share a Cb and a Cr (PS3.3 C.7.6.3.1.2)
    return (cells * description.bits_allocated + 7) // 8
