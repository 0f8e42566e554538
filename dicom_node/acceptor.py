"""The acceptor: one listening port, shared by processes with SO_REUSEPORT, and limits before any association."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections import Counter
from typing import Any

from pynetdicom import AE
from pynetdicom.transport import AddressInformation, AssociationSocket

from dicom_node import tls
from dicom_node.admission import Refusal, over_limit
from dicom_node.association import NodeAssociation
from dicom_node.gate import Gate
from dicom_node.identity import Users
from dicom_node.upper_layer import set_patience
from pacs.encoded import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from pacs.logs import get
from pacs.settings import Settings
from storage.archive import Archive
from storage.devices import RegisteredDevice
from storage.spool import Spool

log = get("acceptor")
ACSE_SECONDS_MAX = 10  # from the connection to a whole A-ASSOCIATE-RQ
BACKLOG = 128
ACCEPT_RETRY_SECONDS = 0.1
RECEIVE_BUFFER_BYTES = 1024 * 1024


def listen(settings: Settings, port: int) -> socket.socket:
    """A listening socket; raises OSError if the port is in use by others than our own processes."""
    family = socket.AF_INET6 if ":" in settings.dicom_host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((settings.dicom_host, port))
    listener.listen(BACKLOG)
    return listener


class Acceptor:
    """Accepts connections and starts an association for each. pynetdicom takes it for its server object."""

    def __init__(self, archive: Archive, gate: Gate, spool: Spool) -> None:
        self.archive, self.gate, self.spool = archive, gate, spool
        self.users = Users(archive)
        self.settings = settings = archive.settings
        self.ae = AE(settings.ae_title)
        self.ae.maximum_associations = 1_000_000  # ours is the limit that counts
        self.ae.acse_timeout = ACSE_SECONDS_MAX
        self.ae.network_timeout = settings.association_idle_seconds
        self.ae.maximum_pdu_size = settings.pdu_bytes_max
        self.ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        self.ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        self._listeners: list[tuple[socket.socket, ssl.SSLContext | None]] = [
            (listen(settings, settings.dicom_port), None)
        ]
        if context := tls.server_context(settings):
            self._listeners.append((listen(settings, settings.dicom_tls_port), context))
        self._live: dict[NodeAssociation, str] = {}
        self._lock = threading.Lock()
        self._closing = False

    @property
    def active_associations(self) -> list[NodeAssociation]:
        """Those whose thread runs."""
        with self._lock:
            self._live = {a: peer for a, peer in self._live.items() if a.is_alive()}
            return list(self._live)

    def start(self) -> None:
        for listener, context in self._listeners:
            name = "acceptor-tls" if context else "acceptor"
            threading.Thread(target=self._accept, args=(listener, context), name=name, daemon=True).start()

    def close(self, grace_seconds: float = 3) -> None:
        """Accept no more, let running messages end for a moment, then abort what is left."""
        self._closing = True
        for listener, _ in self._listeners:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        deadline = time.monotonic() + grace_seconds
        while time.monotonic() < deadline and any(a.store.receiving for a in self.active_associations):
            time.sleep(0.02)
        for association in self.active_associations:
            association.abort(block=False)
        while time.monotonic() < deadline + 1 and self.active_associations:
            time.sleep(0.02)

    def shutdown_request(self, request: socket.socket) -> None:
        """What pynetdicom asks of its server when an association is over."""
        request.close()

    def count(self, association: NodeAssociation, device: RegisteredDevice) -> Refusal | None:
        """Note whose an association is; or why its device or facility may have no more of them."""
        with self._lock:
            others = [
                a.device for a in self._live if a.device is not None and a is not association and a.is_open
            ]
            refusal = over_limit(device, others, self.settings.associations_per_facility_max)
            if refusal is None:
                association.device = device
            return refusal

    def _accept(self, listener: socket.socket, context: ssl.SSLContext | None) -> None:
        while not self._closing:
            try:
                connection, address = listener.accept()
            except OSError as error:
                if not self._closing:  # no more files may be opened, say: those who wait are served later
                    log.error("accept_failed", reason=error.strerror)
                    time.sleep(ACCEPT_RETRY_SECONDS)
                continue
            peer = str(address[0])
            if reason := self._too_many(peer):
                log.warning("connection_refused", peer=peer, reason=reason)
                _reset(connection)
                continue
            try:
                self._start(connection, address, context)
            except Exception as error:  # one that is gone again, no more threads: the others are served
                log.error("connection_lost", peer=peer, exc_info=error)
                connection.close()

    def _too_many(self, peer: str) -> str:
        """Why there is no room for one more; "" if there is, or if one that only waits was ended to make it."""
        alive = Counter(self._live[a] for a in self.active_associations)
        if alive[peer] >= self.settings.associations_per_peer_max:
            reason = f"{self.settings.associations_per_peer_max} associations of this address are open"
            return "" if self._end_one_that_waits({peer}) else reason
        if alive.total() >= self.settings.associations_max:
            reason = f"{self.settings.associations_max} associations are open"
            return "" if self._end_one_that_waits(set(alive)) else reason
        return ""

    def _end_one_that_waits(self, peers: set[str]) -> bool:
        """End the oldest connection from these addresses that asked for no association yet, so that silent ones
        lock nobody out."""
        with self._lock:
            waiting = next((a for a, p in self._live.items() if p in peers and not a.admitted), None)
            if waiting is None:
                return False
            peer = self._live.pop(waiting)
        log.warning("connection_ended", peer=peer, reason="it asked for no association, others do")
        waiting.dul.hang_up()
        return True

    def _start(self, connection: socket.socket, address: Any, context: ssl.SSLContext | None) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        idle = struct.pack("ll", self.settings.association_idle_seconds, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, idle)
        here, peer = connection.getsockname(), str(address[0])
        if context is not None:
            connection = tls.TlsConnection.wrap(connection, context)
        set_patience(connection, ACSE_SECONDS_MAX)
        association = NodeAssociation(self, peer)
        association.set_socket(AssociationSocket(association, client_socket=connection))
        association.acceptor.maximum_length = self.settings.pdu_bytes_max
        association.acceptor.ae_title = self.settings.ae_title
        association.acceptor.implementation_class_uid = self.ae.implementation_class_uid
        association.acceptor.implementation_version_name = self.ae.implementation_version_name
        association.acceptor.address_info = AddressInformation.from_tuple(here)
        association.requestor.address_info = AddressInformation.from_tuple(address)
        with self._lock:
            self._live[association] = peer
        association.start()


def _reset(connection: socket.socket) -> None:
    """Close with a reset: nothing lingers for a caller that we do not serve."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
