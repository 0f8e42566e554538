"""An association that we request: negotiated, used and released in the caller's thread, with no other.

    with Requestor(calling="TONGYING", called="PEER", host="10.1.0.5", port=104, contexts=[...]) as peer:
        syntax = EXPLICIT if EXPLICIT in peer.accepted.get(sop_class, {}) else ...
        answer = peer.store(sop_class, sop_instance, syntax, pieces)

At the end of the block the association is released; an exception within aborts it. Everything that goes wrong with
the peer is a PeerError whose text may be shown; afterwards the association is over.
"""

from __future__ import annotations

import contextlib
import ssl
import struct
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, NamedTuple, Self

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import build_context
from pynetdicom.dsutils import encode
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
)

from dicom_node import commands, wire
from dicom_node.syntaxes import BIG_ENDIAN, IMPLICIT, VERIFICATION
from dicom_node.wire import Buffer, PeerAway, PeerError, Wire
from pacs.encoded import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from pacs.errors import NotAcceptable

__all__ = ["Answer", "Context", "PeerAway", "PeerError", "Rejected", "Requestor"]

CONTEXTS_MAX = 128  # odd numbers from 1 to 255 (PS3.8 9.3.2.2)
PDU_BYTES_MAX = 256 * 1024  # of P-DATA-TF, that we take and that we send
MESSAGE_BYTES_MAX = 16 * 1024 * 1024  # of a data set in an answer
BATCH_BYTES = 1024 * 1024  # of PDVs given to the kernel at once
RELEASE_SECONDS = 5
APPLICATION = "1.2.840.10008.3.1.1.1"
LAST, COMMAND = 0x02, 0x01  # PDV message control header (PS3.8 E.2)
_FRAGMENT = struct.Struct(">BBIIBB")


class Rejected(PeerAway):
    """An A-ASSOCIATE-RJ, in words (PS3.8 9.3.4)."""

    def __init__(self, reason: str, *, permanent: bool) -> None:
        super().__init__(reason)
        self.permanent = permanent


class Context(NamedTuple):
    """A presentation context to propose."""

    abstract_syntax: str
    transfer_syntaxes: Sequence[str]
    role: Literal["scu", "scp"] = "scu"  # ours; scp is asked for by role selection (PS3.7 D.3.3.4)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the peer answered to a request."""

    status: int  # (0000,0900)
    comment: str = ""  # (0000,0902)
    data: bytes = b""  # the data set of the answer, as it came

    @property
    def done(self) -> bool:
        """Success, or a warning with which it was done (PS3.7 C)."""
        return self.status == 0 or self.status & 0xF000 == 0xB000 or self.status in (0x0001, 0x0107, 0x0116)


class Requestor:
    """One association. Its methods block; `interrupt` may be called from another thread."""

    def __init__(
        self, *, calling: str, called: str, host: str, port: int,
        contexts: Sequence[Context | tuple[str, Sequence[str]]],
        tls: ssl.SSLContext | None = None, connect_seconds: float = 10, idle_seconds: float = 60,
    ) -> None:  # fmt: skip
        """Connect and negotiate. Raises PeerAway, Rejected, or PeerError; ValueError for unusable contexts.

        `connect_seconds` bounds the connection, and then the answer to the request; `idle_seconds` each later answer.
        """
        proposed = [Context(*context) for context in contexts]
        if not 1 <= len(proposed) <= CONTEXTS_MAX:
            raise ValueError(
                f"1 to {CONTEXTS_MAX} presentation contexts can be proposed, not {len(proposed)}"
            )
        request = _request(calling, called, proposed)
        self.accepted: dict[str, dict[str, int]] = {}  # abstract syntax → transfer syntax → context id
        self._message, self._pdvs = 0, deque[tuple[int, int, bytes]]()
        self._wire = Wire(host, port, tls=tls, connect_seconds=connect_seconds, idle_seconds=connect_seconds)
        try:
            self._wire.send([request])
            self._fragment_bytes = self._negotiated(proposed)
        except PeerError as error:
            self._wire.close()
            raise error if isinstance(error, Rejected) else PeerAway(str(error)) from None
        self._wire.be_patient(idle_seconds)
        self._wire.pdu_bytes_max = PDU_BYTES_MAX

    def _negotiated(self, proposed: list[Context]) -> int:
        """Take the answer; the length of a PDV's data that the peer allows."""
        kind, body = self._wire.receive()
        if kind == wire.ASSOCIATE_RJ:
            raise _rejection(body)
        if kind != wire.ASSOCIATE_AC:
            raise PeerError("it answered the request for an association with something else")
        answer = A_ASSOCIATE_AC()
        try:
            answer.decode(struct.pack(">BxI", kind, len(body)) + body)
            user = answer.user_information
            longest = user.maximum_length if user is not None else None
            for item in answer.presentation_context:
                if item.result == 0:
                    self._accept(proposed, item.context_id or 0, str(item.transfer_syntax))
        except Exception as error:  # its decoders raise whatever the bytes provoke
            raise PeerError(f"its answer cannot be read: {type(error).__name__}") from None
        if longest and longest < 8:
            raise PeerError(f"it takes PDUs of {longest} bytes, which hold nothing")
        return (min(longest or PDU_BYTES_MAX, PDU_BYTES_MAX) - 6) & ~1  # even (PS3.8 9.3.5.1); 0: any length

    def _accept(self, proposed: list[Context], context_id: int, syntax: str) -> None:
        number = context_id // 2
        if context_id % 2 and number < len(proposed) and syntax in proposed[number].transfer_syntaxes:
            self.accepted.setdefault(proposed[number].abstract_syntax, {}).setdefault(syntax, context_id)

    def store(
        self, sop_class: str, sop_instance: str, transfer_syntax: str, pieces: Iterable[Buffer], *,
        priority: int = 0, originator: tuple[str, int] | None = None,
    ) -> Answer:  # fmt: skip
        """C-STORE: `pieces` are the encoded data set in that transfer syntax, of any lengths, sent as they are.

        `priority`: 0 medium, 1 high, 2 low. `originator`: AE title and message ID of the C-MOVE that asked for it.
        Raises NotAcceptable where the context was not accepted, and PeerError. Whatever an iterator of pieces
        raises passes through, and the association is aborted, since half a data set cannot be taken back.
        """
        context_id = self._context(sop_class, transfer_syntax)
        values: commands.Fields = {
            0x0002: sop_class, 0x0100: commands.C_STORE_RQ, 0x0700: priority, 0x1000: sop_instance,
        }  # fmt: skip
        if originator is not None:
            values |= {0x1030: originator[0], 0x1031: originator[1]}
        return self._ask(context_id, values, pieces)

    def echo(self) -> Answer:
        """C-ECHO."""
        values: commands.Fields = {0x0002: VERIFICATION, 0x0100: commands.C_ECHO_RQ}
        return self._ask(next(iter(self._contexts_of(VERIFICATION).values())), values)

    def create(self, sop_class: str, sop_instance: str, attributes: Dataset) -> Answer:
        """N-CREATE (PS3.7 10.1.5)."""
        values: commands.Fields = {
            0x0002: sop_class, 0x0100: commands.N_CREATE_RQ, 0x1000: sop_instance,
        }  # fmt: skip
        return self._ask_with(sop_class, values, attributes)

    def report(self, sop_class: str, sop_instance: str, event_type: int, information: Dataset) -> Answer:
        """N-EVENT-REPORT (PS3.7 10.1.1), for which the context should be proposed with the role "scp"."""
        values: commands.Fields = {
            0x0002: sop_class, 0x0100: commands.N_EVENT_REPORT_RQ, 0x1000: sop_instance, 0x1002: event_type,
        }  # fmt: skip
        return self._ask_with(sop_class, values, information)

    def _contexts_of(self, abstract_syntax: str) -> dict[str, int]:
        contexts = self.accepted.get(abstract_syntax)
        if not contexts:
            raise NotAcceptable(f"the peer does not accept {UID(abstract_syntax).name}")
        return contexts

    def _context(self, abstract_syntax: str, transfer_syntax: str) -> int:
        try:
            return self.accepted[abstract_syntax][transfer_syntax]
        except KeyError:
            raise NotAcceptable(f"the peer does not accept {UID(abstract_syntax).name} "
                                f"in {UID(transfer_syntax).name}") from None  # fmt: skip

    def _ask_with(self, abstract_syntax: str, values: commands.Fields, data: Dataset) -> Answer:
        syntax, context_id = next(iter(self._contexts_of(abstract_syntax).items()))
        encoded = encode(data, syntax == IMPLICIT, syntax != BIG_ENDIAN)
        if encoded is None:
            raise ValueError("the data set cannot be encoded")
        return self._ask(context_id, values, [encoded])

    def _ask(
        self, context_id: int, values: commands.Fields, pieces: Iterable[Buffer] | None = None
    ) -> Answer:
        """Send a request and wait for its answer; whatever goes wrong in between ends the association."""
        if self._wire.closed:
            raise PeerError("the association is over")
        self._message = self._message % 0xFFFF + 1
        values[0x0110] = self._message
        values[0x0800] = commands.NO_DATA_SET if pieces is None else commands.DATA_SET
        try:
            self._send(context_id, commands.encode(values), pieces)
            return self._answer(int(values[0x0100]) | commands.RESPONSE)
        except BaseException:
            self.abort()
            raise

    def _send(self, context_id: int, command: bytes, pieces: Iterable[Buffer] | None) -> None:
        batch: list[Buffer] = []
        size = 0
        for number in range(0, len(command), self._fragment_bytes):
            part = command[number : number + self._fragment_bytes]
            last = LAST if number + len(part) == len(command) else 0
            batch += [self._header(len(part), context_id, COMMAND | last), part]
        for fragment, last in fragments(pieces, self._fragment_bytes) if pieces is not None else ():
            batch += [self._header(len(fragment), context_id, LAST if last else 0), fragment]
            size += len(fragment)
            if size >= BATCH_BYTES or len(batch) >= wire.BUFFERS_MAX:
                self._wire.send(batch)
                batch, size = [], 0
        if batch:
            self._wire.send(batch)

    @staticmethod
    def _header(length: int, context_id: int, control: int) -> bytes:
        return _FRAGMENT.pack(wire.P_DATA_TF, 0, length + 6, length + 2, context_id, control)

    def _answer(self, expected: int) -> Answer:
        try:
            found = commands.elements(self._fragments_of(COMMAND, commands.COMMAND_BYTES_MAX))
            if commands.command_field(found) != expected:
                raise ValueError("another message than the answer")
            if commands.answered_message(found) != self._message:
                raise ValueError("the answer to another message")
            data = self._fragments_of(0, MESSAGE_BYTES_MAX) if commands.has_data_set(found) else b""
            return Answer(commands.status_of(found), commands.comment_of(found), data)
        except ValueError as error:
            raise PeerError(f"it broke the protocol: {error}") from None

    def _fragments_of(self, kind: int, bytes_max: int) -> bytes:
        """A whole command set or data set."""
        whole = bytearray()
        while True:
            while not self._pdvs:
                self._read_pdvs()
            _context_id, control, data = self._pdvs.popleft()
            whole += data
            if control & COMMAND != kind or len(whole) > bytes_max:
                raise ValueError("a message out of order, or without end")
            if control & LAST:
                return bytes(whole)

    def _read_pdvs(self) -> None:
        kind, body = self._wire.receive()
        if kind == wire.RELEASE_RQ:
            self._wire.last(_pdu(wire.RELEASE_RP))
            raise PeerError("it released the association instead of answering")
        if kind != wire.P_DATA_TF:
            raise ValueError(f"a PDU of type {kind}")
        at = 0
        while at < len(body):
            if at + 6 > len(body):
                raise ValueError("a PDV is cut short")
            size, context_id, control = struct.unpack_from(">IBB", body, at)
            if size < 2 or at + 4 + size > len(body):
                raise ValueError("a PDV is longer than its PDU")
            self._pdvs.append((context_id, control, body[at + 6 : at + 4 + size]))
            at += 4 + size

    def release(self) -> None:
        """A-RELEASE, and close. A peer that does not answer it is left: everything was answered before."""
        if self._wire.closed:
            return
        with contextlib.suppress(PeerError):
            self._wire.be_patient(RELEASE_SECONDS)
            self._wire.send([_pdu(wire.RELEASE_RQ)])
            while (kind := self._wire.receive()[0]) != wire.RELEASE_RP:
                if kind == wire.RELEASE_RQ:  # both at once (PS3.8 7.2.2.7)
                    self._wire.send([_pdu(wire.RELEASE_RP)])
        self._wire.close()

    def abort(self) -> None:
        """A-ABORT, and close; safe to repeat."""
        self._wire.last(_pdu(wire.ABORT))

    def interrupt(self) -> None:
        """From another thread: what waits here ends at once with PeerError."""
        self._wire.interrupt()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.release()
        else:
            self.abort()


def fragments(pieces: Iterable[Buffer], size: int) -> Iterator[tuple[Buffer, bool]]:
    """The same bytes in fragments of `size`, but the last, each with whether it is the last. What a piece leaves over
    is joined to the next one, which is the only copy."""
    held: Buffer = b""
    for piece in pieces:
        view = memoryview(piece).cast("B")
        if held:
            room = size - len(held)
            held, view = b"".join((held, view[:room])), view[room:]
            if not view:
                continue
            yield held, False
        whole = (len(view) - 1) // size * size if view else 0
        for at in range(0, whole, size):
            yield view[at : at + size], False
        held = view[whole:]
    yield held, True


def _pdu(kind: int) -> bytes:
    """A-RELEASE-RQ, A-RELEASE-RP, or A-ABORT by the user (PS3.8 9.3.6 to 9.3.8)."""
    return struct.pack(">BxII", kind, 4, 0)


def _request(calling: str, called: str, proposed: list[Context]) -> bytes:
    """An A-ASSOCIATE-RQ; raises ValueError for titles and UIDs that cannot be written."""
    primitive = A_ASSOCIATE()
    primitive.calling_ae_title, primitive.called_ae_title = calling, called
    primitive.application_context_name = UID(APPLICATION)
    for number, context in enumerate(proposed):
        item = build_context(context.abstract_syntax, [str(s) for s in context.transfer_syntaxes])
        item.context_id = 2 * number + 1
        primitive.presentation_context_definition_list.append(item)
    length = MaximumLengthNotification()
    length.maximum_length_received = PDU_BYTES_MAX
    class_uid = ImplementationClassUIDNotification()
    class_uid.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    primitive.user_information = [length, class_uid, version, *_roles(proposed)]
    return A_ASSOCIATE_RQ(primitive).encode()


def _roles(proposed: list[Context]) -> list[SCP_SCU_RoleSelectionNegotiation]:
    roles = []
    for abstract_syntax in sorted({c.abstract_syntax for c in proposed if c.role == "scp"}):
        role = SCP_SCU_RoleSelectionNegotiation()
        role.sop_class_uid = UID(abstract_syntax)
        role.scu_role, role.scp_role = False, True
        roles.append(role)
    return roles


def _rejection(body: bytes) -> Rejected:
    answer = A_ASSOCIATE_RJ()
    try:
        answer.decode(struct.pack(">BxI", wire.ASSOCIATE_RJ, len(body)) + body)
        permanent = answer.result == 1
        reason = f"{answer.reason_str} ({'permanent' if permanent else 'transient'})"
    except Exception:  # out of the standard's tables, or cut short
        return Rejected("it rejected the association, with no reason that can be read", permanent=True)
    return Rejected(f"it rejected the association: {reason[0].lower()}{reason[1:]}", permanent=permanent)
