"""From a frame's bytes to stored values, by transfer syntax (PS3.5 annex A)."""

from collections.abc import Callable

from pydicom import uid

from pacs.pixels import codecs, native
from pacs.pixels.codecs import Codec
from pacs.pixels.description import Frame, PixelDescription, PixelError, integer_dtype

_DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"

_NATIVE: dict[str, Callable[[PixelDescription, bytes, int], Frame]] = {
    uid.ImplicitVRLittleEndian: native.decode_little,
    uid.ExplicitVRLittleEndian: native.decode_little,
    uid.DeflatedExplicitVRLittleEndian: native.decode_little,
    uid.ExplicitVRBigEndian: native.decode_big,
}

_JPEG = [f"1.2.840.10008.1.2.4.{number}" for number in range(50, 71)]

_ENCAPSULATED: dict[str, Codec] = {
    **dict.fromkeys(_JPEG, codecs.decode_jpeg),
    uid.JPEGLSLossless: codecs.decode_jpeg_ls,
    uid.JPEGLSNearLossless: codecs.decode_jpeg_ls,
    uid.JPEG2000Lossless: codecs.decode_jpeg2000,
    uid.JPEG2000: codecs.decode_jpeg2000,
    uid.JPEG2000MCLossless: codecs.decode_jpeg2000,
    uid.JPEG2000MC: codecs.decode_jpeg2000,
    uid.HTJ2KLossless: codecs.decode_jpeg2000,
    uid.HTJ2KLosslessRPCL: codecs.decode_jpeg2000,
    uid.HTJ2K: codecs.decode_jpeg2000,
    uid.RLELossless: codecs.decode_rle,
    _DEFLATED_FRAMES: codecs.decode_deflated,
}

DECODABLE = frozenset([*map(str, _NATIVE), *map(str, _ENCAPSULATED)])
"""The transfer syntaxes whose frames can be decoded."""


def decode_frame(
    description: PixelDescription, encoded: bytes, transfer_syntax: str, first_bit: int = 0
) -> Frame:
    """One frame as stored values, (rows, columns[, samples]), with their photometric meaning.

    `encoded` is exactly the frame: its native bytes, or its fragments joined. `first_bit` is for native 1 bit
    frames that start inside a byte. Unused high bits and overlays in them are masked, signs extended, planes
    interleaved. Raises PixelError on anything broken, on a header that contradicts the description, and on a
    transfer syntax that holds no single frames (video) or is unknown.
    """
    if transfer_syntax in _NATIVE:
        return _NATIVE[transfer_syntax](description, encoded, first_bit)
    codec = _ENCAPSULATED.get(transfer_syntax)
    if codec is None:
        raise PixelError(f"frames in {uid.UID(transfer_syntax).name} cannot be decoded")
    if description.is_float:
        raise PixelError("float pixel data cannot be compressed")
    frame = codec(description, encoded)
    # Decoders size their output by the codestream's precision; callers expect what the attributes say.
    bits = max(description.bits_allocated, 8 * frame.array.dtype.itemsize)
    array = frame.array.astype(integer_dtype(bits, description.is_signed), copy=False)
    return Frame(array.reshape(description.shape), frame.photometric)
