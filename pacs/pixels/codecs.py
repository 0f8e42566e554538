"""One function for each way a frame is compressed (PS3.5 A.4), each giving stored values as they were coded.

All have the same form: description and frame in, `Frame` out, PixelError where the frame is broken. Each
reads the frame's own header before the decoder may, as decoders allocate by what it says.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from pacs.pixels import headers, native
from pacs.pixels.description import Frame, PixelDescription, PixelError, integer_dtype
from pacs.pixels.headers import Codestream

CODEC_BYTES_MAX = 2 << 30  # what a JPEG 2000 decoder may take for its 32 bit working copies
_WORKING_BYTES = 8  # OpenJPEG holds a tile and the image, both in 32 bits a sample
_BASELINE_RATIO_MAX = 1_024  # samples a byte: a block of 64 has 2 bits at least, 4:2:0 has 768 in 12
_LOSSLESS_RATIO_MAX = 8  # one bit at least for each sample
_RLE_RATIO_MAX = 64  # 2 bytes stand for 128 at most (PS3.5 G.3.1)
_RLE_SLACK_BYTES = 16


Codec = Callable[[PixelDescription, bytes], Frame]


def decode_jpeg(description: PixelDescription, frame: bytes) -> Frame:
    """JPEG baseline, extended (8 and 12 bit), progressive and lossless of any predictor (PS3.5 A.4.1).

    Colour comes back as RGB where the frame was transformed; lossless frames keep the components as coded.
    A frame without its end (EOI) is refused, as the decoder would fill what is missing with grey.
    """
    found = headers.read_jpeg(frame)
    headers.check(found, description)
    if found.process not in (0xC0, 0xC1, 0xC2, 0xC3):
        raise PixelError(f"JPEG process SOF{found.process & 0x0F} cannot be decoded")
    _check_ending(frame)
    _check_jpeg_data(found, frame)
    out = np.zeros(description.shape, integer_dtype(found.precision, False))
    space, photometric = _jpeg_colours(found, description)
    _run(imagecodecs.jpeg8_decode, frame, colorspace=space[0], outcolorspace=space[1], out=out)
    return Frame(_signed(out, description, description.bits_stored), photometric)


def decode_jpeg_ls(description: PixelDescription, frame: bytes) -> Frame:
    """JPEG-LS, lossless and near-lossless (PS3.5 A.4.3)."""
    found = headers.read_jpeg(frame)
    headers.check(found, description)
    if found.process != 0xF7:
        raise PixelError("the frame is JPEG, not JPEG-LS")
    _check_ending(frame)
    array = _run(imagecodecs.jpegls_decode, frame)
    return Frame(_signed(array, description, found.precision), description.photometric)


def decode_jpeg2000(description: PixelDescription, frame: bytes) -> Frame:
    """JPEG 2000 and HTJ2K (PS3.5 A.4.4, A.4.11), both by OpenJPEG.

    OpenJPH would be faster for HTJ2K, but through imagecodecs it crashes on broken frames or gives half.
    The decoders undo RCT and ICT, so transformed components come back as RGB (PS3.5 8.2.4).
    """
    codestream = headers.codestream_of(frame)
    found = headers.read_jpeg2000(codestream)
    headers.check(found, description)
    if description.cells * _WORKING_BYTES > CODEC_BYTES_MAX:
        raise PixelError(f"a frame of {description.cells} samples is too large for JPEG 2000")
    array = _run(imagecodecs.jpeg2k_decode, codestream, numthreads=1)
    if found.is_signed != description.is_signed:
        # Modalities code signed values as unsigned ones of the same bits, and the reverse.
        array = native.sign(array, found.precision, description.is_signed)
    photometric = description.photometric
    if found.is_transformed or photometric in ("YBR_RCT", "YBR_ICT"):
        photometric = "RGB"
    return Frame(array, photometric)


def decode_rle(description: PixelDescription, frame: bytes) -> Frame:
    """RLE Lossless (PS3.5 annex G): one segment for each byte of each sample, most significant first."""
    planar = replace(description, planar_configuration=1, photometric=_whole(description.photometric))
    if description.bits_allocated not in (8, 16, 32, 64):
        raise PixelError(f"RLE of {description.bits_allocated} bits allocated")
    cell_bytes = description.bits_allocated // 8
    bounds = _rle_bounds(frame, description.samples * cell_bytes)
    _check_ratio(planar.frame_bytes, frame, _RLE_RATIO_MAX)
    cells = np.empty((description.samples, description.pixels, cell_bytes), np.uint8)
    for index, (start, end) in enumerate(pairwise(bounds)):
        sample, byte = divmod(index, cell_bytes)
        cells[sample, :, cell_bytes - 1 - byte] = _unpack(frame[start:end], description.pixels)
    return native.decode_little(planar, cells.tobytes())


def decode_deflated(description: PixelDescription, frame: bytes) -> Frame:
    """Deflated Image Frame Compression (PS3.5 A.4.13): a native frame, deflated."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(frame, description.frame_bytes + 2)
    except zlib.error as error:
        raise PixelError("the frame's deflated data are broken") from error
    return native.decode_little(description, inflated)


def _run(decoder: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call a foreign decoder; whatever it raises is a PixelError, except that memory has run out."""
    try:
        return decoder(*arguments, **options)
    except MemoryError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise PixelError(f"the frame cannot be decoded: {reason}") from error


def _check_ratio(decoded: int, frame: bytes, ratio_max: int) -> None:
    if decoded > len(frame) * ratio_max:
        raise PixelError(f"{len(frame)} bytes cannot hold a frame of {decoded}: cut, or a bomb")


def _check_ending(frame: bytes) -> None:
    """A cut JPEG is filled with grey by its decoder, and a cut JPEG-LS costs CharLS seconds to give up on."""
    if frame.find(b"\xff\xd9", frame.rfind(b"\xff\xda")) < 0:
        raise PixelError("the frame is cut: it has no end of image")


def _check_jpeg_data(found: Codestream, frame: bytes) -> None:
    if frame.count(b"\xff\xda") > headers.SCANS_MAX:
        raise PixelError("the frame has too many scans")
    cells = found.rows * found.columns * found.samples
    _check_ratio(cells, frame, _LOSSLESS_RATIO_MAX if found.process == 0xC3 else _BASELINE_RATIO_MAX)


def _jpeg_colours(found: Codestream, description: PixelDescription) -> tuple[tuple[str, str], str]:
    """((colour space of the frame, of the output), photometric interpretation of the output)."""
    if found.samples == 1:
        return ("GRAYSCALE", "GRAYSCALE"), description.photometric
    if found.process == 0xC3:
        return ("RGB", "RGB"), _whole(description.photometric)  # libjpeg transforms no lossless colour
    is_transformed = found.is_transformed
    if is_transformed is None:
        is_transformed = found.is_subsampled or description.photometric.startswith("YBR")
    return ("YCBCR" if is_transformed else "RGB", "RGB"), "RGB"


def _whole(photometric: str) -> str:
    """A decoder that gives every sample leaves nothing subsampled, whatever the attribute says."""
    return "YBR_FULL" if photometric == "YBR_FULL_422" else photometric


def _signed(array: NDArray[Any], description: PixelDescription, bits: int) -> NDArray[Any]:
    """JPEG and JPEG-LS know unsigned values only, the attributes how to read them (PS3.5 8.2.1, 8.2.3)."""
    return native.sign(array, bits, True) if description.is_signed else array


def _rle_bounds(frame: bytes, segments: int) -> list[int]:
    """Where each segment starts, and the end, by the RLE header of 16 words (PS3.5 G.5)."""
    if len(frame) < 64:
        raise PixelError("the frame is shorter than an RLE header")
    count, *offsets = struct.unpack_from("<16I", frame)
    if count != segments:
        raise PixelError(f"{count} RLE segments where the attributes need {segments}")
    used = [*offsets[:count], len(frame)]
    if used[0] != 64 or any(here >= after for here, after in pairwise(used)):
        raise PixelError("the RLE header points outside the frame")
    return used


def _unpack(segment: bytes, size: int) -> NDArray[np.uint8]:
    """One segment's bytes (PS3.5 G.3.2). Some encoders pad a segment, which decodes to a few bytes more."""
    unpacked = _run(imagecodecs.packbits_decode, segment, out=size + _RLE_SLACK_BYTES)
    if len(unpacked) < size:
        raise PixelError(f"an RLE segment gives {len(unpacked)} of {size} bytes: cut or broken")
    return np.frombuffer(unpacked, np.uint8, size)
