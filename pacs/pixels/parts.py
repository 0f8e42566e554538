"""Pixels that come without an instance around them, each frame for itself: which transfer syntax they are in, and what
they say of themselves (PS3.18 8.7.3.3, table 8.7.3-5)."""

from __future__ import annotations

from pacs.encoded.syntax import EXPLICIT_LITTLE, is_encapsulated, is_video
from pacs.errors import UnsupportedSyntax
from pacs.pixels.description import PixelError
from pacs.pixels.headers import Codestream, codestream_of, read_jpeg, read_jpeg2000
from pacs.values import Json, integer

HEAD_BYTES = 256 * 1024  # of a frame: enough for its header, with a colour profile in it
OCTETS = "application/octet-stream"
_ROOT = "1.2.840.10008.1.2.4."
_NUMBERS = {
    "image/jpeg": (70, 50, 51, 57), "image/jls": (80, 81), "image/jp2": (90, 91), "image/jpx": (92, 93),
    "image/jphc": (201, 202, 203), "image/jxl": (110, 111, 112), "video/mpeg2": (100, 101),
    "video/mpeg": (100, 101), "video/mp4": (102, 103, 104, 105, 106), "video/H265": (107, 108),
}  # fmt: skip
RLE = "1.2.840.10008.1.2.5"
SYNTAXES = {kind.lower(): tuple(f"{_ROOT}{n}" for n in numbers) for kind, numbers in _NUMBERS.items()}
SYNTAXES |= {"image/dicom-rle": (RLE,)}
"""By media type, the default first."""
_COMPRESSED = frozenset(syntax for several in SYNTAXES.values() for syntax in several)
_PROCESSES = {  # what the frame header of each may say (ITU-T T.81 table B.1, PS3.5 A.4.1)
    f"{_ROOT}50": {0xC0}, f"{_ROOT}51": {0xC0, 0xC1}, f"{_ROOT}57": {0xC3}, f"{_ROOT}70": {0xC3},
    f"{_ROOT}80": {0xF7}, f"{_ROOT}81": {0xF7},
}  # fmt: skip
_JPEG_2000 = frozenset(f"{_ROOT}{n}" for n in (90, 91, 201, 202, 203))
_HTJ2K, _PROGRESSIVE = f"{_ROOT}201", f"{_ROOT}202"
_NEAR_LOSSLESS, _IRREVERSIBLE = f"{_ROOT}81", {f"{_ROOT}90": f"{_ROOT}91", f"{_ROOT}201": f"{_ROOT}203"}


def is_compressed(media_type: str, declared: str | None) -> bool:
    """Whether a part holds compressed pixels, or what may be any bytes."""
    return _known(media_type) in SYNTAXES or (declared is not None and is_encapsulated(declared))


def _known(media_type: str) -> str:
    """Before they were registered, some had an `x-`."""
    return media_type.lower().replace("/x-", "/", 1)


def syntax_of(media_type: str, declared: str | None, head: bytes) -> str:
    """The transfer syntax of a part, by its media type, the `transfer-syntax` it declares, and its first HEAD_BYTES.

    Where none is declared a JPEG, JPEG-LS or JPEG 2000 frame says itself which it is; the others are in the default.
    Raises UnsupportedSyntax, PixelError where the frame is not what it should be.
    """
    possible = SYNTAXES.get(_known(media_type), ())
    if not is_compressed(media_type, declared):
        if declared not in (None, EXPLICIT_LITTLE):
            raise UnsupportedSyntax("uncompressed pixels are in Explicit VR Little Endian")
        return EXPLICIT_LITTLE
    if declared is not None:
        base = declared.removesuffix(".1") if is_video(declared) else declared
        if base not in (possible or _COMPRESSED):
            raise UnsupportedSyntax("a transfer syntax that is unknown, or not one of the media type")
        return declared
    return _default(possible, header_of(possible[0], head, any_process=True))


def _default(possible: tuple[str, ...], found: Codestream | None) -> str:
    default = possible[0]
    if found is None:
        return default
    if default in _IRREVERSIBLE:
        if not found.is_reversible:
            return _IRREVERSIBLE[default]
        return _PROGRESSIVE if default == _HTJ2K and found.is_progressive else default
    if found.process == 0xF7:
        return default if found.selection == 0 else _NEAR_LOSSLESS
    if found.process == 0xC3:
        return default if found.selection == 1 else f"{_ROOT}57"
    return f"{_ROOT}50" if found.process == 0xC0 else f"{_ROOT}51"


def header_of(syntax: str, head: bytes, *, any_process: bool = False) -> Codestream | None:
    """What a frame in this transfer syntax says of itself, None if nothing. Raises PixelError where it is none."""
    if syntax in _JPEG_2000:
        return read_jpeg2000(codestream_of(head))
    if syntax in _PROCESSES:
        found = read_jpeg(head)
        is_ls = syntax in (f"{_ROOT}80", f"{_ROOT}81")
        possible = ({0xF7} if is_ls else {0xC0, 0xC1, 0xC3}) if any_process else _PROCESSES[syntax]
        if found.process not in possible:
            raise PixelError(f"the frame is of another JPEG process ({found.process:02X})")
        return found
    if syntax == RLE and not (len(head) >= 64 and 1 <= int.from_bytes(head[:4], "little") <= 15):
        raise PixelError("the frame has no RLE header")  # PS3.5 G.5
    return None


def described(attributes: Json, found: Codestream) -> Json:
    """With the attributes of the Image Pixel Description Macro that were left out, as they may be, since the frame has
    them (PS3.18 10.5.1.4). Raises PixelError where one that was given says otherwise."""
    for tag, said in (("00280002", found.samples), ("00280010", found.rows), ("00280011", found.columns)):
        if tag in attributes and integer(attributes, tag) != said:
            raise PixelError(f"{tag} is not what the frame says")
    allocated = 8 if found.precision <= 8 else 16
    numbers = {
        "00280002": found.samples, "00280010": found.rows, "00280011": found.columns, "00280100": allocated,
        "00280101": found.precision, "00280102": found.precision - 1, "00280103": int(found.is_signed),
    }  # fmt: skip
    if found.samples > 1:
        numbers["00280006"] = 0
    told: Json = {tag: {"vr": "US", "Value": [number]} for tag, number in numbers.items()}
    told["00280004"] = {"vr": "CS", "Value": [_photometric(found)]}
    return told | attributes


def _photometric(found: Codestream) -> str:
    if found.samples == 1:
        return "MONOCHROME2"
    if not found.process:  # JPEG 2000 (PS3.5 8.2.4)
        return ("YBR_RCT" if found.is_reversible else "YBR_ICT") if found.is_transformed else "RGB"
    if found.process in (0xC3, 0xF7) or found.is_transformed is False:
        return "RGB"
    return "YBR_FULL_422" if found.is_subsampled else "YBR_FULL"
