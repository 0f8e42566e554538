"""A peer that speaks the upper layer by hand (PS3.8 9.3), so that it can also say what no library would."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pacs.encoded import part10_header
from pacs.uids import new_uid

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
COMMAND, LAST = 0x01, 0x02
SECONDS = 15.0  # how long an answer may take
Context = tuple[str, Sequence[str]]  # abstract syntax, transfer syntaxes
DEFAULT_CONTEXTS: tuple[Context, ...] = ((CT, (EXPLICIT,)), (VERIFICATION, (IMPLICIT,)))  # IDs 1 and 3


@dataclass(frozen=True, slots=True)
class Pdu:
    """One PDU as it came."""

    kind: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """A response message: its command set."""

    context_id: int
    field: int
    message_id: int
    status: int
    comment: str
    elements: dict[int, bytes]


def pdu(kind: int, body: bytes, *, length: int | None = None) -> bytes:
    """A PDU; `length` may lie."""
    return struct.pack(">BxI", kind, len(body) if length is None else length) + body


def pdv(context_id: int, control: int, data: bytes, *, length: int | None = None) -> bytes:
    """A presentation data value item; `length` may lie."""
    return struct.pack(">IBB", len(data) + 2 if length is None else length, context_id, control) + data


def item(kind: int, body: bytes) -> bytes:
    """An item of an A-ASSOCIATE PDU."""
    return struct.pack(">BxH", kind, len(body)) + body


def associate_body(
    contexts: Sequence[Context] = DEFAULT_CONTEXTS,
    *,
    called: str = "TONGYING",
    calling: str = "BYHAND",
    pdu_length: int = 16384,
    more: bytes = b"",
) -> bytes:
    """The variable part of an A-ASSOCIATE-RQ; contexts have the IDs 1, 3, 5 …; `more` are items of user information."""
    body = struct.pack(">HH16s16s32x", 1, 0, called.ljust(16).encode(), calling.ljust(16).encode())
    body += item(0x10, APPLICATION_CONTEXT.encode())
    for number, (abstract, syntaxes) in enumerate(contexts):
        parts = item(0x30, abstract.encode()) + b"".join(item(0x40, s.encode()) for s in syntaxes)
        body += item(0x20, struct.pack(">B3x", 2 * number + 1) + parts)
    user = item(0x51, struct.pack(">I", pdu_length)) + item(0x52, b"1.2.3.4") + more
    return body + item(0x50, user)


def role_selection(sop_class: str, *, scu: bool = False, scp: bool = False) -> bytes:
    """An SCP/SCU Role Selection item (PS3.7 D.3.3.4.1)."""
    return item(0x54, struct.pack(">H", len(sop_class)) + sop_class.encode() + bytes([scu, scp]))


def element(number: int, value: bytes) -> bytes:
    """An element of a command set."""
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHI", 0, number, len(value)) + value


def command(*parts: bytes) -> bytes:
    """A command set with its group length."""
    body = b"".join(parts)
    return element(0x0000, struct.pack("<I", len(body))) + body


def us(number: int, value: int) -> bytes:
    return element(number, struct.pack("<H", value))


def store_rq(
    sop_instance: str, *, sop_class: str = CT, message_id: int = 1, data_set: bool = True, priority: int = 0
) -> bytes:
    """A C-STORE-RQ command set (PS3.7 9.3.1.1)."""
    return command(
        element(0x0002, sop_class.encode()),
        us(0x0100, 0x0001),
        us(0x0110, message_id),
        us(0x0700, priority),
        us(0x0800, 0x0000 if data_set else 0x0101),
        element(0x1000, sop_instance.encode()),
    )


def echo_rq(message_id: int = 1) -> bytes:
    """A C-ECHO-RQ command set (PS3.7 9.3.5.1)."""
    return command(
        element(0x0002, VERIFICATION.encode()), us(0x0100, 0x0030), us(0x0110, message_id), us(0x0800, 0x0101)
    )


def read_elements(data: bytes) -> dict[int, bytes]:
    """The elements of a command set by number."""
    found, offset = {}, 0
    while offset < len(data):
        _group, number, length = struct.unpack_from("<HHI", data, offset)
        found[number] = data[offset + 8 : offset + 8 + length]
        offset += 8 + length
    return found


def results(accepted: Pdu) -> dict[int, tuple[int, str]]:
    """Of an A-ASSOCIATE-AC: presentation context ID → its result and its transfer syntax (PS3.8 9.3.3.2)."""
    found, offset = {}, 68
    while offset < len(accepted.body):
        kind, length = struct.unpack_from(">BxH", accepted.body, offset)
        value = accepted.body[offset + 4 : offset + 4 + length]
        if kind == 0x21:
            found[value[0]] = (value[2], value[8:].decode())
        offset += 4 + length
    return found


class Peer:
    """A connection to the node."""

    def __init__(self, port: int, host: str = "127.0.0.1", source: str = "") -> None:
        self.socket = socket.create_connection((host, port), SECONDS, (source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, *data: bytes) -> None:
        self.socket.sendall(b"".join(data))

    def associate(
        self, contexts: Sequence[Context] = DEFAULT_CONTEXTS, *, called: str = "TONGYING", calling: str = "BYHAND",
        more: bytes = b"",
    ) -> Pdu:  # fmt: skip
        """Ask for an association and give the answer."""
        self.send(pdu(ASSOCIATE_RQ, associate_body(contexts, called=called, calling=calling, more=more)))
        answer = self.read()
        assert answer is not None, "no answer to the A-ASSOCIATE-RQ"
        return answer

    def read(self) -> Pdu | None:
        """The next PDU; None when the node closed or reset the connection."""
        head = self._receive(6)
        if head is None:
            return None
        kind, length = struct.unpack(">BxI", head)
        body = self._receive(length)
        return None if body is None else Pdu(kind, body)

    def _receive(self, length: int) -> bytes | None:
        data = b""
        while len(data) < length:
            try:
                piece = self.socket.recv(length - len(data))
            except ConnectionError:
                return None
            if not piece:
                return None
            data += piece
        return data

    def store(self, sop_instance: str, data_set: bytes, *, sop_class: str = CT, context_id: int = 1) -> int:
        """One C-STORE; the status of its response."""
        self.send(*message(store_rq(sop_instance, sop_class=sop_class), data_set, context_id))
        return self.answer().status

    def echo(self) -> int:
        self.send(pdu(P_DATA, pdv(3, COMMAND | LAST, echo_rq())))
        return self.answer().status

    def answer(self) -> Answer:
        """The next response message."""
        got = self.read()
        assert got is not None, "the connection was closed"
        assert got.kind == P_DATA, f"PDU {got.kind} {got.body.hex()}"
        elements = read_elements(got.body[6:])
        field, message_id, status = (int.from_bytes(elements[n], "little") for n in (0x0100, 0x0120, 0x0900))
        comment = elements.get(0x0902, b"").decode().rstrip(" \0")
        return Answer(got.body[4], field, message_id, status, comment, elements)

    def ends(self) -> list[int]:
        """The kinds of PDUs until the node closes; it has to."""
        kinds = []
        while (got := self.read()) is not None:
            kinds.append(got.kind)
        return kinds

    def release(self) -> None:
        self.send(pdu(RELEASE_RQ, bytes(4)))
        answer = self.read()
        assert answer is not None
        assert answer.kind == RELEASE_RP
        self.close()

    def end(self, how: str) -> None:
        """Close wherever it stands: "closed" as it is, "reset", or "aborted" by an A-ABORT."""
        if how == "aborted":
            self.send(pdu(ABORT, bytes(4)))
        elif how == "reset":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self.socket.close()


@contextmanager
def peer(port: int, host: str = "127.0.0.1") -> Iterator[Peer]:
    """A connection without an association yet."""
    one = Peer(port, host)
    try:
        yield one
    finally:
        one.close()


@contextmanager
def associated(port: int, contexts: Sequence[Context] = DEFAULT_CONTEXTS) -> Iterator[Peer]:
    """A connection with an accepted association."""
    with peer(port) as one:
        answer = one.associate(contexts)
        assert answer.kind == ASSOCIATE_AC, f"PDU {answer.kind}: {answer.body.hex()}"
        yield one


def message(command_set: bytes, data_set: bytes, context_id: int = 1, piece: int = 16000) -> Iterable[bytes]:
    """A message as P-DATA-TF PDUs with one PDV each."""
    yield pdu(P_DATA, pdv(context_id, COMMAND | LAST, command_set))
    for start in range(0, max(len(data_set), 1), piece):
        last = LAST if start + piece >= len(data_set) else 0
        yield pdu(P_DATA, pdv(context_id, last, data_set[start : start + piece]))


# Data sets in Explicit VR Little Endian, by hand: they need not be right.


def explicit(tag: int, vr: str, value: bytes, *, length: int | None = None) -> bytes:
    """One element; `length` may lie."""
    value += (b"\0" if vr in ("UI", "OB", "OW", "UN") else b" ") * (len(value) % 2)
    size = len(value) if length is None else length
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    if vr in ("OB", "OW", "UN", "SQ", "UT", "UC", "UR"):
        return head + struct.pack("<2xI", size) + value
    return head + struct.pack("<H", size) + value


@dataclass(frozen=True, slots=True)
class Made:
    """A data set made by hand and what it is called."""

    study: str
    series: str
    instance: str
    data: bytes

    @property
    def part10(self) -> bytes:
        """As a file."""
        return part10_header(CT, self.instance, EXPLICIT, source_ae="") + self.data


def made(
    *,
    study: str | None = None,
    series: str | None = None,
    instance: str | None = None,
    name: bytes = b"Hand^Made",
    patient_id: str = "BYHAND",
    more: dict[int, tuple[str, bytes]] | None = None,
    pixels: bytes | None = None,
    without: Iterable[int] = (),
) -> Made:
    """A small CT instance; `more` adds or replaces elements, `without` leaves some out."""
    study, series, instance = study or new_uid(), series or new_uid(), instance or new_uid()
    elements: dict[int, tuple[str, bytes]] = {
        0x00080016: ("UI", CT.encode()),
        0x00080018: ("UI", instance.encode()),
        0x00080020: ("DA", b"20260102"),
        0x00080060: ("CS", b"CT"),
        0x00100010: ("PN", name),
        0x00100020: ("LO", patient_id.encode()),
        0x0020000D: ("UI", study.encode()),
        0x0020000E: ("UI", series.encode()),
        0x00200013: ("IS", b"1"),
        0x00280002: ("US", struct.pack("<H", 1)),
        0x00280004: ("CS", b"MONOCHROME2"),
        0x00280010: ("US", struct.pack("<H", 16)),
        0x00280011: ("US", struct.pack("<H", 16)),
        0x00280100: ("US", struct.pack("<H", 16)),
        0x00280101: ("US", struct.pack("<H", 12)),
        0x00280102: ("US", struct.pack("<H", 11)),
        0x00280103: ("US", struct.pack("<H", 0)),
        0x7FE00010: ("OW", bytes(range(256)) * 2 if pixels is None else pixels),
        **(more or {}),
    }
    left_out = set(without)
    data = b"".join(explicit(t, vr, v) for t, (vr, v) in sorted(elements.items()) if t not in left_out)
    return Made(study, series, instance, data)
