"""The audit trail on its way to a syslog server over TLS: nothing is left out while that is away."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import httpx
import pytest

from tests.support.auditschema import faults
from tests.support.certificates import Certificate, authority, signed
from tests.support.server import Server, eventually, free_port
from tests.support.watch import whole


class Receiver:
    """A small syslog server over TLS (RFC 5425). One that is `deaf` resets connections after what it has read."""

    def __init__(self, port: int, certificate: Certificate, *, deaf: bool = False) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate.certificate, certificate.key)
        self._listener = socket.create_server(("127.0.0.1", port))
        self._deaf = deaf
        self.messages: list[str] = []
        self.sessions = self.refused = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(10)
            with connection:
                try:
                    with self._context.wrap_socket(connection, server_side=True) as session:
                        self._read(session)
                except OSError:
                    self.refused += 1

    def _read(self, session: ssl.SSLSocket) -> None:
        self.sessions += 1
        data = b""
        while piece := session.recv(65536):
            data += piece
            if self._deaf:
                session.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                return
        while data:
            length, _, data = data.partition(b" ")
            self.messages.append(data[: int(length)].decode())
            data = data[int(length) :]
        with contextlib.suppress(OSError):
            session.unwrap()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def positions(self) -> list[int]:
        found = []
        for message in self.messages:
            root = ET.fromstring(message.partition("\ufeff")[2])
            assert list(faults(root)) == []
            found += [
                int(str(o.get("ParticipantObjectID")).partition(":")[2])
                for o in root.iter("ParticipantObjectIdentification")
                if str(o.get("ParticipantObjectID")).startswith("audit:")
            ]
        return found


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Certificate, Certificate, Certificate]:
    """Of the CA, of the receiver, and of somebody who is not the receiver."""
    folder = tmp_path_factory.mktemp("certificates")
    ca = authority(folder, "ca")
    return ca, signed(folder, "receiver", ca), authority(folder, "other")


@pytest.fixture(scope="module")
def sender(workspace: Path, certificates: tuple[Certificate, ...]) -> Iterator[tuple[Server, int]]:
    port = free_port()
    settings = {
        "TONGYING_AUDIT_SYSLOG": f"localhost:{port}",
        "TONGYING_AUDIT_SYSLOG_CA": str(certificates[0].certificate),
    }
    running = Server(workspace / "audit-syslog", extra=settings).start()
    yield running, port
    whole(running)
    running.remove()


def last(server: Server) -> int:
    return int(server.get("/api/audit/state")["last"])


def test_nothing_is_left_out(sender: tuple[Server, int], certificates: tuple[Certificate, ...]) -> None:
    server, port = sender
    httpx.get(f"{server.url}/api/me", headers={"Authorization": "Bearer x"})
    server.get("/api/studies", patient_id="SYSLOG-1")
    eventually(lambda: "audit_receiver" in server.log.read_text(), 20, "it is away")

    impostor = Receiver(port, certificates[2])
    eventually(lambda: impostor.refused, 40, "who has another's certificate is told nothing")
    impostor.close()
    assert impostor.messages == []

    deaf = Receiver(port, certificates[1], deaf=True)
    eventually(lambda: deaf.sessions, 40, "it is tried again")
    deaf.close()

    receiver = Receiver(port, certificates[1])
    eventually(lambda: receiver.positions()[-1:] and receiver.positions()[-1] >= 2, 40, "it has what waited")
    first = receiver.positions()
    assert first == list(range(1, len(first) + 1)), "from the first entry on, in order"
    receiver.close()

    for number in range(5):
        server.get("/api/studies", patient_id=f"SYSLOG-{number + 2}")
    known = last(server)
    again = Receiver(port, certificates[1])
    eventually(
        lambda: again.positions()[-1:] and again.positions()[-1] >= known, 60, "and what came meanwhile"
    )
    assert again.positions() == list(range(len(first) + 1, again.positions()[-1] + 1)), (
        "and goes on behind it"
    )
    assert any("110112" in m and "DICOM+RFC3881" in m for m in again.messages)
    again.close()
