"""An association that we accept: pynetdicom's, with our upper layer and the gate in front."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.pdu_primitives import UserIdentityNegotiation

from dicom_node import commands, contexts, roles, telling
from dicom_node.admission import CONGESTION, PRESENTATION, TRANSIENT, Refusal, admit
from dicom_node.census import Place
from dicom_node.commands import Message
from dicom_node.gate import Gate
from dicom_node.identity import Users
from dicom_node.roles import NodeAcse
from dicom_node.services import SERVICES, serve
from dicom_node.store import StoreScp
from dicom_node.tls import HandshakeFailed, TlsConnection
from dicom_node.upper_layer import NodeUpperLayer
from pacs.access import Principal, Role
from pacs.encoded import read_identifier
from pacs.logs import get
from pacs.settings import Settings
from pacs.values import Json
from storage.records import Origin

if TYPE_CHECKING:
    from dicom_node.acceptor import Acceptor

log = get("association")
DENIED_LOGGED_MAX = 8
QUIET_SECONDS = 0.25  # how long the thread sleeps when nothing happens, before it looks at the idle timer


class _WakingCheckpoint(threading.Event):
    """Makes pynetdicom's 1 ms polling loop wait for the upper layer's bell instead."""

    def __init__(self, wake: threading.Event) -> None:
        super().__init__()
        self._bell = wake

    def wait(self, timeout: float | None = None) -> bool:
        super().wait(timeout)
        self._bell.wait(QUIET_SECONDS)
        self._bell.clear()
        return True


class _Inbox(DIMSEServiceProvider):
    """In the place of pynetdicom's DIMSE provider: gives the messages that our upper layer gathered."""

    def __init__(self, association: NodeAssociation) -> None:
        super().__init__(association)
        self.messages: queue.SimpleQueue[Message] = queue.SimpleQueue()

    def get_msg(self, block: bool = False) -> Any:
        """The next message, if there is one; it never waits."""
        try:
            message = self.messages.get_nowait()
        except queue.Empty:
            return None, None
        return message.context_id, message


class NodeAssociation(Association):
    """The acceptor's side of one association."""

    def __init__(self, acceptor: Acceptor, peer: str, place: Place) -> None:
        self.wake = threading.Event()
        self.settings: Settings = acceptor.settings
        self.peer = peer
        self.place = place  # in the census of open connections
        self.admitted = False  # the gate has let it in
        self.certificate = ""  # SHA-256 of the one that the peer showed
        self._acceptor = acceptor
        self.archive = acceptor.archive
        self.principal: Principal | None = None  # who calls, once the gate has let it in
        self.user: Principal | None = None  # who sits there, if it is told and checked
        self.calling = ""
        self.status = 0  # of the last answer
        self._identifier: tuple[Message, Json] | None = None  # of the last request
        self.charset = ""  # of the device, where it is known to declare wrongly
        self.extended: dict[str, bytes] = {}  # SOP Class Extended Negotiation: what was agreed on
        self.store = StoreScp(acceptor.spool)
        super().__init__(acceptor.ae, "acceptor")
        self._server = acceptor  # type: ignore[assignment]  # it asks it for shutdown_request only
        self.dul: NodeUpperLayer = NodeUpperLayer(self)
        self.acse: NodeAcse = NodeAcse(self)
        self.dimse: _Inbox = _Inbox(self)
        self._cancelled: set[int] = set()
        self._awaited = False
        self._responses: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._gone = threading.Event()
        self.network_timeout = self.settings.association_idle_seconds
        self._reactor_checkpoint = _WakingCheckpoint(self.wake)
        self._reactor_checkpoint.set()
        self.bind(evt.EVT_REQUESTED, self._admit)
        self.bind(evt.EVT_SOP_EXTENDED, self._agree)
        self.name = f"AcceptorThread@{peer}"

    def kill(self) -> None:
        try:
            self.place.release()
        finally:
            super().kill()

    def run(self) -> None:
        try:
            super().run()
        finally:
            with contextlib.suppress(Exception):  # it must be forgotten
                telling.stored(self)
            self._acceptor.forget(self)
            if not self.dul.is_alive():  # it never came to run, say: no more threads
                self.dul.over()
                self.dul.close()

    def run_reactor(self) -> None:
        connection = self.dul.socket.socket if self.dul.socket is not None else None
        if isinstance(connection, TlsConnection):  # here, where it holds up nobody else
            try:
                self.certificate = connection.shake_hands()
            except HandshakeFailed as error:
                log.warning("tls_failed", peer=self.peer, reason=str(error))
                self.dul.over()
                connection.close()
                return
        super().run_reactor()

    def _agree(self, event: Any) -> dict[Any, bytes]:
        """SOP Class Extended Negotiation of the query models (PS3.4 C.5.1.1, byte by byte): relational queries always;
        dates and times together if asked; names are always matched without regard to case and accents."""
        answers = {uid: bytes((1, *asked[1:2], *(0 for _ in asked[2:]))) for uid, asked in event.app_info.items()
                   if uid in SERVICES}  # fmt: skip
        self.extended = {str(uid): answer for uid, answer in answers.items()}
        return answers

    def take(self, message: Message) -> None:
        """From the upper layer's thread: a whole message came. Raises ValueError for one without a message ID."""
        if message.field == commands.C_CANCEL_RQ:
            self._cancelled.add(message.message_id)
        elif message.field & commands.RESPONSE:
            if self._awaited:  # else nobody asked for it
                self._responses.put(message)
        elif message.message_id >= 0:
            self.dimse.messages.put(message)
            self.wake.set()

    def hung_up(self) -> None:
        """From the upper layer's thread: the connection is over."""
        self._gone.set()
        self._responses.put(None)

    def _serve_request(self, msg: Any, context_id: int) -> None:
        """pynetdicom's hook, in the association's thread."""
        self._cancelled.discard(msg.message_id)
        try:
            serve(self, msg)
        finally:
            self.dul.restart_idle_timer()

    # What services use.

    def cancelled(self, message: Message) -> bool:
        """Whether the peer cancelled this request (C-CANCEL), or is gone."""
        return message.message_id in self._cancelled or self._gone.is_set()

    @property
    def leaving(self) -> bool:
        """Whether the peer wants to release or abort, or is gone."""
        return self._gone.is_set() or self.dul.peek_next_pdu() is not None

    def identifier(self, message: Message) -> Json:
        """The data set of a request, in the character set of the device; read once, though several ask. Raises
        EncodedError."""
        if self._identifier is None or self._identifier[0] is not message:
            charset = self.charset or None
            self._identifier = (
                message,
                read_identifier(message.data, message.transfer_syntax, charset=charset),
            )
        return self._identifier[1]

    def respond(self, message: Message, status: int, data: bytes | None = None, *, comment: str = "",
                counts: commands.Counts | None = None) -> bool:  # fmt: skip
        """Answer a request; False if the peer is gone."""
        self.status = status
        return self.dul.write(self.response(message, status, data, comment=comment, counts=counts))

    def response(self, message: Message, status: int, data: bytes | None = None, *, comment: str = "",
                 counts: commands.Counts | None = None) -> bytes:  # fmt: skip
        """An answer as PDUs."""
        head = self.command(message, status, comment=comment, data_set=data is not None, counts=counts)
        return head if data is None else head + self.data_set(message, data)

    def command(self, message: Message, status: int, *, comment: str = "", data_set: bool = False,
                counts: commands.Counts | None = None) -> bytes:  # fmt: skip
        """The command of an answer, as PDUs."""
        encoded = commands.response(message, status, comment=comment, data_set=data_set, counts=counts)
        return commands.p_data_pieces(message.context_id, encoded, self.peer_pdu_bytes_max, commands.COMMAND)

    def data_set(self, message: Message, data: bytes) -> bytes:
        """What follows the command of an answer, as PDUs."""
        return commands.p_data_pieces(message.context_id, data, self.peer_pdu_bytes_max)

    @property
    def peer_pdu_bytes_max(self) -> int:
        """The longest P-DATA-TF that the peer takes, counted as PS3.8 D.1 does; 0 for no limit."""
        return int(self.requestor.maximum_length or 0)

    def ask(self, pdus: Iterable[bytes | memoryview], seconds: float) -> Message | None:
        """Send a request of our own within this association, and wait for its response; None if none comes in this
        time, or the peer is gone."""
        self._awaited = True
        try:
            if not all(self.dul.write(some) for some in pdus):
                return None
            return self._responses.get(timeout=seconds)
        except queue.Empty:
            return None
        finally:
            self._awaited = False

    def _admit(self, _event: Any) -> None:
        """The gate: who is refused learns why, by the A-ASSOCIATE-RJ that fits (PS3.8 9.3.4)."""
        request = self.requestor.primitive
        assert request is not None, "EVT_REQUESTED follows an A-ASSOCIATE-RQ"
        calling, called = request.calling_ae_title.strip(), request.called_ae_title.strip()
        try:
            device = admit(self, calling, called)
        except Exception as error:  # pynetdicom would go on as if nothing were wrong
            log.error("admission_failed", peer=self.peer, exc_info=error)
            device = Refusal(TRANSIENT, PRESENTATION, CONGESTION, "an error of ours; see the log")
        if isinstance(device, Refusal):
            log.warning(
                "association_rejected", calling=calling, called=called, peer=self.peer, reason=device.reason
            )
            telling.refused(self, calling, called, device.reason)
            self.acse.send_reject(device.result, device.source, device.diagnostic)
            self.is_rejected = True
            self.kill()
            return
        self.admitted = True
        self.dul.be_patient(self.settings.association_idle_seconds)
        self.calling, self.charset = calling, device.charset
        self.principal = Principal(calling, Role.DEVICE, device.facility)
        self.store.serve(
            Origin(device.facility, calling, called, self.peer),
            allowed=roles.STORE in device.roles,
            emergency=device.emergency,
        )
        requested = request.presentation_context_definition_list
        received = [uid for uid, roles_ in self.requestor.role_selection.items() if roles_.scp_role]
        self.acse.denied = roles.denied([str(c.abstract_syntax) for c in requested], device.roles, received)
        allowed = [c for c in requested if c.abstract_syntax not in self.acse.denied]
        self.acceptor.supported_contexts = contexts.supported(allowed, device.syntaxes)
        if self.acse.denied:
            log.warning("contexts_rejected", calling=calling, peer=self.peer, reason="the device has no role for them",
                        syntaxes=sorted(self.acse.denied)[:DENIED_LOGGED_MAX])  # fmt: skip
        self._confirm_user()
        log.info("association_accepted", calling=calling, peer=self.peer, facility=device.facility,
                 user=self.user.name if self.user else "")  # fmt: skip

    def _confirm_user(self) -> None:
        """The positive response, if it is asked for; to a name, a passcode or a JWT it is empty (PS3.7 D.3.3.7.2)."""
        asked = self.requestor.user_identity
        if self.user is not None and asked is not None and asked.positive_response_requested:
            confirmed = UserIdentityNegotiation()
            confirmed.server_response = b""
            self.acceptor.add_negotiation_item(confirmed)

    @property
    def users(self) -> Users:
        return self._acceptor.users

    @property
    def gate(self) -> Gate:
        return self._acceptor.gate
