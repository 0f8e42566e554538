"""Reading from a connection that we accepted: whole pieces within a time, and its end. The socket is a blocking one."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time

from dicom_node.tls import TlsConnection

LAST_WORD_SECONDS, LAST_WORD_BYTES_MAX = 1.0, 4 * 1024 * 1024  # given to a peer that must close
QUICK_ACK = getattr(socket, "TCP_QUICKACK", None)  # Linux


class ConnectionLost(Exception):
    """The peer closed, reset or fell silent within a PDU."""


def acknowledge(peer: socket.socket) -> None:
    """Tell the peer's TCP now that its bytes came (tcp(7), TCP_QUICKACK)."""
    if QUICK_ACK is not None:
        with contextlib.suppress(OSError):
            peer.setsockopt(socket.IPPROTO_TCP, QUICK_ACK, 1)


def let_close(peer: socket.socket) -> None:
    """Let the peer read our A-ABORT, A-RELEASE-RP or A-ASSOCIATE-RJ and close: what it still sends is thrown away
    unread, for a moment, because a close with unread bytes is a reset that would take our last word with it."""
    deadline, size = time.monotonic() + LAST_WORD_SECONDS, 0
    with contextlib.suppress(OSError, ValueError):  # closed already
        set_patience(peer, 1)
        peer.shutdown(socket.SHUT_WR)
        while (left := deadline - time.monotonic()) > 0 and size < LAST_WORD_BYTES_MAX:
            if not select.select([peer], [], [], left)[0]:
                return
            piece = len(peer.recv(64 * 1024))
            if not piece:
                return
            size += piece


def set_patience(peer: socket.socket, seconds: int) -> None:
    """How long a read may take. The kernel's timeout: the socket stays a blocking one, and MSG_WAITALL works."""
    if isinstance(peer, TlsConnection):
        peer.patience_seconds = seconds
        return
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", seconds, 0))


def _patience(peer: socket.socket) -> float:
    if isinstance(peer, TlsConnection):
        return peer.patience_seconds
    size = struct.calcsize("ll")
    seconds, microseconds = struct.unpack("ll", peer.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, size))
    return float(seconds + microseconds / 1_000_000)


def receive(peer: socket.socket, length: int) -> bytes:
    buffer = bytearray(length)
    receive_into(peer, memoryview(buffer))
    return bytes(buffer)


def receive_into(peer: socket.socket, room: memoryview) -> None:
    """Fill `room`; raises ConnectionLost when the peer closes, resets, or takes longer than the socket's SO_RCVTIMEO
    for all of it: a byte now and then does not hold an association open."""
    if not room:
        return
    began = time.monotonic()
    try:
        count = peer.recv_into(room, len(room), socket.MSG_WAITALL)
        if 0 < count < len(room):
            count += _receive_rest(peer, room[count:], began)
    except OSError:
        raise ConnectionLost from None
    if count < len(room):
        raise ConnectionLost


def _receive_rest(peer: socket.socket, room: memoryview, began: float) -> int:
    """A read was cut short: by its time, by the end, or by a signal, as when we are stopped and go on, or a debugger
    looks at us (signal(7)). Then it goes on within the same time, counted from `began`."""
    deadline, done = began + _patience(peer), 0
    while done < len(room) and time.monotonic() < deadline:
        count = peer.recv_into(room[done:], len(room) - done, socket.MSG_WAITALL)
        if not count:
            break
        done += count
    return done
