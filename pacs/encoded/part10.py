"""The head of a Part 10 file: preamble, prefix and file meta information (PS3.10 7.1), read and written."""

import zlib
from dataclasses import dataclass
from functools import lru_cache
from struct import pack

from pacs.encoded.dictionary import LONG_VRS, public_vr
from pacs.encoded.model import DEFAULT, EncodedError, Limits
from pacs.encoded.syntax import DEFLATED, LITTLE, LONG_CODES, SHORT_CODES, UNDEFINED
from pacs.uids import UID_LENGTH_MAX

# A placeholder root under Medical Connections' free UIDs, until the project has its own.
UID_ROOT = "1.2.826.0.1.3680043.10.1561"
IMPLEMENTATION_CLASS_UID = f"{UID_ROOT}.1"
IMPLEMENTATION_VERSION_NAME = "TONGYING_0_1"

_PREAMBLE_BYTES = 128
_PREFIX = b"DICM"
_PREAMBLE_AND_PREFIX = bytes(_PREAMBLE_BYTES) + _PREFIX
_META_VALUE_BYTES_MAX = 1 << 10
_META_BYTES_MAX = 1 << 20
_TRANSFER_SYNTAX = 0x00020010


@dataclass(frozen=True, slots=True)
class Head:
    """What stands before the data set.

    meta: group 0002 as text: numbers in decimal, bytes in hexadecimal, values over 1 KiB left out.
    dataset_offset: in bytes, 0 for a data set without any head.
    """

    meta: dict[int, str]
    dataset_offset: int

    @property
    def transfer_syntax(self) -> str:
        return self.meta.get(_TRANSFER_SYNTAX, "")


def read_file_meta(part10: bytes | memoryview) -> dict[int, str]:
    """Group 0002 as text by tag; {} for a file without it. Tolerates a missing preamble and group length."""
    return read_head(part10).meta


def read_head(part10: bytes | memoryview) -> Head:
    """Group 0002 and where the data set starts. Never raises; reads as far as elements are of group 0002."""
    view = as_view(part10)
    start = _meta_start(view)
    meta: dict[int, str] = {}
    pos = start
    while pos - start < _META_BYTES_MAX and (element := _meta_element(view, pos)) is not None:
        tag, vr, begin, pos = element
        if pos - begin <= _META_VALUE_BYTES_MAX:
            meta[tag] = _as_text(bytes(view[begin:pos]), vr)
    return Head(meta, pos)


def as_view(part10: bytes | memoryview) -> memoryview:
    """The bytes as a flat memoryview of unsigned bytes, without a copy."""
    view = memoryview(part10)
    return view if view.format == "B" and view.ndim == 1 else view.cast("B")


def _meta_start(view: memoryview) -> int:
    if bytes(view[_PREAMBLE_BYTES : _PREAMBLE_BYTES + 4]) == _PREFIX:
        return _PREAMBLE_BYTES + 4
    return 4 if bytes(view[:4]) == _PREFIX else 0


def _meta_element(view: memoryview, pos: int) -> tuple[int, str, int, int] | None:
    """Tag, VR, start and end of the element at `pos`; `None` unless it is a whole one of group 0002."""
    if pos + 8 > len(view):
        return None
    group, number, length = LITTLE.implicit.unpack_from(view, pos)
    if group != 2:
        return None
    tag, code, begin = group << 16 | number, bytes(view[pos + 4 : pos + 6]), pos + 8
    vr = SHORT_CODES.get(code) or LONG_CODES.get(code)
    if vr is None:
        vr = public_vr(tag) or "UN"
    elif vr not in LONG_VRS:
        length = LITTLE.explicit.unpack_from(view, pos)[3]
    elif pos + 12 <= len(view):
        length, begin = LITTLE.long.unpack_from(view, pos + 8)[0], pos + 12
    if length == UNDEFINED or begin + length > len(view):
        return None
    return tag, vr, begin, begin + length


def _as_text(raw: bytes, vr: str) -> str:
    if vr in ("OB", "UN"):
        return raw.hex()
    if vr == "UL" and len(raw) == 4:
        return str(int.from_bytes(raw, "little"))
    return raw.decode("latin-1").strip(" \0")


def part10_header(sop_class: str, sop_instance: str, transfer_syntax: str, *, source_ae: str) -> bytes:
    """Preamble, prefix and file meta information to stand before a data set received by DIMSE.

    `source_ae`: the sender's AE title, at most 16 characters; "" leaves the element out.
    Raises EncodedError for values that are no UIDs or no AE title (PS3.5 6.2, 9.1).
    """
    before, after = _meta_around(sop_class, transfer_syntax, source_ae)
    instance = _element(0x0003, b"UI", _uid(sop_instance))
    length = len(before) + len(instance) + len(after)
    return _PREAMBLE_AND_PREFIX + _element(0x0000, b"UL", pack("<I", length)) + before + instance + after


@lru_cache(maxsize=1024)
def _meta_around(sop_class: str, transfer_syntax: str, source_ae: str) -> tuple[bytes, bytes]:
    """The file meta information before and after the SOP Instance UID: a series has it in common."""
    return (
        b"\x02\x00\x01\x00OB\x00\x00\x02\x00\x00\x00\x00\x01" + _element(0x0002, b"UI", _uid(sop_class)),
        _element(0x0010, b"UI", _uid(transfer_syntax))
        + _element(0x0012, b"UI", _uid(IMPLEMENTATION_CLASS_UID))
        + _element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME.encode())
        + (_element(0x0016, b"AE", _ae_title(source_ae)) if source_ae.strip() else b""),
    )


def _element(number: int, code: bytes, value: bytes) -> bytes:
    pad = b"" if len(value) % 2 == 0 else b"\0" if code == b"UI" else b" "
    return pack("<HH2sH", 2, number, code, len(value) + len(pad)) + value + pad


def _uid(value: str) -> bytes:
    if not 0 < len(value) <= UID_LENGTH_MAX or value.strip("0123456789."):
        raise EncodedError("not a UID")
    return value.encode("ascii")


def _ae_title(value: str) -> bytes:
    value = value.strip()
    if len(value) > 16 or not value.isascii() or not value.isprintable():
        raise EncodedError("not an AE title")
    return value.encode("ascii")


def inflate_dataset(part10: bytes | memoryview, limits: Limits = DEFAULT) -> bytes:
    """The data set of a deflated instance, inflated (PS3.5 A.5); offsets of `Instance` then count in it.

    A stream cut short gives what could be inflated. Raises EncodedError if it is no deflated stream, or
    passes `limits.inflate_bytes_max`.
    """
    view = as_view(part10)
    data = inflate(view[read_head(view).dataset_offset :], limits)
    if data is None:
        raise EncodedError("not a deflated data set")
    return data


def inflate(stream: memoryview, limits: Limits) -> bytes | None:
    """Inflates a raw deflate stream, `None` if it is none. Raises EncodedError past the limit."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(stream, limits.inflate_bytes_max + 1)
    except zlib.error:
        return None
    if len(data) > limits.inflate_bytes_max:
        raise EncodedError("inflates past the limit")
    return data


def is_deflated(head: Head) -> bool:
    return head.transfer_syntax == DEFLATED
