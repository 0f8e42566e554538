"""PDUs over a connection that we opened: a blocking socket, whole PDUs in and out, each wait with an end (PS3.8 9)."""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
import struct
import time
from collections.abc import Sequence

from pacs.addresses import never_called
from pacs.errors import TongyingError

ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA_TF = 0x02, 0x03, 0x04
RELEASE_RQ, RELEASE_RP, ABORT = 0x05, 0x06, 0x07
ASSOCIATE_PDU_BYTES_MAX = 1024 * 1024
RATE_BYTES_MIN = 16 * 1024  # a second; a peer that takes less is left, however often it takes a little
READ_BYTES = 64 * 1024
BUFFERS_MAX = 512  # of one call of sendmsg; Linux takes 1024
LAST_WORD_SECONDS = 0.5
Buffer = bytes | memoryview

_SOURCES = {0: "its user", 2: "its upper layer"}
_ABORT_REASONS = {1: "unrecognised PDU", 2: "unexpected PDU", 4: "unrecognised parameter",
                  5: "unexpected parameter", 6: "invalid parameter"}  # fmt: skip


class PeerError(TongyingError):
    """The peer, or the way to it, failed; the association is over. The text says what happened."""


class PeerAway(PeerError):
    """There is no connection, or no answer to the request for an association."""


class Wire:
    """One TCP or TLS connection. Not shared between threads, but for `interrupt`."""

    def __init__(
        self, host: str, port: int, *, tls: ssl.SSLContext | None, connect_seconds: float, idle_seconds: float
    ) -> None:
        """Connect; raises PeerAway. `idle_seconds` bounds the wait for each PDU afterwards."""
        self.pdu_bytes_max = ASSOCIATE_PDU_BYTES_MAX  # of P-DATA-TF; lowered to what was agreed
        self._idle_seconds = idle_seconds
        self._buffer = bytearray()
        try:
            self._socket = _connect(host, port, tls, connect_seconds)
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that no resolver takes
            raise PeerAway(f"no connection to {host}:{port}: {_said(error)}") from None
        self._tls = tls is not None
        self.be_patient(idle_seconds)

    def be_patient(self, seconds: float) -> None:
        """How long each later wait may take."""
        self._idle_seconds = seconds
        self._socket.settimeout(seconds)

    def send(self, parts: Sequence[Buffer]) -> None:
        """Send these bytes, uncopied; raises PeerError, with the reason of its A-ABORT where it sent one."""
        size = sum(map(len, parts))
        deadline = time.monotonic() + self._idle_seconds + size / RATE_BYTES_MIN
        try:
            if self._tls:
                self._socket.sendall(b"".join(parts))  # it is copied to be encrypted anyway
            else:
                self._send_uncopied(list(parts), size, deadline)
        except TimeoutError:
            raise PeerError(f"it took no data for {self._idle_seconds:.0f} s") from None
        except OSError as error:
            raise self._last_word() or PeerError(f"the connection broke: {_said(error)}") from None

    def _send_uncopied(self, parts: list[Buffer], size: int, deadline: float) -> None:
        while True:
            sent = self._socket.sendmsg(parts[:BUFFERS_MAX])
            size -= sent
            if not size:
                return
            if time.monotonic() > deadline:
                raise PeerError(f"it takes less than {RATE_BYTES_MIN // 1024} KiB a second")
            parts = _after(parts, sent)

    def receive(self) -> tuple[int, bytes]:
        """The next PDU: its type, and what follows its length. Raises PeerError; an A-ABORT is raised too."""
        deadline = time.monotonic() + self._idle_seconds
        self._fill(6, deadline)
        kind, length = struct.unpack_from(">BxI", self._buffer)
        limit = self.pdu_bytes_max if kind == P_DATA_TF else ASSOCIATE_PDU_BYTES_MAX
        if not 1 <= kind <= 7 or length > limit:
            raise PeerError(f"it broke the protocol: a PDU of type {kind} and {length} bytes")
        self._fill(6 + length, deadline)
        body = bytes(self._buffer[6 : 6 + length])
        del self._buffer[: 6 + length]
        if kind == ABORT:
            raise PeerError(_abort_in_words(body))
        return kind, body

    def _fill(self, length: int, deadline: float) -> None:
        while len(self._buffer) < length:
            try:
                data = self._socket.recv(READ_BYTES)
            except TimeoutError:
                raise PeerError(f"it did not answer for {self._idle_seconds:.0f} s") from None
            except OSError as error:
                raise PeerError(f"the connection broke: {_said(error)}") from None
            if not data:
                raise PeerError("it closed the connection")
            self._buffer += data
            if time.monotonic() > deadline and len(self._buffer) < length:
                raise PeerError(f"one PDU took longer than {self._idle_seconds:.0f} s")

    def _last_word(self) -> PeerError | None:
        """Why the peer closed, if it said so before: what came before a reset can still be read."""
        self.be_patient(LAST_WORD_SECONDS)
        try:
            while True:
                self.receive()
        except PeerError as error:
            return error if "aborted" in str(error) else None

    def interrupt(self) -> None:
        """From another thread: every wait of this connection ends at once with PeerError."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def last(self, pdu: bytes) -> None:
        """Send a last PDU as far as that is possible without waiting, and close."""
        with contextlib.suppress(OSError, ValueError):
            self._socket.settimeout(LAST_WORD_SECONDS)
            self._socket.send(pdu)
            self._socket.shutdown(socket.SHUT_WR)
        self.close()

    @property
    def closed(self) -> bool:
        return self._socket.fileno() < 0

    def close(self) -> None:
        """Close; safe to repeat."""
        self._socket.close()


def _connect(host: str, port: int, tls: ssl.SSLContext | None, seconds: float) -> socket.socket:
    plain = _reach(host, port, seconds)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if tls is None:
        return plain
    try:
        return tls.wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise


def _reach(host: str, port: int, seconds: float) -> socket.socket:
    """A name is looked up once, and what it leads to is looked at before it is called."""
    found = [info[4][:2] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    error: OSError = PermissionError(
        errno.EACCES, "a link-local, multicast or unspecified address is never called"
    )
    for address, number in found:
        if not never_called(str(address)):
            try:
                return socket.create_connection((str(address), int(number)), seconds)
            except OSError as failed:
                error = failed
    raise error


def _after(parts: list[Buffer], sent: int) -> list[Buffer]:
    """What is left of them when so many bytes are gone."""
    for number, part in enumerate(parts):
        if sent < len(part):
            return [memoryview(part)[sent:], *parts[number + 1 :]]
        sent -= len(part)
    return []


def _said(error: Exception) -> str:
    """An operating system's or TLS error in few words."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({getattr(error, 'verify_message', None) or error.strerror})"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason}"
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__


def _abort_in_words(body: bytes) -> str:
    """PS3.8 9.3.8."""
    source, reason = (body[2], body[3]) if len(body) >= 4 else (0, 0)
    why = _ABORT_REASONS.get(reason, "") if source == 2 else ""
    return f"{_SOURCES.get(source, 'it')} aborted the association" + (f": {why}" if why else "")
