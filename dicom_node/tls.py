"""DICOM over TLS, by the non-downgrading BCP 195 profile (PS3.15 B.12; RFC 9325, RFC 8996): TLS 1.3, and 1.2 with
ephemeral keys and authenticated encryption; nothing older.

A connection may be used by two threads, one that reads and one that answers. OpenSSL allows one at a time in a
session, so the socket never blocks within it: a lock is held for a moment, and whoever waits, waits outside.
"""

from __future__ import annotations

import contextlib
import hashlib
import select
import socket
import ssl
import threading
import time
from typing import Any

from pacs.errors import SettingError
from pacs.settings import Settings

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL"  # of TLS 1.2 (RFC 9325 4.2); those of 1.3 are all fit
PARTIAL_CHAIN = 0x80000  # X509_V_FLAG_PARTIAL_CHAIN: a device's own certificate may stand in the CA file
HANDSHAKE_SECONDS_MAX = 10
WRITE_BYTES = 64 * 1024  # given to OpenSSL at once


class HandshakeFailed(Exception):
    """No TLS session came about; the text is OpenSSL's own word for it."""


def server_context(settings: Settings) -> ssl.SSLContext | None:
    """What our side of a DICOM session is made with; None without a certificate. Raises SettingError."""
    certificate, key = settings.dicom_tls_certificate, settings.dicom_tls_key
    context = _context("DICOM", certificate, key, settings.dicom_tls_client_ca)
    if context is not None:
        context.sslsocket_class = TlsConnection
    return context


def hl7_context(settings: Settings) -> ssl.SSLContext | None:
    """The same for HL7. Its senders have no registered certificates: with a CA each must show one that it signed."""
    certificate, key = settings.hl7_tls_certificate, settings.hl7_tls_key
    context = _context("HL7", certificate, key, settings.hl7_tls_client_ca)
    if context is not None and settings.hl7_tls_client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _context(what: str, certificate: str, key: str, client_ca: str) -> ssl.SSLContext | None:
    if not certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    try:
        context.load_cert_chain(certificate, key or None, password=lambda: "")  # never asks at a terminal
    except OSError as error:
        names = f"TONGYING_{what}_TLS_CERTIFICATE and TONGYING_{what}_TLS_KEY"
        raise SettingError(f"{names} cannot be used: {_said(error)}") from None
    if client_ca:
        _ask_for_certificates(context, f"TONGYING_{what}_TLS_CLIENT_CA", client_ca)
    return context


def _ask_for_certificates(context: ssl.SSLContext, name: str, path: str) -> None:
    """From who has one; whether a device must have one, its registration says."""
    try:
        context.load_verify_locations(path)
    except OSError as error:
        raise SettingError(f"{name} cannot be used: {_said(error)}") from None
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VerifyFlags(PARTIAL_CHAIN)


def _said(error: OSError) -> str:
    return str(getattr(error, "reason", None) or error.strerror or type(error).__name__)


class TlsConnection(ssl.SSLSocket):
    """The acceptor's side of a TLS connection, with the calls that the upper layer makes of a plain socket."""

    patience_seconds: float = (
        HANDSHAKE_SECONDS_MAX  # for a whole read, or until the peer takes more of a write
    )
    # Each connection has its own, from `wrap` on; `ssl` uses the class before that.
    _session = threading.Lock()  # OpenSSL is at work
    _writing = threading.Lock()  # a write must be done before the next one begins

    @staticmethod
    def wrap(connection: socket.socket, context: ssl.SSLContext) -> TlsConnection:
        """Before the handshake. `connection` is taken over."""
        connection.setblocking(False)
        made = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        assert isinstance(made, TlsConnection)
        made._session, made._writing = threading.Lock(), threading.Lock()
        return made

    def shake_hands(self, seconds: float = HANDSHAKE_SECONDS_MAX) -> str:
        """Make the session; returns the SHA-256 of the peer's certificate in hexadecimal digits, "" if it shows none.
        Raises HandshakeFailed."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                with self._session:
                    self.do_handshake()
                    shown = self.getpeercert(binary_form=True)
                return hashlib.sha256(shown).hexdigest() if shown else ""
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as wanted:
                try:
                    self._wait(wanted, deadline)
                except OSError as error:
                    raise HandshakeFailed(str(error)) from None
            except (OSError, ValueError, AttributeError) as error:  # also one that is closed meanwhile
                raise HandshakeFailed(str(getattr(error, "reason", None) or type(error).__name__)) from None

    def has_pending(self) -> bool:
        """Whether OpenSSL holds bytes of the peer's that `select` does not see."""
        with self._session:
            return self.pending() > 0

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        """As of a socket; with MSG_WAITALL until the buffer is full. Raises TimeoutError past `patience_seconds`."""
        room = memoryview(buffer)[: nbytes or len(buffer)]
        deadline = time.monotonic() + self.patience_seconds
        done = 0
        while done < len(room):
            try:
                with self._session:
                    count = super().recv_into(room[done:])
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as wanted:
                self._wait(wanted, deadline)
                continue
            done += count
            if not count or not flags & socket.MSG_WAITALL:
                break
        return done

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        buffer = bytearray(buflen)
        return bytes(buffer[: self.recv_into(buffer)])

    def sendall(self, data: Any, flags: int = 0) -> None:
        """As of a socket; raises TimeoutError where the peer takes nothing for `patience_seconds`."""
        rest = memoryview(data)
        with self._writing:
            while rest:
                rest = rest[self._send_some(rest[:WRITE_BYTES]) :]

    def send(self, data: Any, flags: int = 0) -> int:
        self.sendall(data)
        return len(data)

    def _send_some(self, data: memoryview) -> int:
        deadline = time.monotonic() + self.patience_seconds
        while True:
            try:
                with self._session:
                    return super().send(data)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as wanted:
                self._wait(wanted, deadline)

    def shutdown(self, how: int) -> None:
        """Say that nothing more comes (close_notify), then shut the connection down. Reading may go on."""
        with self._session, contextlib.suppress(OSError, ValueError):
            self.unwrap()  # does not wait for the peer's
        socket.socket.shutdown(self, how)

    def _wait(self, wanted: ssl.SSLError, deadline: float) -> None:
        """Until the socket can be read or written, as OpenSSL wants it; raises TimeoutError, or OSError if closed."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        for_reading = isinstance(wanted, ssl.SSLWantReadError)
        try:
            select.select([self] if for_reading else [], [] if for_reading else [self], [], left)
        except ValueError:
            raise OSError("closed") from None
