"""Orders and patients' data over HL7 v2 and MLLP: a message is answered AA only when its entries are in the worklist,
or its corrections kept, committed."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import struct
import threading
import time

from dicom_node.mllp import Frames, framed
from dicom_node.tls import HANDSHAKE_SECONDS_MAX, hl7_context
from pacs.access import Role
from pacs.adt import adt_of, is_adt
from pacs.audit import Action, Entry, Service, Subject
from pacs.errors import BadAttributes, NotFound, TooLarge
from pacs.hl7message import OrderError, OrderMessage, read_message, refuse
from pacs.logs import get
from pacs.orders import orders_of
from storage.adt import take
from storage.archive import Archive
from storage.database import Refused, Unavailable
from storage.facilities import LOCAL
from storage.registry import RegisteredDevice, list_devices
from storage.worklist import carry_out

log = get("hl7")
CLOSE_SECONDS_MAX = 2.0  # for what is being worked on when we stop
CONNECTIONS_MAX, CONNECTIONS_PER_PEER_MAX = 50, 10
IDLE_SECONDS_MAX = 600.0  # between messages: systems keep their connection open
MESSAGE_SECONDS_MAX = 30.0  # from a message's first byte to its last
SEND_SECONDS_MAX = 10.0
ACCEPT_SECONDS = 0.5  # between looks at whether to close
REFRESH_SECONDS = 5.0  # how old what we know of the devices may be
ROLE = "worklist"
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Senders:
    """Which facility a message belongs to. Safe to share between threads."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._devices: list[RegisteredDevice] = []
        self._read = -REFRESH_SECONDS
        self._lock = threading.Lock()

    def known(self, peer: str) -> bool:
        """Whether anything may come from this address."""
        address = _address(peer)
        return address.is_loopback or bool(self._at(address))

    def facility(self, peer: str, message: OrderMessage) -> str:
        """By the address, and where several facilities are behind it by MSH-3 or MSH-4, which then is a device's title;
        this machine is LOCAL's. Raises OrderError."""
        address = _address(peer)
        here = self._at(address)
        titled = [d for d in here if d.ae_title in (message.application, message.facility)]
        if address.is_loopback and not titled:
            return LOCAL
        facilities = {d.facility for d in titled or here}
        if not facilities:
            raise OrderError("AR", 207, "MSH^1^3", "this address is not registered: tongying device add")
        if len(facilities) > 1:
            raise OrderError(
                "AR", 103, "MSH^1^3", "several facilities call from here: MSH-3 must name a device's title"
            )
        return facilities.pop()

    def _at(self, address: Address) -> list[RegisteredDevice]:
        """The devices with our role whose network this address is in, the narrowest networks alone."""
        fitting = [
            (ipaddress.ip_network(d.address).prefixlen, d) for d in self._fresh()
            if ROLE in d.roles and address in ipaddress.ip_network(d.address)
        ]  # fmt: skip
        narrowest = max((length for length, _ in fitting), default=0)
        return [d for length, d in fitting if length == narrowest]

    def _fresh(self) -> list[RegisteredDevice]:
        with self._lock:
            if time.monotonic() - self._read >= REFRESH_SECONDS:
                with contextlib.suppress(*Unavailable):  # what was known goes on
                    self._devices = list_devices(self._archive)
                    self._read = time.monotonic()
            return self._devices


class Hl7Orders:
    """The listener as a job of the exchange: it is started where a port is set, and tried again while that is taken."""

    name = "hl7"

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._listener: Hl7Listener | None = None

    def step(self) -> bool:
        """Begin to listen; raises OSError while the port is taken."""
        if self._archive.settings.hl7_port and self._listener is None:
            listener = Hl7Listener(self._archive)
            listener.start()
            self._listener = listener
        return False

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()


class Hl7Listener:
    """Listens on the port of the settings; a thread for each connection. Raises OSError where the port is taken, and
    SettingError for certificates that cannot be used."""

    def __init__(self, archive: Archive) -> None:
        settings = archive.settings
        self._tls = hl7_context(settings)
        family = socket.AF_INET6 if ":" in settings.hl7_host else socket.AF_INET
        self._listener = socket.create_server(
            (settings.hl7_host, settings.hl7_port), family=family, backlog=CONNECTIONS_MAX
        )
        self._listener.settimeout(ACCEPT_SECONDS)
        self._archive = archive
        self._senders = Senders(archive)
        self._open: dict[socket.socket, str] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._accept, name="hl7", daemon=True)

    def start(self) -> None:
        self._thread.start()
        log.info("hl7_started", port=self._archive.settings.hl7_port)

    def close(self) -> None:
        """Take no more; a message that is being worked on is still answered."""
        self._stop.set()
        self._thread.join(2 * ACCEPT_SECONDS)
        self._listener.close()
        deadline = time.monotonic() + CLOSE_SECONDS_MAX
        with self._lock:
            waiting = list(self._open)
        for connection in waiting:
            with contextlib.suppress(OSError):  # closed already
                socket.socket.shutdown(
                    connection, socket.SHUT_RD
                )  # TLS's own would end the session: the answer is due
        while time.monotonic() < deadline and self._open:
            time.sleep(0.02)

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, address = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            peer = str(address[0])
            reason = self._why_not(peer)
            if reason:
                log.warning("connection_refused", peer=peer, reason=reason)
                _reset(connection)
                continue
            try:
                connection = self._encrypted(connection)
            except (OSError, ValueError):  # it was closed meanwhile
                connection.close()
                continue
            with self._lock:
                self._open[connection] = peer
            threading.Thread(
                target=self._converse, args=(connection, peer), name=f"hl7@{peer}", daemon=True
            ).start()

    def _encrypted(self, connection: socket.socket) -> socket.socket:
        """Before the handshake, which is made by the thread of the connection."""
        if self._tls is None:
            return connection
        return self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)

    def _why_not(self, peer: str) -> str:
        if not self._senders.known(peer):
            return f"no device with the role {ROLE} at this address: tongying device add"
        with self._lock:
            if len(self._open) >= CONNECTIONS_MAX:
                return f"{CONNECTIONS_MAX} connections are open"
            if list(self._open.values()).count(peer) >= CONNECTIONS_PER_PEER_MAX:
                return f"{CONNECTIONS_PER_PEER_MAX} connections of this address are open"
        return ""

    def _converse(self, connection: socket.socket, peer: str) -> None:
        try:
            with connection:
                if isinstance(connection, ssl.SSLSocket):
                    connection.settimeout(HANDSHAKE_SECONDS_MAX)
                    connection.do_handshake()
                self._answer_all(connection, peer)
        except (OSError, TooLarge) as error:
            said = str(error) if isinstance(error, TooLarge) else type(error).__name__
            log.info("connection_ended", peer=peer, reason=said)
        finally:
            with self._lock:
                self._open.pop(connection, None)

    def _answer_all(self, connection: socket.socket, peer: str) -> None:
        frames = Frames()
        began = time.monotonic()
        while not self._stop.is_set():
            patience = MESSAGE_SECONDS_MAX if frames.inside else IDLE_SECONDS_MAX
            connection.settimeout(max(0.001, began + patience - time.monotonic()))
            data = connection.recv(64 * 1024)
            if not data:
                return
            was_inside = frames.inside
            try:
                messages = frames.feed(data)
            except TooLarge as error:
                _send(connection, refuse(OrderError("AR", 207, "MSH^1", str(error))))
                raise
            for message in messages:
                _send(connection, self._answer(message, peer))
            if messages or not was_inside:
                began = time.monotonic()

    def _answer(self, raw: bytes, peer: str) -> bytes:
        """The acknowledgement of one message, whatever happens with it."""
        try:
            message = read_message(raw)
        except OrderError as error:
            log.warning("order_refused", peer=peer, reason=str(error))
            return refuse(error)
        refusal = self._carry_out(message, peer)
        if refusal:
            log.warning("order_refused", peer=peer, kind=message.kind[:16], place=refusal.location,
                        reason=str(refusal))  # fmt: skip
        return message.acknowledge(refusal)

    def _carry_out(self, message: OrderMessage, peer: str) -> OrderError | None:
        """Commit what the message asks for; why it cannot be done, or None."""
        try:
            facility = self._senders.facility(peer, message)
            if is_adt(message):
                entries = take(self._archive, facility, adt_of(message))
            else:
                entries = len(carry_out(self._archive, facility, orders_of(message)))
        except OrderError as error:
            return error
        except BadAttributes as error:
            return OrderError("AE", 102, "OBR^1", str(error))
        except NotFound as error:
            return OrderError("AE", 204, "ORC^1", str(error))
        except Refused:
            return OrderError("AE", 102, "MSH^1", "a value cannot be kept")
        except Unavailable:
            return OrderError("AR", 207, "MSH^1", "the archive cannot take it now: send it again")
        except Exception as error:
            log.error("order_failed", peer=peer, error=type(error).__name__, exc_info=error)
            return OrderError("AR", 207, "MSH^1", "an error within the archive; see its log")
        told = Entry.of(
            None, service=Service.EXCHANGE, action=Action.CHANGE, who=peer, role=Role.DEVICE.value, facility=facility,
            address=peer, asked=f"message {message.kind}: {entries} entries", subjects=(Subject(facility),),
        )  # fmt: skip
        self._archive.audit.record(told, durable=False)
        log.info("order_taken", peer=peer, facility=facility, kind=message.kind, entries=entries)
        return None


def _send(connection: socket.socket, answer: bytes) -> None:
    connection.settimeout(SEND_SECONDS_MAX)
    connection.sendall(framed(answer))


def _reset(connection: socket.socket) -> None:
    """Close with a reset: nothing lingers for a caller that we do not serve."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _address(peer: str) -> Address:
    address = ipaddress.ip_address(peer.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address
