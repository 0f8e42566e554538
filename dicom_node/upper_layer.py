"""pynetdicom's upper layer with a way of its own for C-STORE.

A C-STORE data set goes from the socket straight into the spool's buffer: no PDU objects, no queues, no
naps. Other messages are gathered whole for the association's thread (`dicom_node.services`); the making and ending
of associations is left to pynetdicom. What pynetdicom 3.0.4 does not guard is guarded here: the length of each PDU,
before and after the association is made (PS3.8 9.3, D.1).
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import StateMachine
from pynetdicom.timer import Timer

from dicom_node import commands
from dicom_node.reading import ConnectionLost, acknowledge, let_close, receive, receive_into, set_patience
from dicom_node.tls import TlsConnection
from pacs.logs import get

if TYPE_CHECKING:
    from dicom_node.association import NodeAssociation

log = get("upper_layer")

P_DATA_TF = 0x04
ASSOCIATE_PDU_BYTES_MAX = 1024 * 1024  # 128 contexts with many syntaxes are 100 kB
MESSAGE_BYTES_MAX = 16 * 1024 * 1024  # of any message that is not a C-STORE
WAIT_SECONDS = 0.5  # how long a quiet thread sleeps before it looks at its timers
LAST, COMMAND = 0x02, 0x01  # PDV message control header, PS3.8 E.2
_PDU, _PDV = struct.Struct(">BxI"), struct.Struct(">IBB")
ESTABLISHED, AWAITING_CLOSE = "Sta6", "Sta13"


class ProtocolError(Exception):
    """The peer broke PS3.8: the association is aborted."""


class WakingStateMachine(StateMachine):
    """Wakes the association's thread after each action, so that it need not poll."""

    def __init__(self, upper_layer: NodeUpperLayer, wake: threading.Event) -> None:
        super().__init__(upper_layer)
        self._wake = wake

    def do_action(self, event: str) -> None:
        super().do_action(event)
        self._wake.set()


class NodeUpperLayer(DULServiceProvider):
    """The DUL of an association that we accept."""

    def __init__(self, association: NodeAssociation) -> None:
        super().__init__(association)
        self._node = association
        self.state_machine = WakingStateMachine(self, association.wake)
        self.artim_timer = Timer(association.acse_timeout)
        self._idle_timer = Timer(association.settings.association_idle_seconds)
        self._head = memoryview(bytearray(6))  # of a PDU, then of a PDV
        self._command = bytearray()
        self._context_id = 0
        self._message: dict[int, bytes] | None = (
            None  # no C-STORE request: its command; waits for its data set
        )
        self._data = bytearray()
        self._sending = threading.Lock()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._pipe_lock = threading.Lock()

    def send_pdu(self, primitive: Any) -> None:
        super().send_pdu(primitive)
        self._ring()

    def kill_dul(self) -> None:
        super().kill_dul()
        self._ring()

    def run_reactor(self) -> None:
        try:
            super().run_reactor()
        finally:
            self.over()

    def over(self) -> None:
        """The connection has ended, or never came to be one. Once is enough, more do no harm."""
        self._node.place.leave()
        with self._pipe_lock:
            if self._wake_write < 0:
                return
            os.close(self._wake_read)
            os.close(self._wake_write)
            self._wake_write = -1
        self._node.hung_up()
        # Nobody waits any more for a peer that is gone: else its thread counts against the limits until
        # the ARTIM timer ends, and fifty port scans lock an address out.
        nothing: Any = None  # what a wait that timed out gives
        self.to_user_queue.put(nothing)
        self._node.wake.set()
        self._node.store.close()

    def close(self) -> None:
        """Close the connection, if nobody did yet."""
        peer = self._peer_socket()
        if peer is not None:
            peer.close()

    def _ring(self) -> None:
        with self._pipe_lock:
            if self._wake_write >= 0:
                with contextlib.suppress(BlockingIOError):  # it is ringing already
                    os.write(self._wake_write, b"\0")

    def _is_transport_event(self) -> bool:
        """Sleep until there is something to do. C-STOREs are served one after the other without leaving."""
        peer = self._peer_socket()
        if peer is None:
            return bool(super()._is_transport_event())
        if self.state_machine.current_state == AWAITING_CLOSE:
            let_close(peer)
            if self.socket is not None:
                self.socket.close()
            return True
        while not self._kill_thread and self.to_provider_queue.empty() and self.event_queue.empty():
            if not self._readable(peer):
                return False
            self._read_pdu_data()
            self._idle_timer.restart()
        return True

    def be_patient(self, seconds: int) -> None:
        """The peer is known now: a read may take this long."""
        peer = self._peer_socket()
        if peer is not None:
            set_patience(peer, seconds)

    def restart_idle_timer(self) -> None:
        """A request was served: the peer was not idle, it waited for us."""
        self._idle_timer.restart()

    def hang_up(self) -> None:
        """End the connection, from another thread: its own one then finds it closed."""
        peer = self._peer_socket()
        if peer is not None:
            with contextlib.suppress(OSError):  # it is closed already
                peer.shutdown(socket.SHUT_RDWR)

    def _peer_socket(self) -> socket.socket | None:
        return self.socket.socket if self.socket is not None else None

    def _readable(self, peer: socket.socket) -> bool:
        if isinstance(peer, TlsConnection) and peer.has_pending():
            return True
        try:
            watched: list[socket.socket | int] = [peer, self._wake_read]
            ready, _, _ = select.select(watched, [], [], WAIT_SECONDS)
        except (OSError, ValueError):  # closed by the other thread
            self.event_queue.put("Evt17")
            return False
        if self._wake_read in ready:
            os.read(self._wake_read, 4096)
        return peer in ready

    def _read_pdu_data(self) -> None:
        """Read one PDU, or as many as a C-STORE has: P-DATA here, all else into pynetdicom's decoder."""
        peer = self._peer_socket()
        if peer is None:
            return
        try:
            self._read_pdu(peer)
            while self._more_is_coming():
                self._idle_timer.restart()
                self._read_pdu(peer)
        except ConnectionLost:
            self.event_queue.put("Evt17")
        except ProtocolError as error:
            log.warning("association_aborted", reason=str(error), peer=self._node.peer)
            self.event_queue.put("Evt19")

    def _more_is_coming(self) -> bool:
        """The rest of a C-STORE, and nobody wants anything else meanwhile."""
        return (
            self._node.store.receiving
            and self.event_queue.empty()
            and self.to_provider_queue.empty()
            and not self._kill_thread
        )

    def _read_pdu(self, peer: socket.socket) -> None:
        receive_into(peer, self._head)
        kind, length = _PDU.unpack(self._head)
        if kind == P_DATA_TF and self.state_machine.current_state == ESTABLISHED:
            self._p_data(peer, length)
        else:
            self._other_pdu(peer, kind, length)

    def _other_pdu(self, peer: socket.socket, kind: int, length: int) -> None:
        if not 1 <= kind <= 7:
            raise ProtocolError("unknown PDU type")
        if length > ASSOCIATE_PDU_BYTES_MAX:
            raise ProtocolError(f"a PDU of {length} bytes is announced")
        self._hand_to_pynetdicom(struct.pack(">BxI", kind, length) + receive(peer, length))

    def _hand_to_pynetdicom(self, pdu: bytes) -> None:
        try:
            decoded, event = self._decode_pdu(bytearray(pdu))
        except Exception as error:  # its decoders raise whatever the bytes provoke
            raise ProtocolError(f"undecodable PDU: {type(error).__name__}") from None
        self._recv_pdu.put(decoded)
        self.event_queue.put(event)

    def _p_data(self, peer: socket.socket, length: int) -> None:
        if length > self._node.settings.pdu_bytes_max:
            raise ProtocolError(
                f"a P-DATA-TF of {length} bytes is announced, agreed were {self._node.settings.pdu_bytes_max}"
            )
        left = length
        while left > 0:
            if left < 6:
                raise ProtocolError("a PDV is cut short")
            receive_into(peer, self._head)
            size, context_id, control = _PDV.unpack(self._head)
            if size < 2 or size + 4 > left:
                raise ProtocolError("a PDV is longer than its PDU")
            left -= size + 4
            if control & COMMAND:
                self._command_fragment(receive(peer, size - 2), context_id, bool(control & LAST))
            elif self._message is not None:
                self._message_fragment(receive(peer, size - 2), context_id, bool(control & LAST))
            else:
                self._data_fragment(peer, size - 2, context_id, bool(control & LAST))

    def _command_fragment(self, data: bytes, context_id: int, last: bool) -> None:
        if self._node.store.receiving or self._message is not None:
            raise ProtocolError("a command within a data set")
        self._command += data
        self._context_id = context_id
        if len(self._command) > commands.COMMAND_BYTES_MAX:
            raise ProtocolError("a command set without end")
        if not last:
            return
        command = bytes(self._command)
        self._command.clear()
        self._acknowledge()
        try:
            found = commands.elements(command)
            if commands.command_field(found) == commands.C_STORE_RQ:
                self._begin_store(commands.store_request(found), context_id)
            else:
                self._begin_message(found, context_id)
        except ValueError as error:
            raise ProtocolError(str(error)) from None

    def _acknowledge(self) -> None:
        """Many callers leave Nagle's algorithm on: they send a data set when TCP acknowledged its command, for which
        the kernel by itself would wait 40 ms."""
        peer = self._peer_socket()
        if peer is not None:
            acknowledge(peer)

    def _begin_store(self, request: commands.StoreRequest, context_id: int) -> None:
        context = self._node._accepted_cx.get(context_id)
        if context is None:
            raise ProtocolError("a presentation context that was not accepted")
        self._node.store.begin(request, str(context.abstract_syntax), str(context.transfer_syntax[0]))
        if not request.has_data_set:
            self._answer(self._node.store.end(), context_id)

    def _data_fragment(self, peer: socket.socket, size: int, context_id: int, last: bool) -> None:
        store = self._node.store
        if not store.receiving or context_id != self._context_id:
            raise ProtocolError("a data set without its command")
        if size:
            room = store.room(size)
            receive_into(peer, room)
            store.took(size)
        if last:
            self._answer(store.end(), context_id)

    def _answer(self, response: bytes, context_id: int) -> None:
        if not self.write(commands.p_data(context_id, response)):
            raise ConnectionLost

    def write(self, pdus: bytes | memoryview) -> bool:
        """Send whole PDUs, from any thread; False if the peer is gone, or took none for the idle time."""
        peer = self._peer_socket()
        if peer is None:
            return False
        try:
            with self._sending:
                peer.sendall(pdus)
        except OSError:
            return False
        self._idle_timer.restart()
        return True

    # All other messages are gathered, and served by the association's own thread.

    def _begin_message(self, found: dict[int, bytes], context_id: int) -> None:
        if commands.command_field(found) not in commands.KNOWN:
            raise ProtocolError("an unknown command")
        self._message = found
        self._data.clear()
        if not commands.has_data_set(found):
            self._end_message(context_id)

    def _message_fragment(self, data: bytes, context_id: int, last: bool) -> None:
        if context_id != self._context_id:
            raise ProtocolError("a data set without its command")
        self._data += data
        if len(self._data) > MESSAGE_BYTES_MAX:
            raise ProtocolError(f"a message of more than {MESSAGE_BYTES_MAX} bytes that is no C-STORE")
        if last:
            self._end_message(context_id)

    def _end_message(self, context_id: int) -> None:
        context = self._node._accepted_cx.get(context_id)
        command, self._message = self._message, None
        if context is None or command is None:
            raise ProtocolError("a presentation context that was not accepted")
        syntaxes = str(context.abstract_syntax), str(context.transfer_syntax[0])
        try:
            self._node.take(commands.Message(command, context_id, *syntaxes, bytes(self._data)))
        except ValueError as error:
            raise ProtocolError(str(error)) from None
