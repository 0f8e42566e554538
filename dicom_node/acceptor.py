"""The acceptor: listening sockets that a node's processes share, and limits before any association."""

from __future__ import annotations

import os
import select
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass
from typing import Any

from pynetdicom import AE
from pynetdicom.transport import AddressInformation, AssociationSocket

from dicom_node import tls
from dicom_node.association import NodeAssociation
from dicom_node.census import Census, Crowded, Limits, Place
from dicom_node.gate import Gate
from dicom_node.identity import Users
from dicom_node.reading import set_patience
from pacs.encoded import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from pacs.logs import get
from pacs.settings import Settings
from storage.archive import Archive
from storage.spool import Spool

log = get("acceptor")
ACSE_SECONDS_MAX = 10  # from the connection to a whole A-ASSOCIATE-RQ
BACKLOG = 128
ACCEPT_RETRY_SECONDS = 0.1
YIELD_SECONDS = 0.002  # how long a busier process leaves a caller to the others

Door = tuple[socket.socket, ssl.SSLContext | None]


@dataclass(frozen=True, slots=True)
class Entrance:
    """What the processes of a node share: its listening sockets, and the census of who is in."""

    doors: tuple[Door, ...]
    census: Census
    processes: int

    @staticmethod
    def open(settings: Settings, processes: int = 1) -> Entrance:
        """Raises OSError if a port is in use by others, SettingError if TLS is asked for and cannot be."""
        doors: list[Door] = [(_listen(settings, settings.dicom_port), None)]
        if context := tls.server_context(settings):
            doors.append((_listen(settings, settings.dicom_tls_port), context))
        limits = Limits(
            total_max=settings.associations_max,
            peer_max=settings.associations_per_peer_max,
            facility_max=settings.associations_per_facility_max,
        )
        return Entrance(tuple(doors), Census(limits), processes)

    def close(self) -> None:
        """Close this process's listening sockets; those of the others stay open."""
        for listener, _ in self.doors:
            listener.close()


def _listen(settings: Settings, port: int) -> socket.socket:
    """Not blocking: of several processes that are woken by a caller one gets it. SO_REUSEPORT, so that a node can be
    started while the processes of the one before it, which was killed, still ship what they hold."""
    family = socket.AF_INET6 if ":" in settings.dicom_host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((settings.dicom_host, port))
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


class Acceptor:
    """Accepts connections and starts an association for each. pynetdicom takes it for its server object."""

    def __init__(self, archive: Archive, gate: Gate, spool: Spool, entrance: Entrance, process: int) -> None:
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
        self._entrance, self._process = entrance, process
        self._live: dict[NodeAssociation, str] = {}
        self._lock = threading.Lock()
        self._closing_read, self._closing_write = os.pipe2(os.O_CLOEXEC)
        self._threads = [
            threading.Thread(target=self._accept, args=door, name="acceptor-tls" if door[1] else "acceptor")
            for door in entrance.doors
        ]

    @property
    def active_associations(self) -> list[NodeAssociation]:
        """Those whose thread runs."""
        with self._lock:
            return list(self._live)

    def forget(self, association: NodeAssociation) -> None:
        """Its thread ends."""
        with self._lock:
            self._live.pop(association, None)

    def start(self) -> None:
        for thread in self._threads:
            thread.daemon = True
            thread.start()

    def close(self, grace_seconds: float = 3) -> None:
        """Accept no more, let running messages end for a moment, then abort what is left."""
        os.close(self._closing_write)
        for thread in self._threads:
            thread.join()
        self._entrance.close()
        deadline = time.monotonic() + grace_seconds
        while time.monotonic() < deadline and any(a.store.receiving for a in self.active_associations):
            time.sleep(0.02)
        for association in self.active_associations:
            association.abort(block=False)
        while time.monotonic() < deadline + 1 and self.active_associations:
            time.sleep(0.02)
        os.close(self._closing_read)

    def shutdown_request(self, request: socket.socket) -> None:
        """What pynetdicom asks of its server when an association is over."""
        request.close()

    def _accept(self, listener: socket.socket, context: ssl.SSLContext | None) -> None:
        while True:
            watched: list[socket.socket | int] = [listener, self._closing_read]
            ready, _, _ = select.select(watched, [], [])
            if self._closing_read in ready:
                return
            if self._entrance.census.busier(self._process, self._entrance.processes):
                time.sleep(YIELD_SECONDS)
            try:
                connection, address = listener.accept()
            except BlockingIOError:  # another process took it
                continue
            except OSError as error:  # no more files may be opened, say: those who wait are served later
                log.error("accept_failed", reason=error.strerror)
                time.sleep(ACCEPT_RETRY_SECONDS)
                continue
            try:
                self._welcome(connection, address, context)
            except Exception as error:  # one that is gone again, no more threads: the others are served
                log.error("connection_lost", peer=str(address[0]), exc_info=error)
                connection.close()

    def _welcome(self, connection: socket.socket, address: Any, context: ssl.SSLContext | None) -> None:
        peer = str(address[0])
        try:
            place = self._place(peer)
        except Crowded as reason:
            log.warning("connection_refused", peer=peer, reason=str(reason))
            _reset(connection)
            return
        try:
            self._start(connection, address, context, place)
        except BaseException:
            place.leave()
            raise

    def _place(self, peer: str) -> Place:
        """Room for one more, made where there is none by ending those that only wait; else Crowded."""
        while True:
            try:
                return self._entrance.census.enter(self._process, peer)
            except Crowded as full:
                if not self._end_one_that_waits(peer if full.of_peer else None):
                    raise

    def _end_one_that_waits(self, peer: str | None) -> bool:
        """End the oldest connection, of this address or of any, that asked for no association yet, so that silent ones
        lock nobody out. Those of the other processes are not in reach; they are about as many."""
        with self._lock:
            waiting = next((a for a, p in self._live.items() if not a.admitted and peer in (p, None)), None)
            if waiting is None:
                return False
            from_peer = self._live.pop(waiting)
        log.warning("connection_ended", peer=from_peer, reason="it asked for no association, others do")
        waiting.place.leave()
        waiting.dul.hang_up()
        return True

    def _start(
        self, connection: socket.socket, address: Any, context: ssl.SSLContext | None, place: Place
    ) -> None:
        connection.setblocking(True)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        idle = struct.pack("ll", self.settings.association_idle_seconds, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, idle)
        here, peer = connection.getsockname(), str(address[0])
        if context is not None:
            connection = tls.TlsConnection.wrap(connection, context)
        set_patience(connection, ACSE_SECONDS_MAX)
        association = NodeAssociation(self, peer, place)
        try:
            self._prepare(association, connection, AddressInformation.from_tuple(here), address)
            with self._lock:
                self._live[association] = peer
            association.start()
        except BaseException:  # no more threads, say
            self.forget(association)
            association.dul.over()
            connection.close()
            raise

    def _prepare(
        self, association: NodeAssociation, connection: socket.socket, here: AddressInformation, address: Any
    ) -> None:
        association.set_socket(AssociationSocket(association, client_socket=connection))
        association.acceptor.maximum_length = self.settings.pdu_bytes_max
        association.acceptor.ae_title = self.settings.ae_title
        association.acceptor.implementation_class_uid = self.ae.implementation_class_uid
        association.acceptor.implementation_version_name = self.ae.implementation_version_name
        association.acceptor.address_info = here
        association.requestor.address_info = AddressInformation.from_tuple(address)


def _reset(connection: socket.socket) -> None:
    """Close with a reset: nothing lingers for a caller that we do not serve."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
