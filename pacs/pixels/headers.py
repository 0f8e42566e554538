"""The headers of compressed frames, read before a decoder is let near them.

Decoders trust their own header and allocate by it; a frame whose header differs from the attributes of its
instance is refused here, so that no bomb and no parser quirk decides how much memory is taken.
"""

import struct
from dataclasses import dataclass, replace

from pacs.pixels.description import PixelDescription, PixelError

SCANS_MAX = 64  # a progressive JPEG costs a pass over the whole frame for each scan
TILES_MAX = 4_096  # OpenJPEG takes some 6 kB for each tile a header claims
RPCL, BASE_SIDE_MAX = 2, 64  # the order of progression (ISO/IEC 15444-1 table A.16); pixels (PS3.5 10.18)
_JPEG_STANDALONE = {0x01, *range(0xD0, 0xD8)}  # TEM and RSTn have no length (ITU-T T.81 B.1.1.3)
_NOT_A_FRAME = {0xC4, 0xC8, 0xCC}  # DHT, JPG and DAC stand among the SOF codes (ITU-T T.81 table B.1)


@dataclass(frozen=True, slots=True)
class Codestream:
    """What a frame says of itself. `offset` is where its codestream starts, `length` where it ends."""

    rows: int
    columns: int
    samples: int
    precision: int
    process: int = 0
    """JPEG family: the low byte of the SOF marker (0xC0 baseline, 0xC3 lossless, 0xF7 JPEG-LS)."""
    is_signed: bool = False
    is_transformed: bool | None = None
    """Whether the components are a colour transform of RGB; None where the frame does not say."""
    is_subsampled: bool = False
    selection: int = 0
    """JPEG family: the first parameter of the scan: lossless the predictor, JPEG-LS how far a value may be off."""
    is_reversible: bool = False
    """JPEG 2000: by the reversible wavelet."""
    is_progressive: bool = False
    """JPEG 2000: ordered, cut and listed as the transfer syntaxes with RPCL options have it (PS3.5 10.18)."""


def check(found: Codestream, description: PixelDescription) -> None:
    """Raise PixelError where a frame's own header contradicts the attributes (precision may differ)."""
    told = (description.rows, description.columns, description.samples)
    if (found.rows, found.columns, found.samples) != told:
        own = f"{found.rows}×{found.columns}×{found.samples}"
        raise PixelError(f"the frame is {own} where the attributes say {'×'.join(map(str, told))}")
    if not 2 <= found.precision <= max(16, description.bits_allocated):
        raise PixelError(f"the frame has {found.precision} bits a sample")


def read_jpeg(frame: bytes) -> Codestream:
    """The header of a JPEG or JPEG-LS frame (ITU-T T.81 B.2, T.87 C.2), up to its first scan.

    Raises PixelError on anything that is not a marker where one must stand.
    """
    if frame[:2] != b"\xff\xd8":
        raise PixelError("the frame is no JPEG: it does not start with SOI")
    process, start, adobe, has_jfif, position = 0, b"", -1, False, 2
    while True:
        marker, body, position = _segment(frame, position)
        if marker == 0xDA:
            break
        if marker == 0xEE and body[:5] == b"Adobe" and len(body) >= 12:
            adobe = body[11]
        has_jfif |= marker == 0xE0 and body[:5] == b"JFIF\0"
        if (0xC0 <= marker <= 0xCF and marker not in _NOT_A_FRAME) or marker == 0xF7:
            if start:
                raise PixelError("the frame has two JPEG frame headers")
            process, start = marker, body
    selection = 1 + 2 * body[0] if body else 0  # behind the components (ITU-T T.81 B.2.3, T.87 C.2.3)
    return replace(
        _jpeg_frame(process, start, adobe, has_jfif),
        selection=body[selection] if selection < len(body) else 0,
    )


def _segment(frame: bytes, position: int) -> tuple[int, bytes, int]:
    """The next marker segment: its code, its body, and where the one after starts."""
    if frame[position : position + 1] != b"\xff":
        raise PixelError("the frame's JPEG header is broken or cut")
    while frame[position : position + 1] == b"\xff":  # fill bytes (ITU-T T.81 B.1.1.2)
        position += 1
    marker = frame[position] if position < len(frame) else 0xD9
    if marker in _JPEG_STANDALONE:
        return marker, b"", position + 1
    length = int.from_bytes(frame[position + 1 : position + 3], "big")
    if marker in (0x00, 0xD8, 0xD9) or length < 2 or position + 1 + length > len(frame):
        raise PixelError("the frame's JPEG header is broken or cut")
    return marker, frame[position + 3 : position + 1 + length], position + 1 + length


def _jpeg_frame(process: int, start: bytes, adobe: int, has_jfif: bool) -> Codestream:
    if len(start) < 6 or len(start) < 6 + 3 * start[5]:
        raise PixelError("the frame has no JPEG frame header before its first scan")
    precision, rows, columns, samples = struct.unpack(">BHHB", start[:6])
    components = [start[6 + 3 * index : 9 + 3 * index] for index in range(samples)]
    return Codestream(
        rows=rows,
        columns=columns,
        samples=samples,
        precision=precision,
        process=process,
        is_transformed=_transform(bytes(c[0] for c in components), adobe, has_jfif),
        is_subsampled=len({c[1] for c in components}) > 1,
    )


def _transform(identifiers: bytes, adobe: int, has_jfif: bool) -> bool | None:
    if adobe in (0, 1):
        return adobe == 1
    if identifiers in (b"RGB", b"rgb"):
        return False
    return True if has_jfif and len(identifiers) == 3 else None


def codestream_of(frame: bytes) -> bytes:
    """The JPEG 2000 codestream of a frame, out of its JP2 boxes where a modality left it in (PS3.5 8.2.4).

    The boxes go, as their colour profiles would have the decoder change stored values.
    """
    if frame[:4] == b"\xff\x4f\xff\x51":
        return frame
    position = 0
    while position + 8 <= len(frame):
        size, kind = struct.unpack_from(">I4s", frame, position)
        head = 8
        if size == 1 and position + 16 <= len(frame):
            (size,), head = struct.unpack_from(">Q", frame, position + 8), 16
        if kind == b"jp2c":
            return frame[position + head : position + size if size else None]
        if size < head:
            break
        position += size
    raise PixelError("the frame is no JPEG 2000 codestream")


def read_jpeg2000(frame: bytes) -> Codestream:
    """The main header of a JPEG 2000 or HTJ2K codestream (ISO/IEC 15444-1 A.5, A.6; 15444-15 A).

    Raises PixelError where it is broken, its tiles are too many, or its components differ among themselves.
    """
    if frame[:4] != b"\xff\x4f\xff\x51" or len(frame) < 42:
        raise PixelError("the frame is no JPEG 2000 codestream")
    width, height, left, top, tile_width, tile_height, tile_left, tile_top, samples = struct.unpack_from(
        ">8IH", frame, 8
    )
    components = frame[42 : 42 + 3 * samples]
    if not samples or len(components) < 3 * samples or not tile_width or not tile_height:
        raise PixelError("the frame's SIZ segment is broken")
    if width <= left or height <= top or tile_left > left or tile_top > top:
        raise PixelError("the frame's SIZ segment holds no image")
    tiles = -(-(width - tile_left) // tile_width) * -(-(height - tile_top) // tile_height)
    if tiles > TILES_MAX:
        raise PixelError(f"the frame claims {tiles} tiles, over the limit of {TILES_MAX}")
    if len({components[i : i + 3] for i in range(0, 3 * samples, 3)}) > 1 or components[1:3] != b"\x01\x01":
        raise PixelError("the frame's components differ in depth or sampling")
    header = _main_header(frame)
    coding = header.get(0x52, b"")
    if len(coding) < 14:
        raise PixelError("the frame has no coding style (COD) in its main header")
    rows, columns = height - top, width - left
    return Codestream(
        rows=rows,
        columns=columns,
        samples=samples,
        precision=(components[0] & 0x7F) + 1,
        is_signed=bool(components[0] & 0x80),
        is_transformed=coding[8] == 1,
        is_reversible=coding[13] == 1,
        is_progressive=coding[5] == RPCL
        and 0x55 in header
        and _base(min(rows, columns), coding[9]) <= BASE_SIDE_MAX,
    )


def _base(side: int, decompositions: int) -> int:
    """Of a side in pixels what is left at the lowest resolution (ISO/IEC 15444-1 B.5)."""
    return -(-side >> decompositions)


def _main_header(frame: bytes) -> dict[int, bytes]:
    """The segments behind SIZ by the low byte of their markers, with these (ISO/IEC 15444-1 A.3). Of COD (0x52): Lcod
    (2), Scod, SGcod (4: order of progression, layers, transform), SPcod: decompositions, …, wavelet (A.6.1)."""
    found: dict[int, bytes] = {}
    position = 2
    while position + 4 <= len(frame) and frame[position] == 0xFF:
        marker, length = frame[position + 1], int.from_bytes(frame[position + 2 : position + 4], "big")
        if marker == 0x90 or length < 2:  # SOT: the main header is over
            break
        found.setdefault(marker, frame[position : position + 2 + length])
        position += 2 + length
    return found
