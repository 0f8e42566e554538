"""From stored values to a frame of a compressed transfer syntax (PS3.5 A.4): what readers ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import uid

from pacs.pixels.description import Frame, PixelDescription, PixelError
from pacs.pixels.progression import decompositions

BASELINE_QUALITY = 90
_BITS_MAX = 16
Values = NDArray[Any]
Encoder = Callable[[Values, int], bytes]


def _jpeg_lossless(values: Values, bits: int) -> bytes:
    """Process 14, predictor 1; colour as it is (PS3.5 8.2.1)."""
    space = "GRAYSCALE" if values.ndim == 2 else "RGB"
    return bytes(
        imagecodecs.jpeg8_encode(
            _unsigned(values), lossless=True, predictor=1, colorspace=space, outcolorspace=space, bitspersample=bits
        )
    )  # fmt: skip


def _jpeg_ls(values: Values, _bits: int) -> bytes:
    return bytes(imagecodecs.jpegls_encode(_unsigned(values), level=0))


def _jpeg_2000(values: Values, bits: int) -> bytes:
    return bytes(
        imagecodecs.jpeg2k_encode(
            values, level=0, codecformat="J2K", reversible=True, mct=False, bitspersample=bits, numthreads=1
        )
    )


def _htj2k(values: Values, _bits: int) -> bytes:
    return bytes(imagecodecs.htj2k_encode(values, reversible=True, rgb=False))


def _htj2k_progressive(values: Values, _bits: int) -> bytes:
    """RPCL, a tile part for each resolution and their lengths in front (TLM): a reader of the first kilobytes has a
    small picture (PS3.5 10.18)."""
    return bytes(
        imagecodecs.htj2k_encode(
            values, reversible=True, rgb=False, tlm=True, tilepart=imagecodecs.HTJ2K.TILEPART.RESOLUTIONS,
            resolutions=decompositions(*values.shape[:2]),
        )
    )  # fmt: skip


def _unsigned(values: Values) -> Values:
    """JPEG and JPEG-LS know no signs: the same bits (PS3.5 8.2.1, 8.2.3)."""
    return values.view(values.dtype.str.replace("i", "u"))


_LOSSLESS: dict[str, Encoder] = {
    str(uid.JPEGLosslessSV1): _jpeg_lossless,
    str(uid.JPEGLSLossless): _jpeg_ls,
    str(uid.JPEG2000Lossless): _jpeg_2000,
    str(uid.HTJ2KLossless): _htj2k,
    str(uid.HTJ2KLosslessRPCL): _htj2k_progressive,
}
BASELINE = str(uid.JPEGBaseline8Bit)
LOSSLESS = frozenset(_LOSSLESS)
"""The transfer syntaxes in which a frame comes back bit for bit."""
ENCODABLE = LOSSLESS | {BASELINE}


def encode_frame(frame: Frame, description: PixelDescription, transfer_syntax: str) -> bytes:
    """The frame in one of ENCODABLE. Raises PixelError where its samples have no place in that."""
    values = np.ascontiguousarray(frame.array)
    if description.is_float or description.bits_allocated == 1 or values.dtype.itemsize * 8 > _BITS_MAX:
        raise PixelError(f"samples of {description.bits_allocated} bits are not compressed here")
    if transfer_syntax == BASELINE:
        return _baseline(frame, description)
    encoder = _LOSSLESS.get(transfer_syntax)
    if encoder is None:
        raise PixelError(f"frames are not encoded in {uid.UID(transfer_syntax).name}")
    bits = values.dtype.itemsize * 8
    if not description.is_signed:  # some hold more than they say
        bits = max(description.bits_stored, int(values.max(initial=0)).bit_length())
    try:
        return encoder(values, bits)
    except MemoryError:
        raise
    except Exception as error:
        raise PixelError(f"the frame cannot be encoded: {type(error).__name__}") from error


def _baseline(frame: Frame, description: PixelDescription) -> bytes:
    if description.bits_stored > 8 or description.is_signed:
        raise PixelError(f"JPEG baseline holds no samples of {description.bits_stored} bits")
    grey = frame.array.ndim == 2
    if not grey and frame.photometric not in ("RGB", "YBR_FULL"):
        raise PixelError(f"{frame.photometric} is not encoded in JPEG baseline")
    spaces: dict[str, Any] = {"colorspace": "GRAYSCALE", "outcolorspace": "GRAYSCALE"}
    if not grey:
        spaces = {
            "colorspace": "RGB" if frame.photometric == "RGB" else "YCBCR", "outcolorspace": "YCBCR",
            "subsampling": "444",
        }  # fmt: skip
    return bytes(imagecodecs.jpeg8_encode(np.ascontiguousarray(frame.array), BASELINE_QUALITY, **spaces))
