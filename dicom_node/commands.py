"""Command sets (PS3.7 6.3.1, E.1): always Implicit VR Little Endian, a handful of short elements."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

C_STORE_RQ, C_STORE_RSP = 0x0001, 0x8001
C_GET_RQ, C_FIND_RQ, C_MOVE_RQ, C_ECHO_RQ = 0x0010, 0x0020, 0x0021, 0x0030
N_EVENT_REPORT_RQ, N_SET_RQ, N_ACTION_RQ, N_CREATE_RQ = 0x0100, 0x0120, 0x0130, 0x0140
C_CANCEL_RQ = 0x0FFF
RESPONSE = 0x8000  # the bit of a command field that makes it a response
COMMAND = 0x01  # of a PDV's message control header: a fragment of a command set (PS3.8 E.2)
NO_DATA_SET, DATA_SET = 0x0101, 0x0001
_REQUESTS = {0x0001, 0x0010, 0x0020, 0x0021, 0x0030, 0x0100, 0x0110, 0x0120, 0x0130, 0x0140, 0x0150}
KNOWN = frozenset({0x0FFF} | _REQUESTS | {r | 0x8000 for r in _REQUESTS})  # PS3.7 E.1-1; 0FFF is C-CANCEL-RQ
COMMENT_CHARACTERS_MAX = 64  # VR LO
COMMAND_BYTES_MAX = 64 * 1024
UNLIMITED_PDU_BYTES = 128 * 1024  # of those that we send where the peer names no limit

_ELEMENT = struct.Struct("<HHI")
_STORE_OUTCOME = struct.Struct("<" + 4 * "HHIH")


class Status(IntEnum):
    """The statuses that we answer (PS3.4 B.2.3, C.4; PS3.7 C)."""

    SUCCESS = 0x0000
    PENDING = 0xFF00
    CANCEL = 0xFE00
    SUB_OPERATIONS_FAILED = 0xB000  # complete, one or more failures
    CANNOT_PERFORM = 0xA702
    MOVE_DESTINATION_UNKNOWN = 0xA801
    IDENTIFIER_DOES_NOT_MATCH = 0xA900
    UNRECOGNISED_OPERATION = 0x0211
    NOT_AUTHORISED = 0x0124
    INVALID_ARGUMENT = 0x0115
    NO_SUCH_ACTION = 0x0123
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
    priority: int = 0  # 0 medium, 1 high, 2 low

    @property
    def class_uid(self) -> str:
        return _text(self.sop_class)

    @property
    def instance_uid(self) -> str:
        return _text(self.sop_instance)


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace").strip("\0 ")


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message that is no C-STORE request: its command set, the context it came in, and its data set."""

    command: dict[int, bytes]
    context_id: int
    abstract_syntax: str
    transfer_syntax: str
    data: bytes

    @property
    def field(self) -> int:
        return _number(self.command, 0x0100)

    @property
    def message_id(self) -> int:
        """Of a request; of a response or a C-CANCEL the one that it is about."""
        return _number(self.command, 0x0110 if 0x0110 in self.command else 0x0120)

    @property
    def class_uid(self) -> str:
        """Affected, or Requested SOP Class UID."""
        return _text(self.command.get(0x0002) or self.command.get(0x0003, b""))

    @property
    def instance_uid(self) -> str:
        """Affected, or Requested SOP Instance UID."""
        return _text(self.command.get(0x1000) or self.command.get(0x1001, b""))

    def text(self, element: int) -> str:
        """An element of VR AE, LO or UI; "" if it is not there."""
        return _text(self.command.get(element, b""))

    def number(self, element: int) -> int:
        """An element of VR US; 0 if it is not there."""
        return int.from_bytes(self.command.get(element, b"")[:2], "little")


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
        priority=int.from_bytes(found.get(0x0700, b"")[:2], "little"),
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
    """An encoded C-STORE-RSP command set. Written out, as it is made for each image."""
    body = (
        _element(0x0002, request.sop_class)
        + _STORE_OUTCOME.pack(
            *(0, 0x0100, 2, C_STORE_RSP),
            *(0, 0x0120, 2, request.message_id),
            *(0, 0x0800, 2, NO_DATA_SET),
            *(0, 0x0900, 2, status),
        )
        + (_element(0x0902, _value(comment[:COMMENT_CHARACTERS_MAX])) if comment else b"")
        + _element(0x1000, request.sop_instance)
    )
    return _element(0x0000, struct.pack("<I", len(body))) + body


def response(request: Message, status: int, *, comment: str = "", data_set: bool = False,
             counts: Counts | None = None) -> bytes:  # fmt: skip
    """The encoded command set of an answer to any other request."""
    fields = _outcome(status, comment) | {0x0100: request.field | RESPONSE, 0x0120: request.message_id}
    for affected, requested in ((0x0002, 0x0003), (0x1000, 0x1001)):
        if uid := request.command.get(affected) or request.command.get(requested):
            fields[affected] = uid
    if data_set:
        fields[0x0800] = DATA_SET
    if counts is not None:
        fields |= counts.fields(final=status != Status.PENDING)
    return encode(fields)


@dataclass(slots=True)
class Counts:
    """Sub-operations of a C-GET or C-MOVE (PS3.7 9.3.3.2, 9.3.4.2)."""

    remaining: int = 0
    completed: int = 0
    failed: int = 0
    warning: int = 0

    def fields(self, *, final: bool) -> Fields:
        """Number of Remaining … Warning Sub-operations; the first does not stand in a final answer, but after
        C-CANCEL, which leaves some."""
        done: Fields = {0x1021: _us(self.completed), 0x1022: _us(self.failed), 0x1023: _us(self.warning)}
        return done if final and not self.remaining else done | {0x1020: _us(self.remaining)}


Fields = dict[int, int | str | bytes]
"""Elements of a command set by number, as `encode` takes them."""


def _us(number: int) -> int:
    return min(number, 0xFFFF)


def _outcome(status: int, comment: str) -> Fields:
    fields: Fields = {0x0800: NO_DATA_SET, 0x0900: status}
    if comment:
        fields[0x0902] = comment[:COMMENT_CHARACTERS_MAX]
    return fields


def p_data_pieces(context_id: int, data: bytes, length_max: int, control: int = 0) -> bytes:
    """P-DATA-TF PDUs, none longer than `length_max` (0: no limit), that carry a command set or a data set."""
    room = (length_max or UNLIMITED_PDU_BYTES) - 6
    pieces = [data[at : at + room] for at in range(0, len(data), room)] or [b""]
    last = len(pieces) - 1
    return b"".join(
        p_data(context_id, piece, control | (0x02 if n == last else 0)) for n, piece in enumerate(pieces)
    )


def p_data(context_id: int, data: bytes, control: int = 0x03) -> bytes:
    """A P-DATA-TF PDU with one PDV (PS3.8 9.3.5); of a whole command set, if `control` is not given."""
    return struct.pack(">BBIIBB", 0x04, 0, len(data) + 6, len(data) + 2, context_id, control) + data


_UIDS = frozenset({0x0002, 0x0003, 0x1000, 0x1001})  # padded with NUL; other text with a space (PS3.5 6.2)


def encode(values: Mapping[int, int | str | bytes]) -> bytes:
    """A command set of these elements of group 0000, led by its group length. Whole numbers are US; bytes are as they
    came, the rest is text."""
    body = b"".join(_element(number, _value(value)) for number, value in sorted(values.items()))
    return _element(0x0000, struct.pack("<I", len(body))) + body


def _value(value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return struct.pack("<H", value)
    return value.encode("ascii", "replace") if isinstance(value, str) else value


def _element(number: int, value: bytes) -> bytes:
    padded = value + (b"\0" if number in _UIDS else b" ") * (len(value) % 2)
    return _ELEMENT.pack(0, number, len(padded)) + padded


def status_of(found: dict[int, bytes]) -> int:
    """(0000,0900); raises ValueError if it is not there."""
    return _number(found, 0x0900)


def answered_message(found: dict[int, bytes]) -> int:
    """(0000,0120), which request a response answers; raises ValueError if it is not there."""
    return _number(found, 0x0120)


def comment_of(found: dict[int, bytes]) -> str:
    """(0000,0902) Error Comment, perhaps empty."""
    return _text(found.get(0x0902, b""))
