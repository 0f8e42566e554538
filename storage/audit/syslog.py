"""The trail sent to a syslog server over TLS (RFC 5425): every entry, in order, from where the last sending ended.

Syslog has no acknowledgement. So each batch has a session of its own, and is taken for sent when the receiver has
answered the end of the session, for which it must have read all before. What is not is sent again: entries may come
twice, and none is left out.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

from pacs.auditmessage import audit_message, syslog_message
from pacs.errors import SettingError
from pacs.settings import Settings
from storage.archive import Archive
from storage.index import ledger
from storage.index.ledger import Line

BATCH = 500
CONNECT_SECONDS, SEND_SECONDS = 10, 30
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL"  # of TLS 1.2 (RFC 9325 4.2)


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where the messages go."""

    host: str
    port: int

    @property
    def name(self) -> str:
        return f"{self.host}:{self.port}"


def receiver_of(settings: Settings) -> Receiver | None:
    """The one of the settings, which have been checked."""
    host, _, port = settings.audit_syslog.rpartition(":")
    return Receiver(host.strip("[]"), int(port)) if host else None


def tls_context(settings: Settings) -> ssl.SSLContext:
    """Believes the CA of the settings, else those of this machine; shows our certificate if there is one. Raises
    SettingError."""
    try:
        context = ssl.create_default_context(cafile=settings.audit_syslog_ca or None)
        if settings.audit_syslog_certificate:
            key = settings.audit_syslog_key or None
            context.load_cert_chain(settings.audit_syslog_certificate, key, password=lambda: "")
    except OSError as error:
        raise SettingError(
            f"a file of TONGYING_AUDIT_SYSLOG_… cannot be used: {error.strerror or error}"
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    return context


def send_next(archive: Archive, receiver: Receiver, context: ssl.SSLContext) -> int:
    """Send what is next; how many entries. Raises OSError while the receiver is away."""
    with archive.database.read() as connection:
        lines = ledger.lines_after(connection, ledger.sent_up_to(connection, receiver.name), BATCH)
    if lines:
        _send(receiver, context, [_message(archive.settings, line) for line in lines])
        with archive.database.begin() as connection:
            ledger.note_sent(connection, receiver.name, lines[-1].position)
    return len(lines)


def _message(settings: Settings, line: Line) -> bytes:
    xml = audit_message(line.position, line.hash, line.entry, settings.ae_title)
    return syslog_message(xml, line.entry, socket.gethostname(), str(os.getpid()))


def _send(receiver: Receiver, context: ssl.SSLContext, messages: Sequence[bytes]) -> None:
    with (
        socket.create_connection((receiver.host, receiver.port), CONNECT_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=receiver.host) as session,
    ):
        session.settimeout(SEND_SECONDS)
        for message in messages:
            session.sendall(message)
        try:
            session.unwrap()  # RFC 5425 4.4: it answers with its own close_notify
        except ssl.SSLEOFError:
            return  # or closes the connection, having read ours
