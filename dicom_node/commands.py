"""Command sets (PS3.7 6.3.1, E.1): always Implicit VR Little Endian, a handful of short elements."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

C_STORE_RQ, C_STORE_RSP = 0x0001, 0x8001
NO_DATA_SET = 0x0101
_REQUESTS = {0x0001, 0x0010, 0x0020, 0x0021, 0x0030, 0x0100, 0x0110, 0x0120, 0x0130, 0x0140, 0x0150}
KNOWN = frozenset({0x0FFF} | _REQUESTS | {r | 0x8000 for r in _REQUESTS})  # PS3.7 E.1-1; 0FFF is C-CANCEL-RQ
COMMENT_CHARACTERS_MAX = 64  # VR LO
COMMAND_BYTES_MAX = 64 * 1024

_ELEMENT = struct.Struct("<HHI")


class Status(IntEnum):
    """The C-STORE statuses that we answer (PS3.4 B.2.3, PS3.7 C)."""

    SUCCESS = 0x0000
    NOT_AUTHORISED = 0x0124
    OUT_OF_RESOURCES = 0xA700
    CANNOT_UNDERSTAND = 0xC000
    INVALID_OBJECT_INSTANCE = 0x0117
    PROCESSING_FAILURE = 0x0110
    SOP_CLASS_NOT_SUPPORTED = 0x0122


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """A C-STORE-RQ. The UIDs are kept as they came too, because the response repeats them."""

    message_id: int
    sop_class: bytes
    sop_instance: bytes
    has_data_set: bool

    @property
    def class_uid(self) -> str:
        return _text(self.sop_class)

    @property
    def instance_uid(self) -> str:
        return _text(self.sop_instance)


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace").strip("\0 ")


def elements(command: bytes) -> dict[int, bytes]:
    """Element number of group 0000 → value; raises ValueError if it is not a command set."""
    found: dict[int, bytes] = {}
    offset, end = 0, len(command)
    while offset < end:
        if offset + 8 > end:
            raise ValueError("a command element is cut short")
        group, element, length = _ELEMENT.unpack_from(command, offset)
        offset += 8
        if group != 0 or offset + length > end:
            raise ValueError("not a command set")
        found[element] = command[offset : offset + length]
        offset += length
    return found


def command_field(found: dict[int, bytes]) -> int:
    """(0000,0100); raises ValueError if it is not there."""
    return _number(found, 0x0100)


def store_request(found: dict[int, bytes]) -> StoreRequest:
    """The C-STORE-RQ of these elements; raises ValueError for a missing message ID."""
    return StoreRequest(
        message_id=_number(found, 0x0110),
        sop_class=found.get(0x0002, b""),
        sop_instance=found.get(0x1000, b""),
        has_data_set=has_data_set(found),
    )


def has_data_set(found: dict[int, bytes]) -> bool:
    """(0000,0800), Command Data Set Type: every value but one says that a data set follows."""
    return _number(found, 0x0800) != NO_DATA_SET


def _number(found: dict[int, bytes], element: int) -> int:
    value = found.get(element, b"")
    if len(value) != 2:
        raise ValueError(f"(0000,{element:04X}) is missing")
    return int.from_bytes(value, "little")


def store_response(request: StoreRequest, status: int, comment: str = "") -> bytes:
    """An encoded C-STORE-RSP command set."""
    body = _element(0x0002, request.sop_class)
    body += _element(0x0100, struct.pack("<H", C_STORE_RSP))
    body += _element(0x0120, struct.pack("<H", request.message_id))
    body += _element(0x0800, struct.pack("<H", NO_DATA_SET))
    body += _element(0x0900, struct.pack("<H", status))
    if comment:
        body += _element(0x0902, comment[:COMMENT_CHARACTERS_MAX].encode("ascii", "replace"))
    body += _element(0x1000, request.sop_instance)
    return _element(0x0000, struct.pack("<I", len(body))) + body


def _element(element: int, value: bytes) -> bytes:
    padded = value + b"\0" * (len(value) % 2)
    return _ELEMENT.pack(0, element, len(padded)) + padded


def p_data(context_id: int, data: bytes, control: int = 0x03) -> bytes:
    """A P-DATA-TF PDU with one PDV (PS3.8 9.3.5); of a whole command set, if `control` is not given."""
    return struct.pack(">BBIIBB", 0x04, 0, len(data) + 6, len(data) + 2, context_id, control) + data
